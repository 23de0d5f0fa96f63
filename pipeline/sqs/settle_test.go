package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluice-media/sluice/pipeline/sqs"
)

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
	b.eventually("it in the log", func() bool {
		return b.logs.count("message will be delivered again") == 1 && b.logs.count("ReceiptHandleIsInvalid") == 1
	})
}

// TestAnAckWaitsForNoOtherMessage: not for one of its batch that nobody takes, and not for one whose handler is slow.
func TestAnAckWaitsForNoOtherMessage(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = time.Minute
	b.publish(4)
	messages := b.subscribe(t.Context())
	acked := func(n float64) {
		t.Helper()
		b.eventually(fmt.Sprintf("%v acks", n), func() bool { return b.metric("sluice_sqs_settled_messages_total", "ack") == n })
	}
	b.next(messages).Ack()
	acked(1)
	slow := b.next(messages)
	b.next(messages).Ack()
	acked(2)
	b.next(messages).Ack()
	acked(3)
	slow.Ack()
	acked(4)
}

// TestANackComesAfterAHeartbeatThatIsOnItsWay: in the other order the heartbeat would hide what has been given back.
func TestANackComesAfterAHeartbeatThatIsOnItsWay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.VisibilityTimeout = 6 * time.Second
	b.config.BackoffBase = time.Millisecond
	b.config.BackoffCap = time.Millisecond
	begun, others := make(chan struct{}), make(chan struct{}, 10)
	b.requests.on("ChangeMessageVisibilityBatch", func(r *http.Request, nth int, next awssqs.HTTPClient) (*http.Response, error) {
		if nth > 1 {
			response, err := next.Do(r)
			others <- struct{}{}
			return response, err
		}
		close(begun)
		select {
		case <-others: // the nack overtook this
		case <-time.After(time.Second):
		}
		return next.Do(r)
	})
	b.publish(1)
	messages := b.subscribe(t.Context())
	msg := b.next(messages)
	<-begun
	msg.Nack()
	nacked := time.Now()
	again := b.next(messages)
	if took := time.Since(nacked); took > 4*time.Second {
		t.Errorf("the message came back after %s", took)
	}
	again.Ack()
	b.depth(0, 0)
}
