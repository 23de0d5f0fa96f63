package sqs_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluice-media/sluice/pipeline/sqs"
)

func TestHeartbeatKeepsALongJob(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = time.Second
	b.publish(1)
	messages := b.subscribe(t.Context())
	msg := b.next(messages)
	b.none(messages, 3500*time.Millisecond)
	if err := msg.Context().Err(); err != nil {
		t.Errorf("the job's context ended: %v", context.Cause(msg.Context()))
	}
	msg.Ack()
	b.depth(0, 0)
	if n := b.metric("sluice_sqs_received_messages_total", topic); n != 1 {
		t.Errorf("received %v times", n)
	}
}

func TestLostLeaseCancelsTheHandler(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = 2 * time.Second
	b.publish(1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	messages := b.subscribe(ctx)
	msg := b.next(messages)

	url, err := b.Queues.URL(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Client.PurgeQueue(t.Context(), &awssqs.PurgeQueueInput{QueueUrl: aws.String(url)}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	<-msg.Context().Done()
	if cause := context.Cause(msg.Context()); !errors.Is(cause, sqs.ErrLeaseLost) {
		t.Errorf("context ended with %v", cause)
	}
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("heartbeat noticed after %s", took)
	}
	msg.Ack()
	stop()
	b.ended(messages)
	if n := b.requests.count("DeleteMessageBatch"); n != 0 {
		t.Errorf("the late ack sent %d requests", n)
	}
	if n := b.metric("sluice_sqs_settled_messages_total", "lost"); n != 1 {
		t.Errorf("metric says %v lost", n)
	}
}

// TestLeaseExpiresWithoutAHeartbeat holds the heartbeats up: a handler must stop when its message becomes visible,
// whether or not anyone says so.
func TestLeaseExpiresWithoutAHeartbeat(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = time.Second
	b.requests.on("ChangeMessageVisibilityBatch", func(r *http.Request, _ int, _ awssqs.HTTPClient) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	b.publish(1)
	messages := b.subscribe(t.Context())
	first := b.next(messages)
	<-first.Context().Done()
	if cause := context.Cause(first.Context()); !errors.Is(cause, sqs.ErrLeaseLost) {
		t.Errorf("context ended with %v", cause)
	}
	second := b.next(messages)
	if second.UUID != first.UUID || sqs.ReceiveCount(second) != 2 {
		t.Errorf("message %s came %d times", second.UUID, sqs.ReceiveCount(second))
	}
	first.Ack() // must not delete what second holds
	b.depth(0, 1)
	second.Ack()
	b.depth(0, 0)
}

// TestHeartbeatSurvivesPassingFailures lets every other heartbeat fail for a reason of SQS's own.
func TestHeartbeatSurvivesPassingFailures(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = 3 * time.Second
	b.requests.on("ChangeMessageVisibilityBatch", func(r *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error) {
		if nth%2 == 1 {
			return answer(http.StatusOK, `{"Successful":[],"Failed":[{"Id":"0","Code":"InternalError","SenderFault":false}]}`), nil
		}
		return next.Do(r)
	})
	b.publish(1)
	messages := b.subscribe(t.Context())
	msg := b.next(messages)
	b.none(messages, 7*time.Second)
	if err := msg.Context().Err(); err != nil {
		t.Errorf("the job's context ended: %v", context.Cause(msg.Context()))
	}
	msg.Ack()
	b.depth(0, 0)
}

func TestHandlerKeepsItsSlotAfterItsLeaseIsLost(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.Slots = 1
	b.config.VisibilityTimeout = time.Second
	b.requests.on("ChangeMessageVisibilityBatch", func(*http.Request, int, awssqs.HTTPClient) (*http.Response, error) {
		return answer(http.StatusOK, `{"Successful":[],"Failed":[{"Id":"0","Code":"MessageNotInflight","SenderFault":true}]}`), nil
	})
	b.publish(2)
	messages := b.subscribe(t.Context())
	first := b.next(messages)
	<-first.Context().Done()
	b.none(messages, 1500*time.Millisecond)
	first.Nack()
	b.next(messages).Ack()
}

// TestLeaseLostBeforeAnyoneTookIt: what waits to be handed over when its lease is lost is not handed over any more.
func TestLeaseLostBeforeAnyoneTookIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.Slots = 1
	b.config.VisibilityTimeout = time.Second
	b.requests.on("ChangeMessageVisibilityBatch", func(r *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error) {
		if nth == 1 {
			return answer(http.StatusOK, `{"Successful":[],"Failed":[{"Id":"0","Code":"MessageNotInflight","SenderFault":true}]}`), nil
		}
		return next.Do(r)
	})
	b.publish(1)
	messages := b.subscribe(t.Context())
	b.eventually("a lost lease", func() bool { return b.metric("sluice_sqs_settled_messages_total", "lost") == 1 })
	msg := b.next(messages)
	if n := sqs.ReceiveCount(msg); n != 2 {
		t.Errorf("got the message of receive %d", n)
	}
	msg.Ack()
	b.depth(0, 0)
}
