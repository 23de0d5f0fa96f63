package sqs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// inBubble runs a test in which hours pass at once. The SDK's client calls the
// server without a network.
func inBubble(t *testing.T, attributes map[string]string, test func(*testQueue)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := openServer(t, t.TempDir())
		q := &testQueue{TB: t, server: server, client: clientOf("http://sqs.test", inProcess{server})}
		q.url = q.create("q", attributes)
		test(q)
	})
}

// elapsed checks how much time has passed since a moment.
func (q *testQueue) elapsed(since time.Time, want time.Duration) {
	q.Helper()
	if got := time.Since(since); got != want {
		q.Errorf("it took %s, want %s", got, want)
	}
}

func TestDelayEnds(t *testing.T) {
	inBubble(t, map[string]string{attrDelaySeconds: "30"}, func(q *testQueue) {
		q.send("by the queue's delay")
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("by its own"), DelaySeconds: 7})
		if err != nil {
			q.Fatal(err)
		}
		q.wantCounts(q.url, 0, 0, 2)
		begun := time.Now()
		if m := q.receiveOne(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20}); *m.Body != "by its own" {
			q.Errorf("received %q first", *m.Body)
		}
		q.elapsed(begun, 7*time.Second)
		q.wantCounts(q.url, 0, 1, 1)
		time.Sleep(23 * time.Second)
		q.wantCounts(q.url, 1, 1, 0)
	})
}

func TestVisibilityEnds(t *testing.T) {
	inBubble(t, map[string]string{attrVisibilityTimeout: "5"}, func(q *testQueue) {
		q.send("x")
		first := q.receiveOne(awssqs.ReceiveMessageInput{})
		begun := time.Now()
		second := q.receiveOne(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20, VisibilityTimeout: 12})
		q.elapsed(begun, 5*time.Second)
		if *second.MessageId != *first.MessageId || second.Attributes[systemReceiveCount] != "2" {
			q.Errorf("received %s for the %s. time", *second.MessageId, second.Attributes[systemReceiveCount])
		}
		q.delete(first.ReceiptHandle)
		begun = time.Now()
		third := q.receiveOne(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20})
		q.elapsed(begun, 12*time.Second)
		wantError(q, q.changeVisibility(second.ReceiptHandle, 5), codeInvalidParameterValue)
		q.delete(third.ReceiptHandle)
		q.wantCounts(q.url, 0, 0, 0)
	})
}

func TestVisibilityIsExtended(t *testing.T) {
	inBubble(t, map[string]string{attrVisibilityTimeout: "10"}, func(q *testQueue) {
		q.send("x")
		m := q.receiveOne(awssqs.ReceiveMessageInput{})
		for range 5 {
			time.Sleep(9 * time.Second)
			if err := q.changeVisibility(m.ReceiptHandle, 10); err != nil {
				q.Fatal(err)
			}
		}
		q.wantCounts(q.url, 0, 1, 0)
		time.Sleep(10 * time.Second)
		wantError(q, q.changeVisibility(m.ReceiptHandle, 10), codeMessageNotInflight)
		q.wantCounts(q.url, 1, 0, 0)
	})
}

// TestVisibilityShortenedWakesPoller: a lease that is cut short must wake a
// poller at the new moment, not the old one.
func TestVisibilityShortenedWakesPoller(t *testing.T) {
	inBubble(t, map[string]string{attrVisibilityTimeout: "600"}, func(q *testQueue) {
		q.send("x")
		m := q.receiveOne(awssqs.ReceiveMessageInput{})
		begun := time.Now()
		go func() {
			time.Sleep(2 * time.Second)
			if err := q.changeVisibility(m.ReceiptHandle, 3); err != nil {
				q.Error(err)
			}
		}()
		q.receiveOne(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20})
		q.elapsed(begun, 5*time.Second)
	})
}

