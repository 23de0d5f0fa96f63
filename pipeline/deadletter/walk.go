package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluice-media/sluice/pipeline"
)

const (
	batch = 10 // messages in a request; SQS's limit
	// hold is how many seconds a message that is looked at stays invisible, should it not be given back: longer than
	// looking at Searched messages takes, or the walk would meet it again.
	hold = 60
	// wait is how many seconds a receive waits. It makes SQS ask all its servers, where 0 would ask a few of them.
	wait = 1
	// giveBackTimeout also bounds a walk that was interrupted.
	giveBackTimeout = 10 * time.Second
)

// verdict is what a visit wants done next.
type verdict int

const (
	goOn   verdict = iota
	enough         // end the walk
	gone           // end it; the message was deleted
)

// Peek returns up to most messages of the stage's dead-letter queue and leaves them there.
func (q *Queues) Peek(ctx context.Context, stage string, most int) ([]Message, error) {
	var messages []Message
	if most < 1 {
		return nil, nil
	}
	err := q.walk(ctx, stage, func(_ string, m types.Message) (verdict, error) {
		messages = append(messages, decode(stage, m))
		if len(messages) == most {
			return enough, nil
		}
		return goOn, nil
	})
	return messages, err
}

// Find returns the message of the stage's dead-letter queue with SQS's id, and leaves it there. It returns
// ErrNoMessage when there is none.
func (q *Queues) Find(ctx context.Context, stage, id string) (m Message, err error) {
	err = q.with(ctx, stage, id, func(_ string, received types.Message) (verdict, error) {
		m = decode(stage, received)
		return enough, nil
	})
	return m, err
}

// Discard deletes a message from the stage's dead-letter queue, or returns ErrNoMessage.
func (q *Queues) Discard(ctx context.Context, stage, id string) error {
	return q.with(ctx, stage, id, func(url string, m types.Message) (verdict, error) {
		return q.remove(ctx, url, m)
	})
}

// RedriveMessage sends one message back to the stage's queue and then deletes it from the dead-letter queue, or
// returns ErrNoMessage. When it fails in between, the message is in both: the stage finds its work done if it meets
// it twice.
func (q *Queues) RedriveMessage(ctx context.Context, stage, id string) error {
	target, err := q.queues.URL(ctx, pipeline.Topic(stage))
	if err != nil {
		return err
	}
	return q.with(ctx, stage, id, func(url string, m types.Message) (verdict, error) {
		_, err := q.client.SendMessage(ctx, &awssqs.SendMessageInput{
			QueueUrl: &target, MessageBody: m.Body, MessageAttributes: m.MessageAttributes,
		})
		if err != nil {
			return enough, fmt.Errorf("sending message %s back to %s: %w", id, stage, err)
		}
		return q.remove(ctx, url, m)
	})
}

func (q *Queues) remove(ctx context.Context, url string, m types.Message) (verdict, error) {
	_, err := q.client.DeleteMessage(ctx, &awssqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
	if err != nil {
		return enough, fmt.Errorf("deleting dead letter %s: %w", aws.ToString(m.MessageId), err)
	}
	return gone, nil
}

// visit is called with the URL of the dead-letter queue and a message that nobody else can receive meanwhile.
type visit func(url string, m types.Message) (verdict, error)

// with looks for one message among the first Searched and visits it.
func (q *Queues) with(ctx context.Context, stage, id string, do visit) error {
	looked, found := 0, false
	err := q.walk(ctx, stage, func(url string, m types.Message) (verdict, error) {
		if aws.ToString(m.MessageId) == id {
			found = true
			return do(url, m)
		}
		if looked++; looked == Searched {
			return enough, nil
		}
		return goOn, nil
	})
	if err == nil && !found {
		return fmt.Errorf("%w of %s: %q is not among the %d that were looked at", ErrNoMessage, stage, id, looked)
	}
	return err
}

// walk visits each message of the stage's dead-letter queue once and holds it until the end, so that SQS hands out
// the others.
func (q *Queues) walk(ctx context.Context, stage string, do visit) (err error) {
	url, err := q.queues.URL(ctx, pipeline.DeadLetterTopic(stage))
	if err != nil {
		return err
	}
	held := map[string]string{} // receipt handles by message id
	defer func() { err = errors.Join(err, q.giveBack(context.WithoutCancel(ctx), url, held)) }()
	for {
		received, err := q.receive(ctx, url)
		if err != nil {
			return fmt.Errorf("looking into the dead-letter queue of %s: %w", stage, err)
		}
		met := len(held)
		var fresh []types.Message
		for _, m := range received {
			id := aws.ToString(m.MessageId)
			if _, again := held[id]; !again {
				fresh = append(fresh, m)
			}
			held[id] = aws.ToString(m.ReceiptHandle)
		}
		for _, m := range fresh {
			next, err := do(url, m)
			if next == gone {
				delete(held, aws.ToString(m.MessageId))
			}
			if next != goOn || err != nil {
				return err
			}
		}
		if len(held) == met {
			return nil
		}
	}
}

func (q *Queues) receive(ctx context.Context, url string) ([]types.Message, error) {
	out, err := q.client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: batch, VisibilityTimeout: hold, WaitTimeSeconds: wait,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{
			types.MessageSystemAttributeNameApproximateReceiveCount, types.MessageSystemAttributeNameSentTimestamp,
		},
		MessageAttributeNames: []string{"All"},
	})
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

// giveBack makes what is held visible again.
func (q *Queues) giveBack(ctx context.Context, url string, held map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, giveBackTimeout)
	defer cancel()
	var entries []types.ChangeMessageVisibilityBatchRequestEntry
	var errs []error
	flush := func() {
		if len(entries) == 0 {
			return
		}
		out, err := q.client.ChangeMessageVisibilityBatch(ctx, &awssqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: entries})
		entries = nil
		if err != nil {
			errs = append(errs, fmt.Errorf("giving dead letters back, which happens by itself in %d s: %w", hold, err))
			return
		}
		for _, f := range out.Failed {
			errs = append(errs, fmt.Errorf("giving a dead letter back, which happens by itself in %d s: %s: %s", hold, aws.ToString(f.Code), aws.ToString(f.Message)))
		}
	}
	for _, handle := range held {
		entries = append(entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(len(entries))), ReceiptHandle: &handle, VisibilityTimeout: 0,
		})
		if len(entries) == batch {
			flush()
		}
	}
	flush()
	return errors.Join(errs...)
}
