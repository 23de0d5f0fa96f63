package sqs_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/alecthomas/kong"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/pipeline/sqs/sqstest"
)

const (
	topic = "jobs"
	// patience is how long a test waits for what should come soon.
	patience = 20 * time.Second
)

// testBundle is one queue on the real server and what a worker has to use it.
type testBundle struct {
	*sqstest.Server
	t        testing.TB
	requests *interceptor // sees the requests of subscribers and publishers
	config   sqs.SubscriberConfig
	registry *prometheus.Registry
	metrics  *sqs.Metrics
	logs     *logBuffer
	queues   *sqs.Queues
}

func newBundle(t testing.TB) *testBundle {
	t.Helper()
	b := &testBundle{
		Server:   sqstest.New(t, topic),
		t:        t,
		requests: &interceptor{counts: map[string]int{}},
		registry: prometheus.NewRegistry(),
		logs:     &logBuffer{},
	}
	b.metrics = sqs.NewMetrics(b.registry)
	if err := kong.ApplyDefaults(&b.config); err != nil {
		t.Fatal(err)
	}
	client := sqs.NewClient(b.AWS, b.Config, func(o *awssqs.Options) {
		b.requests.next = o.HTTPClient
		o.HTTPClient = b.requests
	})
	b.queues = sqs.NewQueues(client, b.Config.Prefix)
	return b
}

// subscriber returns a Subscriber that is closed at the end of the test.
func (b *testBundle) subscriber() *sqs.Subscriber {
	b.t.Helper()
	s, err := sqs.NewSubscriber(b.queues, b.config, b.metrics, slog.New(slog.NewTextHandler(b.logs, nil)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return s
}

// subscribe returns the messages of a subscription that ends with ctx.
func (b *testBundle) subscribe(ctx context.Context) <-chan *message.Message {
	b.t.Helper()
	messages, err := b.subscriber().Subscribe(ctx, topic)
	if err != nil {
		b.t.Fatal(err)
	}
	return messages
}

func (b *testBundle) publisher() *sqs.Publisher {
	p := sqs.NewPublisher(b.queues, b.metrics)
	b.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return p
}

// publish sends n messages with the ids "0" to "n-1".
func (b *testBundle) publish(n int) {
	b.t.Helper()
	messages := make([]*message.Message, n)
	for i := range messages {
		messages[i] = message.NewMessage(strconv.Itoa(i), []byte(`{}`))
	}
	if err := b.publisher().Publish(topic, messages...); err != nil {
		b.t.Fatal(err)
	}
}

// next returns the next message, which must come soon.
func (b *testBundle) next(messages <-chan *message.Message) *message.Message {
	b.t.Helper()
	select {
	case msg, open := <-messages:
		if !open {
			b.t.Fatal("subscription ended")
		}
		return msg
	case <-time.After(patience):
		b.t.Fatalf("no message in %s", patience)
	}
	return nil
}

// none fails the test if a message comes within d.
func (b *testBundle) none(messages <-chan *message.Message, d time.Duration) {
	b.t.Helper()
	select {
	case msg, open := <-messages:
		if open {
			b.t.Fatalf("message %s, received %d times, came too early", msg.UUID, sqs.ReceiveCount(msg))
		}
	case <-time.After(d):
	}
}

// eventually waits until condition holds.
func (b *testBundle) eventually(what string, condition func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			b.t.Fatalf("not after %s: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// depth waits until the queue has the given numbers of messages.
func (b *testBundle) depth(wantVisible, wantInFlight int64) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%d messages visible and %d in flight", wantVisible, wantInFlight), func() bool {
		visible, inFlight := b.Depth(topic)
		return visible == wantVisible && inFlight == wantInFlight
	})
}

// ended waits until the subscription has drained; messages that come meanwhile fail the test.
func (b *testBundle) ended(messages <-chan *message.Message) {
	b.t.Helper()
	select {
	case msg, open := <-messages:
		if open {
			b.t.Fatalf("message %s handed over after the end", msg.UUID)
		}
	case <-time.After(patience):
		b.t.Fatalf("subscription still open after %s", patience)
	}
}

// metric returns the sum of a metric's values over all labels that contain the given value.
func (b *testBundle) metric(name, labelValue string) float64 {
	b.t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	var sum float64
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetValue() == labelValue {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// interceptor stands between a client and the real server: it counts requests and can make the ones of an action fail.
type interceptor struct {
	next awssqs.HTTPClient

	mu     sync.Mutex
	counts map[string]int // by action, such as "ReceiveMessage"
	faults map[string]fault
}

// fault answers a request in the server's place, or passes it on to next. nth counts the action's requests from 1.
type fault func(request *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error)

func (i *interceptor) Do(request *http.Request) (*http.Response, error) {
	action := strings.TrimPrefix(request.Header.Get("X-Amz-Target"), "AmazonSQS.")
	i.mu.Lock()
	i.counts[action]++
	nth, inject := i.counts[action], i.faults[action]
	i.mu.Unlock()
	if inject != nil {
		return inject(request, nth, i.next)
	}
	return i.next.Do(request)
}

// on injects f into the requests of action; nil ends it.
func (i *interceptor) on(action string, f fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.faults == nil {
		i.faults = map[string]fault{}
	}
	i.faults[action] = f
}

func (i *interceptor) count(action string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.counts[action]
}

// answer is a response with the given body.
func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:       io.NopCloser(strings.NewReader(body)),
	}
}

// logBuffer collects what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how many times s has been logged.
func (l *logBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}
