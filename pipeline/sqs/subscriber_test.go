package sqs_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
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

// TestFullAnswersCallMoreReceivers lets the second and the third poll go on only when both have been made.
func TestFullAnswersCallMoreReceivers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.Slots = 30
	var together sync.WaitGroup
	together.Add(2)
	b.requests.on("ReceiveMessage", func(r *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error) {
		if nth == 2 || nth == 3 {
			together.Done()
			together.Wait()
		}
		return next.Do(r)
	})
	b.publish(30)
	messages := b.subscribe(t.Context())
	for range 30 {
		b.next(messages).Ack()
	}
}

// TestEmptyAnswersSendReceiversHome: an idle queue is polled by one.
func TestEmptyAnswersSendReceiversHome(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.Slots = 30
	b.requests.on("ReceiveMessage", func(r *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error) {
		switch {
		case nth == 1:
			return next.Do(r) // full: there will be two receivers
		case nth <= 3:
			return answer(http.StatusOK, `{}`), nil
		}
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	b.publish(10)
	messages := b.subscribe(t.Context())
	for range 10 {
		b.next(messages).Ack()
	}
	b.eventually("another poll", func() bool { return b.requests.count("ReceiveMessage") == 4 })
	b.none(messages, 300*time.Millisecond)
	if n := b.requests.count("ReceiveMessage"); n != 4 {
		t.Errorf("%d polls at once on an idle queue", n-3)
	}
}

// TestPollsAreSpaced: a queue with little in it is not polled once a message.
func TestPollsAreSpaced(t *testing.T) {
	t.Parallel()
	const polls, spacing = 5, 20 * time.Millisecond
	b := newBundle(t)
	times := make(chan time.Time, polls)
	b.requests.on("ReceiveMessage", func(r *http.Request, nth int, _ awssqs.HTTPClient) (*http.Response, error) {
		if nth <= polls {
			times <- time.Now()
			return answer(http.StatusOK, `{}`), nil
		}
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	b.subscribe(t.Context())
	first, last := <-times, time.Time{}
	for range polls - 1 {
		last = <-times
	}
	if took, least := last.Sub(first), (polls-2)*spacing; took < least {
		t.Errorf("%d polls within %s, want at least %s", polls, took, least)
	}
}

// TestReceiverWithFewSlotsGoesHome: with ten of 24 slots in use and ten in a poll, the four left are no reason for
// another one.
func TestReceiverWithFewSlotsGoesHome(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.Slots = 24
	b.requests.on("ReceiveMessage", func(r *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error) {
		if nth == 1 {
			return next.Do(r) // full: there will be two receivers
		}
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	b.publish(10)
	messages := b.subscribe(t.Context())
	held := make([]*message.Message, 10)
	for i := range held {
		held[i] = b.next(messages)
	}
	b.none(messages, 300*time.Millisecond)
	if n := b.requests.count("ReceiveMessage"); n != 2 {
		t.Errorf("%d polls at once", n-1)
	}
	for _, msg := range held {
		msg.Ack()
	}
}
