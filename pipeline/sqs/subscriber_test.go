package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluice-media/sluice/pipeline/sqs"
)

func TestMissingQueueIsNamed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for action, call := range map[string]func() error{
		"subscribe": func() error { _, err := b.subscriber().Subscribe(t.Context(), "absent"); return err },
		"publish":   func() error { return b.publisher().Publish("absent", message.NewMessage("1", nil)) },
		"depth":     func() error { _, _, _, err := b.queues.Depth(t.Context(), "absent"); return err },
	} {
		err := call()
		if want := fmt.Sprintf("%q", b.Config.Prefix+"absent"); !errors.Is(err, sqs.ErrQueueMissing) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v does not say that queue %s is missing", action, err, want)
		}
	}
	if n := b.requests.count("CreateQueue"); n != 0 {
		t.Errorf("%d queues created", n)
	}
}

func TestQueueURLIsAskedForOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.publish(1)
	b.next(b.subscribe(t.Context())).Ack()
	if n := b.requests.count("GetQueueUrl"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestForeignBodyIsThePayload(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	body := `{"Records":[{"eventName":"ObjectCreated:Put"}]}`
	before := time.Now()
	b.Send(topic, body)
	msg := b.next(b.subscribe(t.Context()))
	if string(msg.Payload) != body {
		t.Errorf("payload is %s", msg.Payload)
	}
	if id := msg.Metadata.Get(sqs.MetadataMessageID); id == "" || id != msg.UUID {
		t.Errorf("id is %q, SQS's is %q", msg.UUID, id)
	}
	if n := sqs.ReceiveCount(msg); n != 1 {
		t.Errorf("receive count is %d", n)
	}
	if sent := sqs.SentAt(msg); sent.Before(before.Add(-time.Second)) || sent.After(time.Now().Add(time.Second)) {
		t.Errorf("sent at %s, test began at %s", sent, before)
	}
	msg.Ack()
	b.depth(0, 0)
}

func TestSlotsBoundMessagesInFlight(t *testing.T) {
	t.Parallel()
	const slots, total = 3, 30
	b := newBundle(t)
	b.config.Slots = slots
	b.publish(total)
	messages := b.subscribe(t.Context())

	held := make([]*message.Message, slots)
	for i := range held {
		held[i] = b.next(messages)
	}
	b.none(messages, 200*time.Millisecond)
	if visible, inFlight := b.Depth(topic); visible != total-slots || inFlight != slots {
		t.Errorf("with %d handlers at work, %d messages are visible and %d in flight", slots, visible, inFlight)
	}
	for _, msg := range held {
		msg.Ack()
	}

	var running, most atomic.Int64
	var handlers sync.WaitGroup
	for range total - slots {
		msg := b.next(messages)
		handlers.Go(func() {
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
			msg.Ack()
		})
	}
	handlers.Wait()
	if most.Load() > slots {
		t.Errorf("%d messages in flight in %d slots", most.Load(), slots)
	}
	b.depth(0, 0)
}

func TestSlotsBoundSeveralReceivers(t *testing.T) {
	t.Parallel()
	const slots, total = 35, 80
	b := newBundle(t)
	b.config.Slots = slots
	b.publish(total)
	messages := b.subscribe(t.Context())
	held := make([]*message.Message, slots)
	for i := range held {
		held[i] = b.next(messages)
	}
	b.none(messages, 200*time.Millisecond)
	b.depth(total-slots, slots)
	if n := b.metric("sluice_sqs_in_flight_messages", topic); n != slots {
		t.Errorf("metric says %v in flight", n)
	}
	for _, msg := range held {
		msg.Ack()
	}
	for range total - slots {
		b.next(messages).Ack()
	}
	b.depth(0, 0)
}

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

// TestHeartbeatSurvivesOneFailure lets every other heartbeat fail for SQS's own reasons, as a whole and by entry.
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

func TestNackComesBackAfterItsBackoff(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = time.Minute
	b.config.BackoffBase = 500 * time.Millisecond
	b.config.BackoffCap = time.Second
	b.publish(1)
	messages := b.subscribe(t.Context())
	for count := 1; count <= 3; count++ {
		msg := b.next(messages)
		if n := sqs.ReceiveCount(msg); n != count {
			t.Errorf("receive count is %d, want %d", n, count)
		}
		if count == 3 {
			msg.Ack()
			break
		}
		msg.Nack()
		b.none(messages, 700*time.Millisecond) // SQS counts in seconds, so the backoff is one
		if !errors.Is(msg.Context().Err(), context.Canceled) {
			t.Error("the context of a nacked message lives on")
		}
	}
	b.depth(0, 0)
}

func TestPoisonDoesNotDelayItsNeighbours(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = time.Minute
	b.config.BackoffBase = time.Millisecond
	b.config.BackoffCap = time.Millisecond
	b.publish(10)
	messages := b.subscribe(t.Context())
	began := time.Now()
	var handled int
	for handled < 9 {
		msg := b.next(messages)
		if msg.UUID == "3" {
			msg.Nack()
			continue
		}
		msg.Ack()
		handled++
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the neighbours took %s", took)
	}
	deadLettered := func() bool {
		select {
		case msg := <-messages:
			if msg.UUID != "3" {
				t.Errorf("message %s came again", msg.UUID)
			}
			msg.Nack()
		default:
		}
		visible, _ := b.Depth(topic + "-dlq")
		return visible == 1
	}
	b.eventually("the poison message in the dead-letter queue", deadLettered)
	b.depth(0, 0)
}

func TestFailedDeletesAreRepeated(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.requests.on("DeleteMessageBatch", func(r *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error) {
		switch nth {
		case 1:
			return answer(http.StatusOK, `{"Successful":[],"Failed":[{"Id":"0","Code":"InternalError","SenderFault":false}]}`), nil
		case 2:
			return answer(http.StatusOK, `{"Successful":[],"Failed":[]}`), nil // no result at all
		case 3:
			return nil, errors.New("connection torn")
		}
		return next.Do(r)
	})
	b.publish(1)
	b.next(b.subscribe(t.Context())).Ack()
	b.depth(0, 0)
	b.eventually("one ack counted", func() bool { return b.metric("sluice_sqs_settled_messages_total", "ack") == 1 })
}

func TestHopelessDeleteIsReported(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.requests.on("DeleteMessageBatch", func(*http.Request, int, awssqs.HTTPClient) (*http.Response, error) {
		return answer(http.StatusOK, `{"Successful":[],"Failed":[{"Id":"0","Code":"ReceiptHandleIsInvalid","SenderFault":true}]}`), nil
	})
	b.publish(1)
	b.next(b.subscribe(t.Context())).Ack()
	b.eventually("one error counted", func() bool { return b.metric("sluice_sqs_errors_total", "delete") == 1 })
	if n := b.requests.count("DeleteMessageBatch"); n != 1 {
		t.Errorf("tried %d times", n)
	}
	if b.logs.count("message will be delivered again") != 1 || b.logs.count("ReceiptHandleIsInvalid") != 1 {
		t.Error("not logged")
	}
}

func TestReceiveErrorsAreLoggedOncePerChange(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.requests.on("ReceiveMessage", func(r *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error) {
		switch {
		case nth <= 2:
			return answer(http.StatusForbidden, fmt.Sprintf(`{"__type":"AccessDenied","message":"request %d"}`, nth)), nil
		case nth <= 4:
			return nil, errors.New("connection torn")
		}
		return next.Do(r)
	})
	b.publish(1)
	b.next(b.subscribe(t.Context())).Ack()
	if n := b.logs.count("sqs requests fail"); n != 2 {
		t.Errorf("two kinds of errors logged %d times", n)
	}
	if n := b.logs.count("sqs requests succeed again"); n != 1 {
		t.Errorf("recovery logged %d times", n)
	}
	if n := b.metric("sluice_sqs_errors_total", "receive"); n != 4 {
		t.Errorf("metric says %v errors", n)
	}
}
