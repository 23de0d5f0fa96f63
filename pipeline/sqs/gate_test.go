package sqs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sluice-media/sluice/pipeline/sqs"
)

var errAway = errors.New("scanner away")

// TestPauseGateBurnsNoReceiveCounts: while the gate is shut messages stay where they are.
func TestPauseGateBurnsNoReceiveCounts(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	open := make(chan struct{})
	b.config.Gate = func(context.Context) error {
		select {
		case <-open:
			return nil
		default:
			return errAway
		}
	}
	b.publish(5)
	subscriber := b.subscriber()
	messages, err := subscriber.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	b.eventually("paused", subscriber.Paused)
	b.none(messages, 2*time.Second)
	if n := b.requests.count("ReceiveMessage"); n != 0 {
		t.Errorf("received %d times while paused", n)
	}
	if n := b.metric("sluice_sqs_paused", topic); n != 1 {
		t.Errorf("metric says %v", n)
	}
	close(open)
	for range 5 {
		msg := b.next(messages)
		if n := sqs.ReceiveCount(msg); n != 1 {
			t.Errorf("message %s has been received %d times", msg.UUID, n)
		}
		msg.Ack()
	}
	if subscriber.Paused() {
		t.Error("still paused")
	}
	if paused, resumed := b.logs.count("receiving paused"), b.logs.count("receiving resumed"); paused != 1 || resumed != 1 {
		t.Errorf("logged %d pauses and %d resumptions", paused, resumed)
	}
}

// TestGateShutsAfterAFailure: what the gate guards goes away while a poll is waiting and a handler is at work.
func TestGateShutsAfterAFailure(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.config.BackoffBase = time.Millisecond
	b.config.BackoffCap = time.Millisecond
	away := make(chan struct{})
	b.config.Gate = func(context.Context) error {
		select {
		case <-away:
			return errAway
		default:
			return nil
		}
	}
	b.publish(1)
	subscriber := b.subscriber()
	messages, err := subscriber.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	msg := b.next(messages)
	b.eventually("a second poll", func() bool { return b.requests.count("ReceiveMessage") == 2 })
	close(away)
	msg.Nack()
	b.eventually("paused", subscriber.Paused)
	b.none(messages, 2*time.Second)
	b.depth(1, 0)
}
