package sqs

import (
	"context"
	"regexp"
)

// groupIDPattern is what a MessageGroupId may be.
var groupIDPattern = regexp.MustCompile("^[A-Za-z0-9!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]{1,128}$")

// sendEntry is one message to send, alone or in a batch.
type sendEntry struct {
	ID                      string `json:"Id"`
	MessageBody             *string
	DelaySeconds            *int
	MessageAttributes       map[string]attributeValue
	MessageSystemAttributes map[string]attributeValue
	MessageGroupID          *string `json:"MessageGroupId"`
	MessageDeduplicationID  *string `json:"MessageDeduplicationId"`
}

// size is what counts towards the size limits: the body and the attributes,
// with their names and types.
func (e *sendEntry) size() int {
	n := 0
	if e.MessageBody != nil {
		n = len(*e.MessageBody)
	}
	for name, value := range e.MessageAttributes {
		n += len(name) + value.size()
	}
	return n
}

type sendMessageInput struct {
	QueueURL string `json:"QueueUrl"`
	sendEntry
}

type sentMessage struct {
	MessageID                    string `json:"MessageId"`
	MD5OfMessageBody             string
	MD5OfMessageAttributes       string `json:"MD5OfMessageAttributes,omitempty"`
	MD5OfMessageSystemAttributes string `json:"MD5OfMessageSystemAttributes,omitempty"`
}

func (s *Server) sendMessage(_ context.Context, _ call, in *sendMessageInput) (*sentMessage, error) {
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	return s.sendOne(q, in.sendEntry)
}

func (s *Server) sendOne(q *queue, entry sendEntry) (*sentMessage, error) {
	prepared, err := s.prepare(q, &entry)
	if err != nil {
		return nil, err
	}
	sent, err := s.enqueue(q, []preparedMessage{prepared})
	if err != nil {
		return nil, err
	}
	return &prepared.sent, s.commit(sent)
}

type sendMessageBatchInput struct {
	QueueURL string `json:"QueueUrl"`
	Entries  []sendEntry
}

type sentBatchMessage struct {
	ID string `json:"Id"`
	sentMessage
}

func (s *Server) sendMessageBatch(_ context.Context, _ call, in *sendMessageBatchInput) (*batchOutput[sentBatchMessage], error) {
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(idsOf(in.Entries, func(e sendEntry) string { return e.ID })); err != nil {
		return nil, err
	}
	total := 0
	for _, entry := range in.Entries {
		total += entry.size()
	}
	if total > maxMessageSize {
		return nil, errorf(codeBatchRequestTooLong, "batch requests cannot be longer than %d bytes; you have sent %d bytes", maxMessageSize, total)
	}
	out := newBatchOutput[sentBatchMessage](len(in.Entries))
	prepared := make([]preparedMessage, 0, len(in.Entries))
	for _, entry := range in.Entries {
		message, err := s.prepare(q, &entry)
		if err != nil {
			out.fail(entry.ID, err)
			continue
		}
		prepared = append(prepared, message)
		out.Successful = append(out.Successful, sentBatchMessage{entry.ID, message.sent})
	}
	sent, err := s.enqueue(q, prepared)
	if err != nil {
		return nil, err
	}
	return out, s.commit(sent)
}

// preparedMessage is a message that has passed every check.
type preparedMessage struct {
	content *content
	delay   int // seconds
	sent    sentMessage
}

// prepare checks a message to send.
func (s *Server) prepare(q *queue, entry *sendEntry) (preparedMessage, error) {
	set := q.settings.Load()
	if entry.MessageBody == nil || *entry.MessageBody == "" {
		return preparedMessage{}, errorf(codeMissingParameter, "the request must contain the parameter MessageBody")
	}
	if size := entry.size(); size > set.maxMessageSize {
		return preparedMessage{}, errorf(codeInvalidParameterValue,
			"one or more parameters are invalid: message must be shorter than %d bytes and has %d", set.maxMessageSize, size)
	}
	if !validText(*entry.MessageBody) {
		return preparedMessage{}, errorf(codeInvalidMessageContents, "invalid characters found: the message can only include those of XML 1.0")
	}
	if err := checkAttributes(entry.MessageAttributes); err != nil {
		return preparedMessage{}, err
	}
	delay := set.delay
	if entry.DelaySeconds != nil {
		delay = *entry.DelaySeconds
	}
	if delay < 0 || delay > maxDelay {
		return preparedMessage{}, errorf(codeInvalidParameterValue, "value %d for parameter DelaySeconds is invalid: it must be from 0 to %d", delay, maxDelay)
	}
	system, err := systemAttributes(entry)
	if err != nil {
		return preparedMessage{}, err
	}
	c := &content{
		ID: newMessageID(), Body: *entry.MessageBody, Attributes: entry.MessageAttributes, System: system, Sender: s.config.AccountID,
	}
	return preparedMessage{content: c, delay: delay, sent: sentMessage{
		MessageID:                    c.ID,
		MD5OfMessageBody:             md5Hex(c.Body),
		MD5OfMessageAttributes:       md5OfAttributes(c.Attributes),
		MD5OfMessageSystemAttributes: md5OfAttributes(entry.MessageSystemAttributes),
	}}, nil
}

// systemAttributes are those that the sender may set, by name.
func systemAttributes(entry *sendEntry) (map[string]string, error) {
	system := make(map[string]string)
	for name, value := range entry.MessageSystemAttributes {
		if name != traceHeader {
			return nil, errorf(codeInvalidParameterValue, "message system attribute name %q is invalid: only %s may be sent", name, traceHeader)
		}
		if value.DataType != "String" {
			return nil, errorf(codeInvalidParameterValue, "message system attribute %s must be a String", name)
		}
		if err := value.check(name); err != nil {
			return nil, err
		}
		system[name] = *value.StringValue
	}
	if entry.MessageDeduplicationID != nil {
		return nil, errorf(codeInvalidParameterValue, "the parameter MessageDeduplicationId is not valid for a standard queue")
	}
	if group := entry.MessageGroupID; group != nil {
		if !groupIDPattern.MatchString(*group) {
			return nil, errorf(codeInvalidParameterValue, "the parameter MessageGroupId is invalid: 1 to 128 alphanumeric and punctuation characters")
		}
		system[systemGroupID] = *group
	}
	return system, nil
}

// enqueue puts the messages into the queue in their order.
func (s *Server) enqueue(q *queue, messages []preparedMessage) (ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return 0, errQueueDoesNotExist()
	}
	at := now()
	q.advance(at)
	var last ticket
	for _, m := range messages {
		last = q.send(m.content, s.nextSeq(), m.delay, at)
	}
	return last, nil
}
