package sqs_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluice-media/sluice/pipeline/sqs"
)

func TestAckSurvivesShutdown(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.publish(1)
	ctx, cancel := context.WithCancel(t.Context())
	messages := b.subscribe(ctx)
	msg := b.next(messages)
	cancel()
	b.none(messages, 500*time.Millisecond) // past the polls' grace
	if err := msg.Context().Err(); err != nil {
		t.Errorf("shutdown ended the message's context: %v", err)
	}
	msg.Ack()
	b.ended(messages)
	if visible, inFlight := b.Depth(topic); visible != 0 || inFlight != 0 {
		t.Errorf("%d messages visible and %d in flight after the end", visible, inFlight)
	}
}

// TestDrain has four messages: one acked and one nacked after shutdown has begun, one whose handler does not end, and
// one that no handler ever took.
func TestDrain(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(context.CancelFunc, *sqs.Subscriber){
		"by context": func(cancel context.CancelFunc, _ *sqs.Subscriber) { cancel() },
		"by Close": func(_ context.CancelFunc, s *sqs.Subscriber) {
			go func() { _ = s.Close() }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.config.VisibilityTimeout = time.Minute
			b.config.BackoffBase = time.Hour
			b.config.BackoffCap = time.Hour
			b.config.DrainGrace = time.Second
			b.publish(4)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			subscriber := b.subscriber()
			messages, err := subscriber.Subscribe(ctx, topic)
			if err != nil {
				t.Fatal(err)
			}
			acked, nacked, stuck := b.next(messages), b.next(messages), b.next(messages)
			b.depth(0, 4)
			stop(cancel, subscriber)
			b.depth(1, 3) // the one that nobody took
			acked.Ack()
			nacked.Nack()
			<-stuck.Context().Done()
			if cause := context.Cause(stuck.Context()); !errors.Is(cause, sqs.ErrDrained) {
				t.Errorf("the stuck handler's context ended with %v", cause)
			}
			b.ended(messages)
			if visible, inFlight := b.Depth(topic); visible != 2 || inFlight != 1 {
				t.Errorf("%d messages visible and %d backing off after the end, want 2 and 1", visible, inFlight)
			}
			stuck.Ack() // too late
			if visible, _ := b.Depth(topic); visible != 2 {
				t.Error("an ack after the end deleted a message that was given back")
			}
		})
	}
}

// TestBatchThatArrivesDuringShutdownIsGivenBack holds the answer to a ReceiveMessage up until shutdown has begun.
func TestBatchThatArrivesDuringShutdownIsGivenBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	arrived := make(chan struct{})
	b.requests.on("ReceiveMessage", func(r *http.Request, _ int, next awssqs.HTTPClient) (*http.Response, error) {
		response, err := next.Do(r)
		if err != nil {
			return nil, err
		}
		close(arrived)
		<-ctx.Done()
		select {
		case <-time.After(20 * time.Millisecond):
			return response, nil
		case <-r.Context().Done(): // cut off: the answer is lost
			return nil, errors.Join(r.Context().Err(), response.Body.Close())
		}
	})
	b.publish(5)
	messages := b.subscribe(ctx)
	<-arrived
	cancel()
	b.ended(messages)
	if visible, inFlight := b.Depth(topic); visible != 5 || inFlight != 0 {
		t.Errorf("%d messages visible and %d in flight after the end, want 5 and 0", visible, inFlight)
	}
}

func TestIdleSubscriptionEndsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	subscriber := b.subscriber()
	messages, err := subscriber.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	b.eventually("a poll under way", func() bool { return b.requests.count("ReceiveMessage") == 1 })
	began := time.Now()
	if err := subscriber.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("closing took %s", took)
	}
	b.ended(messages)
	if _, err := subscriber.Subscribe(t.Context(), topic); !errors.Is(err, sqs.ErrClosed) {
		t.Errorf("subscribing to a closed subscriber: %v", err)
	}
}

// TestShutdownEndsThoughSQSDoesNotAnswer: acks that cannot be sent do not hold a process up for ever.
func TestShutdownEndsThoughSQSDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.Slots = 300
	b.config.VisibilityTimeout = time.Minute
	b.config.DrainGrace = 0
	b.requests.on("DeleteMessageBatch", func(r *http.Request, _ int, _ awssqs.HTTPClient) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	b.publish(300) // thirty full batches: more than there are flushers
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	messages := b.subscribe(ctx)
	for range 300 {
		b.next(messages).Ack()
	}
	cancel()
	b.ended(messages)
	if n := b.logs.count("message will be delivered again"); n != 300 {
		t.Errorf("%d of 300 failed acks logged", n)
	}
}

// TestAnAckJustBeforeTheEndCounts, though the message before it in its batch, which is still being handled, is watched first.
func TestAnAckJustBeforeTheEndCounts(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = time.Minute
	b.config.DrainGrace = 0
	b.publish(2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	messages := b.subscribe(ctx)
	slow, quick := b.next(messages), b.next(messages)
	quick.Ack()
	cancel()
	<-slow.Context().Done()
	slow.Nack()
	b.ended(messages)
	b.depth(1, 0)
}
