package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluice-media/sluice/pipeline/sqs"
)

// router runs a Router with one handler on the bundle's queue. The returned function closes it and waits.
func (b *testBundle) router(ctx context.Context, handler message.NoPublishHandlerFunc) (stop func()) {
	b.t.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	router.AddConsumerHandler("handler", topic, b.subscriber(), handler)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	<-router.Running()
	return func() {
		if err := router.Close(); err != nil {
			b.t.Error(err)
		}
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	}
}

func TestRouterHandlesEveryMessage(t *testing.T) {
	t.Parallel()
	const total = 100
	b := newBundle(t)
	b.config.BackoffBase, b.config.BackoffCap = time.Millisecond, time.Millisecond
	b.publish(total)
	var mu sync.Mutex
	handled := map[string]int{}
	stop := b.router(t.Context(), func(msg *message.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if handled[msg.UUID]++; msg.UUID[0] == '7' && sqs.ReceiveCount(msg) == 1 {
			return errors.New("first time")
		}
		return nil
	})
	defer stop()
	b.eventually("all acked", func() bool { return b.metric("sluice_sqs_settled_messages_total", "ack") == total })
	b.depth(0, 0)
	mu.Lock()
	defer mu.Unlock()
	for i := range total {
		id, want := strconv.Itoa(i), 1
		if id[0] == '7' {
			want = 2
		}
		if handled[id] != want {
			t.Errorf("message %s handled %d times, want %d", id, handled[id], want)
		}
	}
}

// TestRouterDrains stops a busy Router, both ways, and counts: what was handled is deleted, what was not is there.
func TestRouterDrains(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"Close", "context"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			const total = 300
			b := newBundle(t)
			b.config.Slots = 25
			b.config.VisibilityTimeout = time.Minute
			b.publish(total)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var mu sync.Mutex
			handled := map[string]bool{}
			enough := make(chan struct{})
			stop := b.router(ctx, func(msg *message.Message) error {
				select {
				case <-time.After(5 * time.Millisecond): // the work
				case <-msg.Context().Done():
					return context.Cause(msg.Context())
				}
				mu.Lock()
				defer mu.Unlock()
				if handled[msg.UUID] {
					t.Errorf("message %s handled twice", msg.UUID)
				}
				if handled[msg.UUID] = true; len(handled) == total/4 {
					close(enough)
				}
				return nil
			})
			<-enough
			if way == "context" {
				cancel()
			}
			stop()
			visible, inFlight := b.Depth(topic)
			if inFlight != 0 || int(visible)+len(handled) != total {
				t.Errorf("%d handled, %d visible and %d in flight do not make %d", len(handled), visible, inFlight, total)
			}
			if visible == 0 {
				t.Error("nothing was left: the router was not stopped at work")
			}
		})
	}
}

// BenchmarkRouter drains b.N messages through a Router whose handler does nothing.
func BenchmarkRouter(b *testing.B) {
	for _, slots := range []int{10, 100} {
		b.Run(fmt.Sprintf("slots=%d", slots), func(b *testing.B) {
			bundle := newBundle(b)
			bundle.config.Slots = slots
			bundle.publish(b.N)
			handled := make(chan struct{}, b.N)
			b.ResetTimer()
			stop := bundle.router(b.Context(), func(*message.Message) error {
				handled <- struct{}{}
				return nil
			})
			for range b.N {
				<-handled
			}
			stop()
			b.StopTimer()
			bundle.depth(0, 0)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(bundle.requests.count("ReceiveMessage"))/float64(b.N), "receives/msg")
			b.ReportMetric(float64(bundle.requests.count("DeleteMessageBatch"))/float64(b.N), "deletes/msg")
		})
	}
}

// BenchmarkPublish sends one message a call from several callers.
func BenchmarkPublish(b *testing.B) {
	bundle := newBundle(b)
	publisher := bundle.publisher()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := publisher.Publish(topic, message.NewMessage("id", []byte(`{"upload_id":"u1"}`))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(bundle.requests.count("SendMessageBatch"))/float64(b.N), "sends/msg")
}
