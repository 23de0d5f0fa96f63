package sqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrClosed is returned by a Subscriber and a Publisher that have been closed.
var ErrClosed = errors.New("sqs transport is closed")

// Subscriber is a Watermill message.Subscriber on SQS.
//
// It delivers messages concurrently, as many at once and per subscription as SubscriberConfig.Slots, in no
// particular order and at least once. Each message's context lives from its receipt to its ack or nack; it outlives
// shutdown, and ends early, with ErrLeaseLost or ErrDrained as the cause, when there is no more point in handling it.
//
// A subscription ends when its context does or when the Subscriber is closed, which are the same thing: it stops
// receiving, lets handlers finish for SubscriberConfig.DrainGrace, gives back what is left, sends the outstanding
// acks and nacks and then closes the channel. A Watermill Router wants a CloseTimeout longer than DrainGrace + 10 s.
type Subscriber struct {
	queues  *Queues
	config  SubscriberConfig
	metrics *Metrics
	logger  *slog.Logger

	mu            sync.Mutex
	closed        bool
	subscriptions map[*subscription]context.CancelFunc
	running       sync.WaitGroup
}

var _ message.Subscriber = (*Subscriber)(nil)

// NewSubscriber returns a Subscriber; an error when config is not valid.
func NewSubscriber(queues *Queues, config SubscriberConfig, metrics *Metrics, logger *slog.Logger) (*Subscriber, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("sqs subscriber: %w", err)
	}
	return &Subscriber{
		queues:        queues,
		config:        config,
		metrics:       metrics,
		logger:        logger,
		subscriptions: map[*subscription]context.CancelFunc{},
	}, nil
}

// Subscribe starts to receive the topic's messages. A topic whose queue does not exist is an error.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	url, err := s.queues.URL(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe to topic %q: %w", topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("subscribe to topic %q: %w", topic, ErrClosed)
	}
	ctx, stop := context.WithCancel(ctx)
	sub := newSubscription(s, topic, url)
	s.subscriptions[sub] = stop
	s.running.Go(func() {
		defer stop()
		sub.run(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscriptions, sub)
	})
	return sub.out, nil
}

// Close ends all subscriptions and returns when they have drained. It may be called more than once.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, stop := range s.subscriptions {
		stop()
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// Paused reports whether the gate keeps the subscriber from receiving.
func (s *Subscriber) Paused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.subscriptions {
		if sub.gate.isPaused() {
			return true
		}
	}
	return false
}
