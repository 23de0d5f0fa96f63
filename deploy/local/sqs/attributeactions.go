package sqs

import (
	"context"
	"maps"
	"slices"
	"strconv"
)

// Names of the queue attributes that only the server sets.
const (
	attrAll          = "All"
	attrQueueARN     = "QueueArn"
	attrCreated      = "CreatedTimestamp"
	attrLastModified = "LastModifiedTimestamp"
	attrVisible      = "ApproximateNumberOfMessages"
	attrNotVisible   = "ApproximateNumberOfMessagesNotVisible"
	attrDelayed      = "ApproximateNumberOfMessagesDelayed"
)

const (
	purgeInterval = 60 // seconds between purges of a queue
	maxTags       = 50
)

type getQueueAttributesInput struct {
	QueueURL       string `json:"QueueUrl"`
	AttributeNames []string
}

type getQueueAttributesOutput struct {
	Attributes map[string]string `json:"Attributes,omitempty"`
}

func (s *Server) getQueueAttributes(_ context.Context, _ call, in *getQueueAttributesInput) (*getQueueAttributesOutput, error) {
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	every, err := q.attributes()
	if err != nil {
		return nil, err
	}
	selected := make(map[string]string)
	for _, name := range in.AttributeNames {
		if name == attrAll {
			return &getQueueAttributesOutput{every}, nil
		}
		value, has := every[name]
		switch {
		case has:
			selected[name] = value
		case name != attrPolicy && name != attrRedrivePolicy && name != attrRedriveAllowPolicy && name != attrManagedSSE:
			return nil, errorf(codeInvalidAttributeName, "unknown attribute %s", name)
		}
	}
	return &getQueueAttributesOutput{selected}, nil
}

// attributes returns every attribute that the queue has now.
func (q *queue) attributes() (map[string]string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return nil, errQueueDoesNotExist()
	}
	q.advance(now())
	attributes := maps.Clone(q.settings.Load().values)
	attributes[attrQueueARN] = q.arn
	attributes[attrCreated] = strconv.FormatInt(int64(q.created/1000), 10)
	attributes[attrLastModified] = strconv.FormatInt(int64(q.modified/1000), 10)
	attributes[attrVisible] = strconv.Itoa(q.ready.Len())
	attributes[attrNotVisible] = strconv.Itoa(q.inFlight)
	attributes[attrDelayed] = strconv.Itoa(q.delayed)
	return attributes, nil
}

type setQueueAttributesInput struct {
	QueueURL   string `json:"QueueUrl"`
	Attributes map[string]string
}

func (s *Server) setQueueAttributes(_ context.Context, _ call, in *setQueueAttributesInput) (*empty, error) {
	if len(in.Attributes) == 0 {
		return nil, errorf(codeMissingParameter, "the request must contain the parameter Attributes")
	}
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	changed, err := s.changeSettings(q, in.Attributes)
	if err != nil {
		return nil, err
	}
	return &empty{}, s.commit(changed)
}

func (s *Server) changeSettings(q *queue, attributes map[string]string) (ticket, error) {
	s.queues.mu.Lock()
	defer s.queues.mu.Unlock()
	set, err := q.settings.Load().with(attributes)
	if err != nil {
		return 0, err
	}
	if _, changes := attributes[attrRedrivePolicy]; changes {
		if err := s.checkRedrive(q.arn, set); err != nil {
			return 0, err
		}
	}
	return q.change(func(at millis) error {
		q.setSettings(set)
		q.setAlarm(at)
		return nil
	})
}

// change changes what is set of the queue and records it.
func (q *queue) change(apply func(at millis) error) (ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return 0, errQueueDoesNotExist()
	}
	at := now()
	q.advance(at)
	if err := apply(at); err != nil {
		return 0, err
	}
	q.modified = at
	return q.journal.append(record{Queue: queueRecordOf(q)}), nil
}

func (s *Server) purgeQueue(_ context.Context, _ call, in *queueInput) (*empty, error) {
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	purged, err := q.purge()
	if err != nil {
		return nil, err
	}
	return &empty{}, s.commit(purged)
}

func (q *queue) purge() (ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return 0, errQueueDoesNotExist()
	}
	at := now()
	if q.purgedAt != 0 && at < q.purgedAt.after(purgeInterval) {
		return 0, errorf(codePurgeQueueInProgress, "only one PurgeQueue operation on %s is allowed every %d seconds", q.name, purgeInterval)
	}
	q.clear()
	q.purgedAt = at
	return q.journal.append(record{Purge: &purgeRecord{Queue: q.id, At: at}}), nil
}

type tagQueueInput struct {
	QueueURL string `json:"QueueUrl"`
	Tags     map[string]string
}

func (s *Server) tagQueue(_ context.Context, _ call, in *tagQueueInput) (*empty, error) {
	return s.changeTags(in.QueueURL, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

type untagQueueInput struct {
	QueueURL string `json:"QueueUrl"`
	TagKeys  []string
}

func (s *Server) untagQueue(_ context.Context, _ call, in *untagQueueInput) (*empty, error) {
	return s.changeTags(in.QueueURL, func(tags map[string]string) {
		maps.DeleteFunc(tags, func(key, _ string) bool { return slices.Contains(in.TagKeys, key) })
	})
}

func (s *Server) changeTags(queueURL string, edit func(tags map[string]string)) (*empty, error) {
	q, err := s.queueAt(queueURL)
	if err != nil {
		return nil, err
	}
	changed, err := q.change(func(millis) error {
		tags := make(map[string]string)
		maps.Copy(tags, q.tags)
		edit(tags)
		if len(tags) > maxTags {
			return errorf(codeInvalidParameterValue, "a queue can have at most %d tags", maxTags)
		}
		q.tags = tags
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &empty{}, s.commit(changed)
}

type listQueueTagsOutput struct {
	Tags map[string]string `json:"Tags,omitempty"`
}

func (s *Server) listQueueTags(_ context.Context, _ call, in *queueInput) (*listQueueTagsOutput, error) {
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return &listQueueTagsOutput{q.tags}, nil
}
