package sqs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// sendPatience is how long a message waits for others to the same queue. Its sender waits as long, and so does the
// message in whose handler it is.
var sendPatience = patience{lone: 2 * time.Millisecond, quiet: 30 * time.Millisecond, most: 100 * time.Millisecond}

// sendTimeout is how long a batch may take, attempts included.
const sendTimeout = 30 * time.Second

// ErrTooLarge is the cause when a message's body is more than SQS takes, 256 KiB.
var ErrTooLarge = errors.New("message exceeds 256 KiB")

// PublishError says which messages of a Publish were not sent; all others were.
type PublishError struct {
	Topic  string
	Failed []FailedMessage
}

// FailedMessage is a message that was not sent, or for which there was no answer in time.
type FailedMessage struct {
	UUID string
	Err  error
}

func (e *PublishError) Error() string {
	reasons := make([]string, len(e.Failed))
	for i, f := range e.Failed {
		reasons[i] = fmt.Sprintf("message %s: %v", f.UUID, f.Err)
	}
	return fmt.Sprintf("publish to topic %q: %s", e.Topic, strings.Join(reasons, "; "))
}

// Unwrap returns the reasons.
func (e *PublishError) Unwrap() []error {
	reasons := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		reasons[i] = f.Err
	}
	return reasons
}

// Publisher is a Watermill message.Publisher on SQS. Messages that are published at about the same time, by one call
// or by several, share requests.
type Publisher struct {
	queues  *Queues
	metrics *Metrics

	mu      sync.Mutex
	closed  bool
	senders map[string]*batcher[outgoing] // by topic
	handing sync.WaitGroup                // messages on their way to a sender
}

var _ message.Publisher = (*Publisher)(nil)

// outgoing is a message on its way.
type outgoing struct {
	body string
	sent chan<- error // takes one result without blocking
}

// NewPublisher returns a Publisher to queues.
func NewPublisher(queues *Queues, metrics *Metrics) *Publisher {
	return &Publisher{queues: queues, metrics: metrics, senders: map[string]*batcher[outgoing]{}}
}

// Publish sends messages to the topic's queue and returns when SQS has all of them, or a *PublishError. A message is
// given up when its context ends; it may have been sent all the same.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	results := make([]chan error, len(messages))
	var fit []outgoing
	for i, msg := range messages {
		results[i] = make(chan error, 1)
		body, err := encodeBody(msg)
		switch {
		case err != nil:
			results[i] <- err
		case len(body) > maxBatchBytes:
			results[i] <- fmt.Errorf("%w: its body has %d bytes", ErrTooLarge, len(body))
		default:
			fit = append(fit, outgoing{body: body, sent: results[i]})
		}
	}
	if len(fit) > 0 {
		p.hand(messages[0].Context(), topic, fit)
	}
	return collect(topic, messages, results)
}

// collect waits for each message's result or the end of its context.
func collect(topic string, messages []*message.Message, results []chan error) error {
	var failed []FailedMessage
	for i, msg := range messages {
		var err error
		select {
		case err = <-results[i]:
		case <-msg.Context().Done():
			err = context.Cause(msg.Context())
		}
		if err != nil {
			failed = append(failed, FailedMessage{UUID: msg.UUID, Err: err})
		}
	}
	if len(failed) > 0 {
		return &PublishError{Topic: topic, Failed: failed}
	}
	return nil
}

// hand waits until the topic's sender takes outs, and tells those that it does not take.
func (p *Publisher) hand(ctx context.Context, topic string, outs []outgoing) {
	sender, err := p.sender(ctx, topic)
	if err != nil {
		for _, out := range outs {
			out.sent <- err
		}
		return
	}
	defer p.handing.Done()
	for _, out := range sender.add(ctx.Done(), outs...) {
		out.sent <- context.Cause(ctx)
	}
}

// sender returns the topic's sender, which stays open until the caller says p.handing.Done.
func (p *Publisher) sender(ctx context.Context, topic string) (*batcher[outgoing], error) {
	url, err := p.queues.URL(ctx, topic)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	sender, started := p.senders[topic]
	if !started {
		//nolint:contextcheck // it sends for many callers, and outlives each
		sender = newBatcher(flushers, sendPatience, outgoing.size, func(batch []outgoing) { p.send(topic, url, batch) })
		p.senders[topic] = sender
	}
	p.handing.Add(1)
	return sender, nil
}

func (o outgoing) size() int { return len(o.body) }

// send sends one batch and tells each message's result. It has a context of its own, since the messages come from
// callers with different ones.
func (p *Publisher) send(topic, url string, batch []outgoing) {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	results := sendEntries(ctx, batch, func(ctx context.Context, batch []outgoing) ([]error, error) {
		p.metrics.batch.WithLabelValues(topic, actionSend).Observe(float64(len(batch)))
		return p.sendBatch(ctx, url, batch)
	})
	for i, err := range results {
		if err == nil {
			p.metrics.sent.WithLabelValues(topic).Inc()
		} else {
			p.metrics.errors.WithLabelValues(topic, actionSend).Inc()
		}
		batch[i].sent <- err
	}
}

func (p *Publisher) sendBatch(ctx context.Context, url string, batch []outgoing) ([]error, error) {
	entries := make([]types.SendMessageBatchRequestEntry, len(batch))
	for i, out := range batch {
		entries[i] = types.SendMessageBatchRequestEntry{Id: entryID(i), MessageBody: aws.String(out.body)}
	}
	output, err := p.queues.client.SendMessageBatch(ctx, &awssqs.SendMessageBatchInput{QueueUrl: aws.String(url), Entries: entries})
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	succeeded := make([]*string, len(output.Successful))
	for i, entry := range output.Successful {
		succeeded[i] = entry.Id
	}
	return entryResults(len(batch), succeeded, output.Failed), nil
}

// Close returns when what has been handed over is sent. It may be called more than once.
func (p *Publisher) Close() error {
	p.mu.Lock()
	closing := !p.closed
	p.closed = true
	p.mu.Unlock()
	if !closing {
		return nil
	}
	p.handing.Wait()
	for _, sender := range p.senders {
		sender.close()
	}
	return nil
}
