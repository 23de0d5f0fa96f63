package sqs_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluice-media/sluice/pipeline/sqs"
)

func TestPublishedMessageArrives(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sent := message.NewMessage("some-id", []byte(`{"upload_id":"u1"}`))
	sent.Metadata.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err := b.publisher().Publish(topic, sent); err != nil {
		t.Fatal(err)
	}
	got := b.next(b.subscribe(t.Context()))
	if got.UUID != sent.UUID || string(got.Payload) != string(sent.Payload) {
		t.Errorf("got %s %s", got.UUID, got.Payload)
	}
	for key, value := range sent.Metadata {
		if got.Metadata.Get(key) != value {
			t.Errorf("metadata %s is %q", key, got.Metadata.Get(key))
		}
	}
	if id := got.Metadata.Get(sqs.MetadataMessageID); id == "" || id == got.UUID {
		t.Errorf("SQS's id is %q", id)
	}
	got.Ack()
}

func TestConcurrentPublishesShareRequests(t *testing.T) {
	t.Parallel()
	const total = 200
	b := newBundle(t)
	publisher := b.publisher()
	var calls sync.WaitGroup
	for i := range total {
		calls.Go(func() {
			if err := publisher.Publish(topic, message.NewMessage(strconv.Itoa(i), nil)); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	b.depth(total, 0)
	if n := b.requests.count("SendMessageBatch"); n > total/2 {
		t.Errorf("%d messages took %d requests", total, n)
	}
	if n := b.metric("sluice_sqs_sent_messages_total", topic); n != total {
		t.Errorf("metric says %v sent", n)
	}
}

// TestLargeMessagesAreSplit sends what would be 1,000 KiB in one batch.
func TestLargeMessagesAreSplit(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	messages := make([]*message.Message, 10)
	for i := range messages {
		messages[i] = message.NewMessage(strconv.Itoa(i), []byte(`"`+strings.Repeat("x", 100<<10)+`"`))
	}
	if err := b.publisher().Publish(topic, messages...); err != nil {
		t.Fatal(err)
	}
	b.depth(10, 0)
	if n := b.requests.count("SendMessageBatch"); n != 5 {
		t.Errorf("took %d requests, want 5 of 2 messages", n)
	}
}

func TestLargestMessage(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	publisher := b.publisher()
	frame := len(`{"id":"large","payload":""}`)
	sized := func(bytes int) *message.Message {
		return message.NewMessage("large", []byte(`"`+strings.Repeat("x", bytes-frame)+`"`))
	}
	if err := publisher.Publish(topic, sized(256<<10)); err != nil {
		t.Errorf("256 KiB: %v", err)
	}
	err := publisher.Publish(topic, message.NewMessage("small", nil), sized(256<<10+1))
	var failure *sqs.PublishError
	if !errors.As(err, &failure) || len(failure.Failed) != 1 || failure.Failed[0].UUID != "large" || !errors.Is(err, sqs.ErrTooLarge) {
		t.Errorf("a byte more: %v", err)
	}
	b.depth(2, 0)
}

func TestFailedEntriesAreRepeatedAndNamed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.requests.on("SendMessageBatch", func(r *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error) {
		if nth == 1 { // of three entries, SQS itself fails 0 and 1, and refuses 2
			return answer(http.StatusOK, `{"Successful":[],"Failed":[
				{"Id":"0","Code":"InternalError","SenderFault":false},
				{"Id":"1","Code":"InternalError","SenderFault":false},
				{"Id":"2","Code":"InvalidMessageContents","Message":"bad character","SenderFault":true}]}`), nil
		}
		return next.Do(r)
	})
	err := b.publisher().Publish(topic,
		message.NewMessage("one", nil), message.NewMessage("two", nil), message.NewMessage("three", nil))
	var failure *sqs.PublishError
	var entry *sqs.EntryError
	if !errors.As(err, &failure) || len(failure.Failed) != 1 || failure.Failed[0].UUID != "three" ||
		!errors.As(err, &entry) || entry.Code != "InvalidMessageContents" || !strings.Contains(err.Error(), "three") {
		t.Errorf("error is %v", err)
	}
	if n := b.requests.count("SendMessageBatch"); n != 2 {
		t.Errorf("took %d requests", n)
	}
	b.depth(2, 0)
}

func TestRefusedBatchFailsItsMessages(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.requests.on("SendMessageBatch", func(*http.Request, int, awssqs.HTTPClient) (*http.Response, error) {
		return answer(http.StatusForbidden, `{"__type":"AccessDenied","message":"no"}`), nil
	})
	err := b.publisher().Publish(topic, message.NewMessage("one", nil), message.NewMessage("two", nil))
	var failure *sqs.PublishError
	if !errors.As(err, &failure) || len(failure.Failed) != 2 || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("error is %v", err)
	}
}

func TestPublishEndsWithTheMessagesContext(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	release := make(chan struct{})
	b.requests.on("SendMessageBatch", func(r *http.Request, _ int, next awssqs.HTTPClient) (*http.Response, error) {
		<-release
		return next.Do(r)
	})
	publisher := b.publisher()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	published := make(chan error)
	go func() { published <- publisher.Publish(topic, message.NewMessageWithContext(ctx, "one", nil)) }()
	b.eventually("the message on its way", func() bool { return b.requests.count("SendMessageBatch") == 1 })
	cancel(errAway)
	if err := <-published; !errors.Is(err, errAway) {
		t.Errorf("error is %v", err)
	}

	closed := make(chan error, 1)
	go func() { closed <- publisher.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("closed before what had been handed over was sent: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if visible, _ := b.Depth(topic); visible != 1 {
		t.Errorf("%d messages sent when closed", visible)
	}
	if err := publisher.Publish(topic, message.NewMessage("two", nil)); !errors.Is(err, sqs.ErrClosed) {
		t.Errorf("publishing after Close: %v", err)
	}
}

// TestCloseWaitsForPublishes closes a publisher while more calls wait for a sender than there are.
func TestCloseWaitsForPublishes(t *testing.T) {
	t.Parallel()
	const senders, calls, each = 16, 30, 10
	b := newBundle(t)
	release := make(chan struct{})
	b.requests.on("SendMessageBatch", func(r *http.Request, _ int, next awssqs.HTTPClient) (*http.Response, error) {
		<-release
		return next.Do(r)
	})
	publisher := b.publisher()
	messages := make([]*message.Message, each)
	for i := range messages {
		messages[i] = message.NewMessage(strconv.Itoa(i), nil)
	}
	var sent atomic.Int64
	var publishing sync.WaitGroup
	for range calls {
		publishing.Go(func() {
			switch err := publisher.Publish(topic, messages...); {
			case err == nil:
				sent.Add(each)
			case !errors.Is(err, sqs.ErrClosed):
				t.Error(err)
			}
		})
	}
	b.eventually("all senders busy", func() bool { return b.requests.count("SendMessageBatch") == senders })
	closed := make(chan error, 1)
	go func() { closed <- publisher.Close() }()
	b.eventually("closed to new messages", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		return errors.Is(publisher.Publish(topic, message.NewMessageWithContext(ctx, "late", nil)), sqs.ErrClosed)
	})
	close(release)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	publishing.Wait()
	if visible, _ := b.Depth(topic); visible < sent.Load() || sent.Load() < senders*each {
		t.Errorf("%d messages in the queue, %d sent", visible, sent.Load())
	}
}