func TestVisibilityHasATotalLimit(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		q.send("x")
		m := q.receiveOne(awssqs.ReceiveMessageInput{VisibilityTimeout: 7200})
		time.Sleep(time.Hour)
		wantError(q, q.changeVisibility(m.ReceiptHandle, maxVisibilityTimeout), codeInvalidParameterValue)
		if err := q.changeVisibility(m.ReceiptHandle, maxVisibilityTimeout-3600); err != nil {
			q.Error(err)
		}
	})
}

func TestRetention(t *testing.T) {
	inBubble(t, map[string]string{attrMessageRetentionPeriod: "60"}, func(q *testQueue) {
		q.send("ready")
		q.send("in flight")
		q.receiveOne(awssqs.ReceiveMessageInput{VisibilityTimeout: 600})
		time.Sleep(59 * time.Second)
		q.send("later")
		q.wantCounts(q.url, 2, 1, 0)
		time.Sleep(time.Second)
		q.wantCounts(q.url, 1, 0, 0)
		if err := q.set(q.url, map[string]string{attrMessageRetentionPeriod: "120"}); err != nil {
			q.Fatal(err)
		}
		time.Sleep(60 * time.Second)
		q.wantCounts(q.url, 1, 0, 0)
		if err := q.set(q.url, map[string]string{attrMessageRetentionPeriod: "62"}); err != nil {
			q.Fatal(err)
		}
		q.wantCounts(q.url, 1, 0, 0)
		time.Sleep(time.Second)
		q.wantCounts(q.url, 0, 0, 0)
	})
}

// TestRetentionInDeadLetterQueue: the period counts from when the message was
// first sent, not from when it died.
func TestRetentionInDeadLetterQueue(t *testing.T) {
	inBubble(t, map[string]string{attrVisibilityTimeout: "20"}, func(q *testQueue) {
		dead := q.create("dead", map[string]string{attrMessageRetentionPeriod: "60"})
		if err := q.set(q.url, q.redrivePolicy("dead", 1)); err != nil {
			q.Fatal(err)
		}
		q.send("x")
		time.Sleep(5 * time.Second)
		q.receiveOne(awssqs.ReceiveMessageInput{})
		if got := q.receive(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20}); len(got) != 0 {
			q.Error("received the message twice")
		}
		if got := q.receive(awssqs.ReceiveMessageInput{WaitTimeSeconds: 1}); len(got) != 0 {
			q.Error("received the message twice")
		}
		q.wantCounts(dead, 1, 0, 0)
		time.Sleep(33 * time.Second)
		q.wantCounts(dead, 1, 0, 0)
		time.Sleep(time.Second)
		q.wantCounts(dead, 0, 0, 0)
	})
}

func TestPurgeAgainAfterAMinute(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		purge := func() error {
			_, err := q.client.PurgeQueue(q.Context(), &awssqs.PurgeQueueInput{QueueUrl: &q.url})
			return err
		}
		if err := purge(); err != nil {
			q.Fatal(err)
		}
		time.Sleep(purgeInterval*time.Second - time.Millisecond)
		wantError(q, purge(), codePurgeQueueInProgress)
		time.Sleep(time.Millisecond)
		if err := purge(); err != nil {
			q.Error(err)
		}
	})
}

// TestLongPollWakesOnDeadLetter: a message that dies on arrival in one queue
// wakes the poller of the other.
func TestLongPollWakesOnDeadLetter(t *testing.T) {
	inBubble(t, map[string]string{attrVisibilityTimeout: "4"}, func(q *testQueue) {
		dead := q.create("dead", nil)
		if err := q.set(q.url, q.redrivePolicy("dead", 1)); err != nil {
			q.Fatal(err)
		}
		q.send("x")
		q.receiveOne(awssqs.ReceiveMessageInput{})
		begun := time.Now()
		alive := q.poll(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20})
		q.receiveOne(awssqs.ReceiveMessageInput{QueueUrl: &dead, WaitTimeSeconds: 20})
		q.elapsed(begun, 4*time.Second)
		if got := <-alive; len(got) != 0 {
			q.Errorf("received a message that had died")
		}
	})
}

