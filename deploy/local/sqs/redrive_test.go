package sqs

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
)

// TestRedriveAfterExpiredLeases: leases that run out count as receives just as
// those that are given back.
func TestRedriveAfterExpiredLeases(t *testing.T) {
	inBubble(t, map[string]string{attrVisibilityTimeout: "3"}, func(q *testQueue) {
		dead := q.create("dead", nil)
		if err := q.set(q.url, q.redrivePolicy("dead", 3)); err != nil {
			q.Fatal(err)
		}
		id := q.send("x")
		for range 3 {
			q.receiveOne(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20})
		}
		time.Sleep(3 * time.Second)
		q.wantCounts(q.url, 1, 0, 0)
		if got := q.receive(awssqs.ReceiveMessageInput{}); len(got) != 0 {
			q.Error("received the message a fourth time")
		}
		if m := q.receiveOne(awssqs.ReceiveMessageInput{QueueUrl: &dead}); *m.MessageId != id {
			q.Errorf("the dead-letter queue has %s", *m.MessageId)
		}
	})
}

// TestRedriveLetsOthersThrough: dead messages ahead of a live one must not keep
// it from being received.
func TestRedriveLetsOthersThrough(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		dead := q.create("dead", nil)
		if err := q.set(q.url, q.redrivePolicy("dead", 1)); err != nil {
			q.Fatal(err)
		}
		for range 15 {
			q.send("dies")
		}
		for range 2 {
			for _, m := range q.receive(awssqs.ReceiveMessageInput{MaxNumberOfMessages: 10}) {
				if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
					q.Fatal(err)
				}
			}
		}
		live := q.send("lives")
		if m := q.receiveOne(awssqs.ReceiveMessageInput{}); *m.MessageId != live {
			q.Errorf("received %q", *m.Body)
		}
		q.wantCounts(dead, 15, 0, 0)
	})
}

// TestRedriveWithoutItsQueue: when the dead-letter queue has been deleted, the
// messages stay and are received on.
func TestRedriveWithoutItsQueue(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		dead := q.create("dead", nil)
		if err := q.set(q.url, q.redrivePolicy("dead", 1)); err != nil {
			q.Fatal(err)
		}
		if _, err := q.client.DeleteQueue(q.Context(), &awssqs.DeleteQueueInput{QueueUrl: &dead}); err != nil {
			q.Fatal(err)
		}
		q.send("x")
		for range 3 {
			m := q.receiveOne(awssqs.ReceiveMessageInput{})
			if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
				q.Fatal(err)
			}
		}
	})
}

// TestRedriveWhileItsQueueGoes: the dead-letter queue is deleted between being
// found and being locked.
func TestRedriveWhileItsQueueGoes(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		q.create("dead", nil)
		if err := q.set(q.url, q.redrivePolicy("dead", 1)); err != nil {
			q.Fatal(err)
		}
		q.send("x")
		m := q.receiveOne(awssqs.ReceiveMessageInput{})
		if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
			q.Fatal(err)
		}
		dead := q.server.queues.named("dead")
		dead.mu.Lock()
		dead.deleted = true
		dead.mu.Unlock()
		q.receiveOne(awssqs.ReceiveMessageInput{})
	})
}

// TestRedriveChain: receives in the first queue do not count in the second.
func TestRedriveChain(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		last := q.create("last", nil)
		middle := q.create("middle", q.redrivePolicy("last", 1))
		if err := q.set(q.url, q.redrivePolicy("middle", 1)); err != nil {
			q.Fatal(err)
		}
		q.send("x")
		for _, url := range []string{q.url, middle} {
			m := q.receiveOne(awssqs.ReceiveMessageInput{QueueUrl: &url})
			_, err := q.client.ChangeMessageVisibility(q.Context(), &awssqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
			if err != nil {
				q.Fatal(err)
			}
			if got := q.receive(awssqs.ReceiveMessageInput{QueueUrl: &url}); len(got) != 0 {
				q.Error("received a message again")
			}
		}
		if m := q.receiveOne(awssqs.ReceiveMessageInput{QueueUrl: &last}); m.Attributes[systemReceiveCount] != "3" || m.Attributes[systemSource] != q.server.arn("middle") {
			q.Errorf("the last queue has %v", m.Attributes)
		}
	})
}

// TestRedriveInCircles makes two queues each other's dead-letter queue and
// receives from both at once: neither locks the other out.
func TestRedriveInCircles(t *testing.T) {
	q := newTestQueue(t, map[string]string{attrVisibilityTimeout: "0"})
	other := q.create("other", q.redrivePolicy("q", 1))
	if err := q.set(other, map[string]string{attrVisibilityTimeout: "0"}); err != nil {
		t.Fatal(err)
	}
	if err := q.set(q.url, q.redrivePolicy("other", 1)); err != nil {
		t.Fatal(err)
	}
	const messages = 20
	for range messages {
		q.send("x")
	}
	var consumers sync.WaitGroup
	for _, name := range []string{"q", "other", "q", "other"} {
		queue := q.server.queues.named(name)
		consumers.Go(func() {
			for range 3000 {
				if _, _, err := q.server.tryReceive(queue, receiveOptions{limit: 10}, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	consumers.Wait()
	left := 0
	for _, name := range []string{"q", "other"} {
		queue := q.server.queues.named(name)
		queue.mu.Lock()
		left += len(queue.messages)
		queue.mu.Unlock()
	}
	if left != messages {
		t.Errorf("%d messages are left, want %d", left, messages)
	}
}

// TestLockOrder: whoever needs two queues takes the older one's mutex first, or
// two such would wait for each other.
func TestLockOrder(t *testing.T) {
	older := newQueue(1, "older", "", 0, &settings{}, nil)
	newer := newQueue(2, "newer", "", 0, &settings{}, nil)
	older.mu.Lock()
	started, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		close(started)
		lockBoth(newer, older)()
	}()
	<-started
	for range 10_000 {
		if !newer.mu.TryLock() {
			t.Fatal("the newer queue was locked first")
		}
		newer.mu.Unlock()
		runtime.Gosched()
	}
	older.mu.Unlock()
	<-done
}

// TestQueuesDoNotTick: polls that have ended leave no timer behind.
func TestQueuesDoNotTick(t *testing.T) {
	inBubble(t, map[string]string{attrVisibilityTimeout: "1"}, func(q *testQueue) {
		queue := q.server.queues.named("q")
		q.send("x")
		q.receiveOne(awssqs.ReceiveMessageInput{})
		q.receiveOne(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20})
		time.Sleep(time.Minute)
		synctest.Wait()
		queue.mu.Lock()
		defer queue.mu.Unlock()
		if queue.alarmAt != 0 {
			q.Errorf("an alarm is set without pollers")
		}
		if queue.inFlight != 1 {
			q.Error("the queue looked at its deadlines though nobody asked")
		}
	})
}
