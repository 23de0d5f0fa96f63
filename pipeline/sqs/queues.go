package sqs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// ErrQueueMissing is the cause when a topic's queue does not exist.
var ErrQueueMissing = errors.New("queue does not exist")

// Queues finds the queue of a topic and tells how full it is. It is safe for concurrent use.
type Queues struct {
	client *awssqs.Client
	prefix string

	mu   sync.Mutex
	urls map[string]string // by topic
}

// NewQueues returns the queues whose names begin with prefix.
func NewQueues(client *awssqs.Client, prefix string) *Queues {
	return &Queues{client: client, prefix: prefix, urls: map[string]string{}}
}

// Name returns the name of the topic's queue.
func (q *Queues) Name(topic string) string { return q.prefix + topic }

// URL returns the URL of the topic's queue. It asks SQS once and remembers the answer; a queue that does not exist
// is an error that names it and wraps ErrQueueMissing.
func (q *Queues) URL(ctx context.Context, topic string) (string, error) {
	q.mu.Lock()
	url, known := q.urls[topic]
	q.mu.Unlock()
	if known {
		return url, nil
	}
	name := q.Name(topic)
	output, err := q.client.GetQueueUrl(ctx, &awssqs.GetQueueUrlInput{QueueName: aws.String(name)})
	if _, missing := errors.AsType[*types.QueueDoesNotExist](err); missing {
		return "", fmt.Errorf("sqs queue %q: %w", name, ErrQueueMissing)
	}
	if err != nil {
		return "", fmt.Errorf("look up sqs queue %q: %w", name, err)
	}
	url = aws.ToString(output.QueueUrl)
	q.mu.Lock()
	q.urls[topic] = url
	q.mu.Unlock()
	return url, nil
}

// Depth returns how many messages of the topic wait to be received, are being handled, and are delayed. SQS counts
// approximately.
func (q *Queues) Depth(ctx context.Context, topic string) (visible, inFlight, delayed int64, err error) {
	url, err := q.URL(ctx, topic)
	if err != nil {
		return 0, 0, 0, err
	}
	counts := map[types.QueueAttributeName]*int64{
		types.QueueAttributeNameApproximateNumberOfMessages:           &visible,
		types.QueueAttributeNameApproximateNumberOfMessagesNotVisible: &inFlight,
		types.QueueAttributeNameApproximateNumberOfMessagesDelayed:    &delayed,
	}
	input := &awssqs.GetQueueAttributesInput{QueueUrl: aws.String(url)}
	for name := range counts {
		input.AttributeNames = append(input.AttributeNames, name)
	}
	output, err := q.client.GetQueueAttributes(ctx, input)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("depth of sqs queue %q: %w", q.Name(topic), err)
	}
	for name, count := range counts {
		if *count, err = strconv.ParseInt(output.Attributes[string(name)], 10, 64); err != nil {
			return 0, 0, 0, fmt.Errorf("depth of sqs queue %q: %s: %w", q.Name(topic), name, err)
		}
	}
	return visible, inFlight, delayed, nil
}