// TestCancelledPollerHandsItsWakeUpOn sends a message at the moment at which
// the poller that has waited longest gives up. If that one does not get the
// message, the next must, without waiting for anything more.
func TestCancelledPollerHandsItsWakeUpOn(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		queue := q.server.queues.named("q")
		opts := receiveOptions{limit: 1, timeout: 30, wait: 20 * time.Second}
		handedOn := 0
		for range 200 {
			first, cancel := context.WithCancel(q.Context())
			results := make(chan int, 2)
			begun := time.Now()
			poll := func(ctx context.Context) {
				got, err := q.server.receive(ctx, queue, opts)
				if err != nil && !errors.Is(err, context.Canceled) {
					q.Error(err)
				}
				results <- len(got)
			}
			go poll(first)
			synctest.Wait()
			go poll(q.Context())
			synctest.Wait()
			go cancel()
			if err := q.server.Send(q.Context(), "q", "x"); err != nil {
				q.Fatal(err)
			}
			if got := <-results; got == 0 {
				handedOn++
				if got = <-results; got != 1 {
					q.Fatal("a message lay in the queue while a poller waited")
				}
				q.elapsed(begun, 0)
				continue
			}
			cancel()
			if err := q.server.Send(q.Context(), "q", "for the other"); err != nil {
				q.Fatal(err)
			}
			<-results
		}
		q.Logf("the first poller gave up in %d of 200 cases", handedOn)
	})
}

// TestLeaveHandsOn is the same without chance.
func TestLeaveHandsOn(t *testing.T) {
	server := openServer(t, t.TempDir())
	if err := server.CreateQueue(t.Context(), "q", nil); err != nil {
		t.Fatal(err)
	}
	q := server.queues.named("q")
	first, second := newPoller(), newPoller()
	q.mu.Lock()
	q.enrol(first, now())
	q.enrol(second, now())
	q.mu.Unlock()
	if err := server.Send(t.Context(), "q", "x"); err != nil {
		t.Fatal(err)
	}
	if len(first.wake) != 1 || len(second.wake) != 0 {
		t.Fatalf("%d and %d wake-ups, want 1 and 0", len(first.wake), len(second.wake))
	}
	q.leave(first)
	if len(second.wake) != 1 {
		t.Error("the wake-up was lost")
	}
}

func TestCloseEndsPolls(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		begun := time.Now()
		polled := q.poll(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20})
		synctest.Wait()
		if err := q.server.Close(); err != nil {
			q.Fatal(err)
		}
		if got := <-polled; len(got) != 0 {
			q.Errorf("received %d messages", len(got))
		}
		q.elapsed(begun, 0)
		_, err := q.client.ListQueues(q.Context(), &awssqs.ListQueuesInput{})
		var refusal *types.QueueDoesNotExist
		if err == nil || errors.As(err, &refusal) {
			q.Errorf("a closed server answered with %v", err)
		}
		if err := q.server.Send(q.Context(), "q", "x"); err == nil {
			q.Error("a closed server took a message")
		}
	})
}

// TestInFlightLimit pretends that all but one of the leases are out already.
func TestInFlightLimit(t *testing.T) {
	q := newTestQueue(t, nil)
	queue := q.server.queues.named("q")
	queue.mu.Lock()
	queue.inFlight = maxInFlight - 1
	queue.mu.Unlock()
	if _, err := q.sendBatch(sendEntries("0", "1", "2")); err != nil {
		t.Fatal(err)
	}
	last := q.receiveOne(awssqs.ReceiveMessageInput{MaxNumberOfMessages: 10})
	_, err := q.tryReceive(awssqs.ReceiveMessageInput{})
	wantError(t, err, codeOverLimit)
	q.wantCounts(q.url, 2, maxInFlight, 0)
	q.delete(last.ReceiptHandle)
	q.receiveOne(awssqs.ReceiveMessageInput{})
}
