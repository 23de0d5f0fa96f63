package sqs

import (
	"cmp"
	"context"
	"encoding/base64"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const (
	maxListResults = 1000
	fifoSuffix     = ".fifo"
)

var queueNamePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// queueInput is the input of actions that need the queue only.
type queueInput struct {
	QueueURL string `json:"QueueUrl"`
}

type queueURLOutput struct {
	QueueURL string `json:"QueueUrl"`
}

func (c call) queueURL(s *Server, name string) string {
	return c.baseURL + "/" + s.config.AccountID + "/" + name
}

func errQueueDoesNotExist() *Error {
	return errorf(codeQueueDoesNotExist, "the specified queue does not exist")
}

// queueAt finds the queue of a queue URL. The host does not matter.
func (s *Server) queueAt(queueURL string) (*queue, error) {
	if queueURL == "" {
		return nil, errorf(codeMissingParameter, "the request must contain the parameter QueueUrl")
	}
	parsed, err := url.Parse(queueURL)
	if err != nil || parsed.Host == "" {
		return nil, errorf(codeInvalidAddress, "the address %s is not a queue URL", queueURL)
	}
	account, name, ok := strings.Cut(strings.TrimPrefix(parsed.Path, "/"), "/")
	if !ok {
		return nil, errorf(codeInvalidAddress, "the address %s is not a queue URL", queueURL)
	}
	q := s.queues.named(name)
	if q == nil || account != s.config.AccountID {
		return nil, errQueueDoesNotExist()
	}
	return q, nil
}

// queueOf finds the queue of an ARN, or nil.
func (s *Server) queueOf(arn string) *queue {
	s.queues.mu.RLock()
	defer s.queues.mu.RUnlock()
	return s.queues.byARN[arn]
}

type createQueueInput struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"`
}

func (s *Server) createQueue(_ context.Context, c call, in *createQueueInput) (*queueURLOutput, error) {
	if in.QueueName == "" {
		return nil, errorf(codeMissingParameter, "the request must contain the parameter QueueName")
	}
	q, err := s.ensureQueue(in.QueueName, in.Attributes, in.Tags)
	if err != nil {
		return nil, err
	}
	return &queueURLOutput{c.queueURL(s, q.name)}, nil
}

// ensureQueue creates a queue or finds it with the attributes asked for.
func (s *Server) ensureQueue(name string, attributes, tags map[string]string) (*queue, error) {
	if strings.HasSuffix(name, fifoSuffix) || attributes["FifoQueue"] == "true" {
		return nil, errorf(codeUnsupportedOperation, "FIFO queues are not supported by this server")
	}
	if !queueNamePattern.MatchString(name) {
		return nil, errorf(codeInvalidParameterValue, "a queue name can only include alphanumeric characters, hyphens, or underscores, 1 to 80 in length")
	}
	q, created, err := s.addQueue(name, attributes, tags)
	if err != nil {
		return nil, err
	}
	return q, s.commit(created)
}

func (s *Server) addQueue(name string, attributes, tags map[string]string) (*queue, ticket, error) {
	s.queues.mu.Lock()
	defer s.queues.mu.Unlock()
	if q := s.queues.byName[name]; q != nil {
		same, err := q.settings.Load().agreesWith(attributes)
		if err == nil && !same {
			err = errorf(codeQueueNameExists, "a queue already exists with the same name and a different value for an attribute")
		}
		return q, s.journal.tail(), err
	}
	set, err := newSettings(attributes)
	if err != nil {
		return nil, 0, err
	}
	if err := s.checkRedrive(s.arn(name), set); err != nil {
		return nil, 0, err
	}
	q := newQueue(s.queues.lastID+1, name, s.arn(name), now(), set, s.journal)
	q.tags = maps.Clone(tags)
	s.queues.add(q)
	return q, s.journal.append(record{Queue: queueRecordOf(q)}), nil
}

// checkRedrive refuses a redrive policy whose dead-letter queue is not there or
// does not allow the source. The caller holds the queue table's mutex.
func (s *Server) checkRedrive(sourceARN string, set *settings) error {
	if set.redrive == nil {
		return nil
	}
	target := s.queues.byARN[set.redrive.deadLetterARN]
	switch {
	case set.redrive.deadLetterARN == sourceARN:
		return invalidAttributeValue(attrRedrivePolicy, "a queue cannot be its own dead letter target")
	case target == nil:
		return invalidAttributeValue(attrRedrivePolicy, "dead letter target does not exist")
	case !target.settings.Load().redriveAllow.allows(sourceARN):
		return invalidAttributeValue(attrRedrivePolicy, "dead letter target does not allow this queue as a source")
	}
	return nil
}

