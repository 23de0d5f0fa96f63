package sqs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
)

// flushTimeout is how long the last acks and nacks may take once the grace of the handlers has ended.
const flushTimeout = 10 * time.Second

// watchPatience is how long the handlers of a batch may take before each is waited for by itself. An ack waits for others
// for much longer.
const watchPatience = 5 * time.Millisecond

// subscription receives one topic's messages until its context ends, and then drains.
type subscription struct {
	topic   string
	url     string
	client  *awssqs.Client
	config  SubscriberConfig
	metrics *Metrics
	logger  *slog.Logger

	inFlight   prometheus.Gauge
	settledHow map[string]prometheus.Counter // by the label "how"

	out    chan *message.Message
	slots  *slots
	gate   *gate
	leases *leaseTable
	acks   *batcher[*lease]
	nacks  *batcher[returned]
	faults faultLog

	receivers  sync.WaitGroup
	polling    atomic.Int32 // receivers running
	pollTimes  pollTimes
	handlers   sync.WaitGroup
	graceEnded chan struct{} // closed when handlers have had their time after shutdown

	settlingEnded <-chan struct{} // closed when acks and nacks can no longer be sent
}

func newSubscription(s *Subscriber, topic, url string) *subscription {
	logger := s.logger.With("topic", topic)
	sub := &subscription{
		topic:      topic,
		url:        url,
		client:     s.queues.client,
		config:     s.config,
		metrics:    s.metrics,
		logger:     logger,
		inFlight:   s.metrics.inFlight.WithLabelValues(topic),
		settledHow: map[string]prometheus.Counter{},
		out:        make(chan *message.Message),
		slots:      newSlots(s.config.Slots),
		gate:       newGate(s.config.Gate, s.metrics.paused.WithLabelValues(topic), logger),
		faults:     faultLog{logger: logger},
		graceEnded: make(chan struct{}),
	}
	sub.leases = newLeaseTable(sub.expire)
	for _, how := range []string{settledAck, settledNack, settledRelease, settledLost} {
		sub.settledHow[how] = s.metrics.settled.WithLabelValues(topic, how)
	}
	return sub
}

// run receives until ctx ends, drains, and closes the subscription's channel.
func (s *subscription) run(ctx context.Context) {
	defer close(s.out)
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	s.startSettling(working)
	var background sync.WaitGroup
	background.Go(func() { s.heartbeat(working) })
	background.Go(func() { s.gate.watch(ctx) })

	s.addReceiver(ctx)
	s.receivers.Wait()

	grace := time.AfterFunc(s.config.DrainGrace, s.endGrace)
	limit := time.AfterFunc(s.config.DrainGrace+flushTimeout, stopWorking)
	s.handlers.Wait()
	s.stopSettling()
	grace.Stop()
	limit.Stop()
	stopWorking()
	background.Wait()
}

// watch sees to the messages of a batch that are taken, until taken is closed. Those whose handlers are quick go together,
// which saves a goroutine for each. No other waits for them.
func (s *subscription) watch(taken <-chan *lease) {
	acked, next := quickAcks(taken)
	if len(acked) > 0 {
		s.handlers.Go(func() {
			s.ack(acked...)
			s.letGo(len(acked))
		})
	}
	if next != nil {
		s.handlers.Go(func() { s.handle(next) })
	}
	for l := range taken {
		s.handlers.Go(func() { s.handle(l) })
	}
}

// quickAcks returns the messages that are taken and acked within watchPatience, and the first one that is taken and not.
func quickAcks(taken <-chan *lease) (acked []*lease, next *lease) {
	patience := time.NewTimer(watchPatience)
	defer patience.Stop()
	for {
		select {
		case l, ok := <-taken:
			if !ok || !isAcked(l, patience.C) {
				return acked, l
			}
			acked = append(acked, l)
		case <-patience.C:
			return acked, nil
		}
	}
}

// isAcked reports whether the handler that took the message acks it before the lease or the patience ends.
func isAcked(l *lease, patience <-chan time.Time) bool {
	select {
	case <-l.msg.Acked():
		return true
	case <-l.msg.Nacked():
	case <-l.done:
	case <-patience:
	}
	return false
}

// handle waits for the verdict of the handler that took the message, and passes that on.
func (s *subscription) handle(l *lease) {
	defer s.letGo(1)
	select {
	case <-l.msg.Acked():
		s.ack(l)
	case <-l.msg.Nacked():
		s.nack(l)
	case <-l.done:
		s.outlived(l)
	}
}

// outlived is for a handler whose lease has ended. When it is lost, the handler keeps its slot until it returns, since it
// is still at work.
func (s *subscription) outlived(l *lease) {
	if errors.Is(l.cause, ErrDrained) {
		select {
		case <-l.msg.Acked(): // just in time
			s.ack(l)
		default:
			s.giveBack(returned{l, 0, settledRelease})
		}
		return
	}
	select {
	case <-l.msg.Acked():
	case <-l.msg.Nacked():
	case <-s.graceEnded:
	}
}

// endGrace ends the leases of all handlers that have not finished.
func (s *subscription) endGrace() {
	for _, l := range s.leases.all() {
		s.leases.end(ErrDrained, l)
	}
	close(s.graceEnded)
}

// letGo is the end of so many messages here.
func (s *subscription) letGo(messages int) {
	s.inFlight.Sub(float64(messages))
	s.slots.give(messages)
}

// handOver reports whether someone took the message before ctx or its lease ended.
func (s *subscription) handOver(ctx context.Context, l *lease) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case s.out <- l.msg:
		return true
	case <-ctx.Done():
		return false
	case <-l.done:
		return false
	}
}

// lose ends a lease that could not be kept.
func (s *subscription) lose(l *lease, reason string) {
	if len(s.leases.end(ErrLeaseLost, l)) > 0 {
		s.settledHow[settledLost].Inc()
		s.logger.Warn("lease lost", "sqs_message_id", l.messageID, "receive_count", l.receiveCount, "reason", reason)
	}
}
