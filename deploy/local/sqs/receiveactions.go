package sqs

import (
	"context"
	"slices"
	"strconv"
	"time"
)

const maxReceive = 10

// Names of the system attributes of a received message.
const (
	systemAll           = "All"
	systemSender        = "SenderId"
	systemSent          = "SentTimestamp"
	systemReceiveCount  = "ApproximateReceiveCount"
	systemFirstReceived = "ApproximateFirstReceiveTimestamp"
	systemSource        = "DeadLetterQueueSourceArn"
	systemGroupID       = "MessageGroupId"
)

// systemNames are the names that a ReceiveMessage may ask for.
var systemNames = []string{
	systemAll, systemSender, systemSent, systemReceiveCount, systemFirstReceived, systemSource, systemGroupID, traceHeader,
	"MessageDeduplicationId", "SequenceNumber", attrManagedSSE,
}

type receiveMessageInput struct {
	QueueURL                    string `json:"QueueUrl"`
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	MessageAttributeNames       []string
	MessageSystemAttributeNames []string
	// AttributeNames is the older name of MessageSystemAttributeNames.
	AttributeNames []string
}

type receivedMessage struct {
	MessageID              string `json:"MessageId"`
	ReceiptHandle          string
	Body                   string
	MD5OfBody              string
	Attributes             map[string]string         `json:"Attributes,omitempty"`
	MessageAttributes      map[string]attributeValue `json:"MessageAttributes,omitempty"`
	MD5OfMessageAttributes string                    `json:"MD5OfMessageAttributes,omitempty"`
}

type receiveMessageOutput struct {
	Messages []receivedMessage `json:"Messages,omitempty"`
}

func (s *Server) receiveMessage(ctx context.Context, _ call, in *receiveMessageInput) (*receiveMessageOutput, error) {
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	set := q.settings.Load()
	limit, err := within("MaxNumberOfMessages", in.MaxNumberOfMessages, 1, maxReceive, 1)
	if err != nil {
		return nil, err
	}
	timeout, err := within("VisibilityTimeout", in.VisibilityTimeout, 0, maxVisibilityTimeout, set.visibilityTimeout)
	if err != nil {
		return nil, err
	}
	wait, err := within("WaitTimeSeconds", in.WaitTimeSeconds, 0, maxReceiveWait, set.receiveWait)
	if err != nil {
		return nil, err
	}
	names := slices.Concat(in.MessageSystemAttributeNames, in.AttributeNames)
	for _, name := range names {
		if !slices.Contains(systemNames, name) {
			return nil, errorf(codeInvalidAttributeName, "unknown attribute %s", name)
		}
	}
	delivered, err := s.receive(ctx, q, receiveOptions{limit: limit, timeout: timeout, wait: time.Duration(wait) * time.Second})
	if err != nil {
		return nil, err
	}
	out := &receiveMessageOutput{}
	for _, d := range delivered {
		out.Messages = append(out.Messages, d.message(in.MessageAttributeNames, names))
	}
	return out, nil
}

// within returns a parameter's value or, when it is not given, the standard
// one; a value out of bounds is an error.
func within(name string, value *int, lowest, highest, standard int) (int, error) {
	if value == nil {
		return standard, nil
	}
	if *value < lowest || *value > highest {
		return 0, errorf(codeInvalidParameterValue, "value %d for parameter %s is invalid: it must be from %d to %d", *value, name, lowest, highest)
	}
	return *value, nil
}

// message renders a delivery with the attributes asked for.
func (d *delivery) message(attributeNames, systemAttributeNames []string) receivedMessage {
	attributes := selectAttributes(d.Attributes, attributeNames)
	return receivedMessage{
		MessageID: d.ID, ReceiptHandle: d.handle,
		Body: d.Body, MD5OfBody: md5Hex(d.Body),
		Attributes:        d.systemAttributes(systemAttributeNames),
		MessageAttributes: attributes, MD5OfMessageAttributes: md5OfAttributes(attributes),
	}
}

func (d *delivery) systemAttributes(names []string) map[string]string {
	selected := make(map[string]string)
	add := func(name, value string) {
		if slices.Contains(names, name) || slices.Contains(names, systemAll) {
			selected[name] = value
		}
	}
	add(systemSender, d.Sender)
	add(systemSent, strconv.FormatInt(int64(d.sentAt), 10))
	add(systemReceiveCount, strconv.Itoa(d.receives))
	add(systemFirstReceived, strconv.FormatInt(int64(d.firstReceived), 10))
	if d.source != "" {
		add(systemSource, d.source)
	}
	for name, value := range d.System {
		add(name, value)
	}
	return selected
}

// receiveOptions says how many messages to receive, for how many seconds to
// lease them, and how long to wait for the first.
type receiveOptions struct {
	limit   int
	timeout int
	wait    time.Duration
}

// receive leases messages, and waits for the first of them when there is none.
func (s *Server) receive(ctx context.Context, q *queue, opts receiveOptions) ([]delivery, error) {
	var (
		waiting *poller
		timeUp  <-chan time.Time
	)
	if opts.wait > 0 {
		waiting = newPoller()
		timer := time.NewTimer(opts.wait)
		defer timer.Stop()
		timeUp = timer.C
	}
	for {
		delivered, last, err := s.tryReceive(q, opts, waiting)
		if err != nil {
			return nil, err
		}
		if len(delivered) > 0 || waiting == nil {
			return delivered, s.commit(last)
		}
		select {
		case <-waiting.wake:
			if ctx.Err() != nil {
				q.leave(waiting)
				return nil, ctx.Err()
			}
		case <-ctx.Done():
			q.leave(waiting)
			return nil, ctx.Err()
		case <-timeUp:
			q.leave(waiting)
			return nil, nil
		case <-s.closing.Done():
			q.leave(waiting)
			return nil, nil
		}
	}
}

// tryReceive leases what is ready. When nothing is, it enrols the poller unless
// that is nil.
func (s *Server) tryReceive(q *queue, opts receiveOptions, waiting *poller) ([]delivery, ticket, error) {
	var dead *queue
	if policy := q.settings.Load().redrive; policy != nil {
		dead = s.queueOf(policy.deadLetterARN)
	}
	defer lockBoth(q, dead)()
	if q.deleted {
		return nil, 0, errQueueDoesNotExist()
	}
	if dead != nil && dead.deleted {
		dead = nil
	}
	at := now()
	q.advance(at)
	delivered, last, err := q.deliver(opts.limit, opts.timeout, dead, s.nextSeq, at)
	if err == nil && len(delivered) == 0 && waiting != nil {
		q.enrol(waiting, at)
	}
	return delivered, last, err
}