func (s *Server) deleteQueue(_ context.Context, _ call, in *queueInput) (*empty, error) {
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	return &empty{}, s.commit(s.dropQueue(q))
}

func (s *Server) dropQueue(q *queue) ticket {
	s.queues.mu.Lock()
	defer s.queues.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return s.journal.tail()
	}
	q.deleted = true
	q.clear()
	q.wakeAll()
	if q.alarm != nil {
		q.alarm.Stop()
	}
	s.queues.drop(q)
	return s.journal.append(record{DropQueue: &dropQueueRecord{ID: q.id}})
}

type getQueueURLInput struct {
	QueueName              string
	QueueOwnerAWSAccountID string `json:"QueueOwnerAWSAccountId"`
}

func (s *Server) getQueueURL(_ context.Context, c call, in *getQueueURLInput) (*queueURLOutput, error) {
	if in.QueueName == "" {
		return nil, errorf(codeMissingParameter, "the request must contain the parameter QueueName")
	}
	if owner := cmp.Or(in.QueueOwnerAWSAccountID, s.config.AccountID); owner != s.config.AccountID || s.queues.named(in.QueueName) == nil {
		return nil, errQueueDoesNotExist()
	}
	return &queueURLOutput{c.queueURL(s, in.QueueName)}, nil
}

type listQueuesInput struct {
	QueueNamePrefix string
	MaxResults      *int
	NextToken       string
}

type listQueuesOutput struct {
	QueueURLs []string `json:"QueueUrls"`
	NextToken string   `json:"NextToken,omitempty"`
}

func (s *Server) listQueues(_ context.Context, c call, in *listQueuesInput) (*listQueuesOutput, error) {
	names := s.queueNames(func(q *queue) bool { return strings.HasPrefix(q.name, in.QueueNamePrefix) })
	page, next, err := paginate(names, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &listQueuesOutput{c.queueURLs(s, page), next}, nil
}

type listDeadLetterSourceQueuesInput struct {
	QueueURL   string `json:"QueueUrl"`
	MaxResults *int
	NextToken  string
}

type listDeadLetterSourceQueuesOutput struct {
	QueueURLs []string `json:"queueUrls"`
	NextToken string   `json:"NextToken,omitempty"`
}

func (s *Server) listDeadLetterSourceQueues(_ context.Context, c call, in *listDeadLetterSourceQueuesInput) (*listDeadLetterSourceQueuesOutput, error) {
	dead, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	page, next, err := paginate(s.sourcesOf(dead), in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &listDeadLetterSourceQueuesOutput{c.queueURLs(s, page), next}, nil
}

// sourcesOf names the queues whose dead-letter queue this is.
func (s *Server) sourcesOf(dead *queue) []string {
	return s.queueNames(func(q *queue) bool {
		policy := q.settings.Load().redrive
		return policy != nil && policy.deadLetterARN == dead.arn
	})
}

// queueNames returns the names of the queues that match, in order.
func (s *Server) queueNames(match func(*queue) bool) []string {
	s.queues.mu.RLock()
	defer s.queues.mu.RUnlock()
	var names []string
	for name, q := range s.queues.byName {
		if match(q) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (c call) queueURLs(s *Server, names []string) []string {
	urls := make([]string, len(names))
	for i, name := range names {
		urls[i] = c.queueURL(s, name)
	}
	return urls
}

// paginate returns the page of sorted names that a token leads to, and the
// token of the next page. Without a limit there is one page.
func paginate(names []string, limit *int, token string) (page []string, next string, err error) {
	size := maxListResults
	if limit != nil {
		size = *limit
		if size < 1 || size > maxListResults {
			return nil, "", errorf(codeInvalidParameterValue, "value %d for parameter MaxResults is invalid: it must be from 1 to %d", size, maxListResults)
		}
	}
	if token != "" {
		last, err := base64.URLEncoding.DecodeString(token)
		if err != nil {
			return nil, "", errorf(codeInvalidParameterValue, "invalid or expired next token")
		}
		after, found := slices.BinarySearch(names, string(last))
		if found {
			after++
		}
		names = names[after:]
	}
	if len(names) <= size {
		return names, "", nil
	}
	page = names[:size]
	if limit != nil {
		next = base64.URLEncoding.EncodeToString([]byte(page[size-1]))
	}
	return page, next, nil
}
