package sqs

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// pollWait is how long a ReceiveMessage waits for a first message, SQS's maximum.
	pollWait = 20 * time.Second
	// pollSpacing is how far apart the polls of a receiver are when they bring less than it has slots for: what comes in
	// between shares the next one. While they bring less than half of that and messages keep coming, it grows up to
	// pollSpacingLimit. A queue at rest is always being polled, and a full one without a pause.
	pollSpacing      = 20 * time.Millisecond
	pollSpacingLimit = 100 * time.Millisecond
	// pollGrace is how long a ReceiveMessage may go on once receiving has to stop. Its answer may be on the way already,
	// and messages in an answer that nobody reads are out of sight until their visibility timeout.
	pollGrace = 250 * time.Millisecond
	// receiveBackoff and receiveLimit space attempts while receiving fails.
	receiveBackoff = 500 * time.Millisecond
	receiveLimit   = 20 * time.Second
)

// addReceiver starts another receiver if there are fewer than one for every ten slots.
func (s *subscription) addReceiver(ctx context.Context) {
	most := int32(max(1, s.config.Slots/maxBatchEntries))
	if s.polling.Add(1) > most {
		s.polling.Add(-1)
		return
	}
	s.receivers.Go(func() { s.receive(ctx) })
}

// reconsider calls another receiver up after a full batch, which tells of more in the queue, if there are slots for it
// and polls do not slow each other down. It reports whether there are too many already.
func (s *subscription) reconsider(ctx context.Context, took time.Duration) (tooMany bool) {
	s.pollTimes.note(took)
	enough, tooMany := s.pollTimes.crowded()
	if !enough && s.slots.plenty() {
		s.addReceiver(ctx)
	}
	return tooMany
}

// dropReceiver reports whether a receiver may end, leaving at least one.
func (s *subscription) dropReceiver() bool {
	if s.polling.Add(-1) > 0 {
		return true
	}
	s.polling.Add(1)
	return false
}

// receive takes slots, polls and hands each message over, again and again until ctx ends. A full batch may call another
// receiver up. A mostly empty answer, an error, or too few slots, with which it would only break a batch that another
// one could take whole, send all but one home.
func (s *subscription) receive(ctx context.Context) {
	spacing := pollSpacing
	for failures := 0; ; {
		open, ok := s.gate.pass(ctx)
		if !ok || ctx.Err() != nil {
			return
		}
		taken := s.slots.take(open)
		if taken == 0 {
			continue
		}
		if taken < s.slots.enough && s.dropReceiver() {
			s.slots.give(taken)
			return
		}
		began := time.Now()
		received, err := s.poll(open, taken)
		s.slots.give(taken - len(received))
		spare := len(received) == maxBatchEntries && s.reconsider(ctx, time.Since(began))
		s.accept(open, received)
		if spare && s.dropReceiver() {
			return
		}
		switch {
		case open.Err() != nil:
		case err != nil:
			failures++
			s.fail(actionReceive, err)
			if s.dropReceiver() || !sleep(ctx, fullJitter(receiveBackoff, receiveLimit, failures)) {
				return
			}
		default:
			failures = 0
			if len(received) == taken {
				continue
			}
			if 2*len(received) < taken && s.dropReceiver() {
				return
			}
			spacing = nextSpacing(spacing, taken, len(received), time.Since(began))
			sleep(open, spacing-time.Since(began))
		}
	}
}

// nextSpacing is how far from the beginning of the last poll the next one is, after a poll that had slots for more
// than the messages it received and took so long.
func nextSpacing(spacing time.Duration, slots, received int, took time.Duration) time.Duration {
	switch {
	case took > spacing:
		return pollSpacing // it had to wait
	case 2*received < slots:
		return min(2*spacing, pollSpacingLimit)
	default:
		return spacing
	}
}

// poll receives up to limit messages. When ctx ends it returns within pollGrace, with what has come until then.
func (s *subscription) poll(ctx context.Context, limit int) ([]types.Message, error) {
	polling, cancel := context.WithTimeout(context.WithoutCancel(ctx), responseTimeout)
	defer cancel()
	stopWatching := context.AfterFunc(ctx, func() { time.AfterFunc(pollGrace, cancel) })
	defer stopWatching()

	output, err := s.client.ReceiveMessage(polling, &awssqs.ReceiveMessageInput{
		QueueUrl:                    aws.String(s.url),
		MaxNumberOfMessages:         int32(limit),
		WaitTimeSeconds:             wholeSeconds(pollWait),
		VisibilityTimeout:           wholeSeconds(s.config.VisibilityTimeout),
		MessageSystemAttributeNames: receivedAttributes,
	}, func(o *awssqs.Options) { o.Retryer = aws.NopRetryer{} }) // receive backs off itself, for as long as it takes
	if err != nil {
		return nil, err
	}
	s.faults.clear(actionReceive)
	s.metrics.received.WithLabelValues(s.topic).Add(float64(len(output.Messages)))
	s.metrics.batch.WithLabelValues(s.topic, actionReceive).Observe(float64(len(output.Messages)))
	return output.Messages, nil
}

// accept takes leases on received messages, for which there are slots, and hands them over, or gives them back if open
// ends before someone takes them.
func (s *subscription) accept(open context.Context, received []types.Message) {
	lifetime := context.WithoutCancel(open)
	leases := make([]*lease, len(received))
	for i, m := range received {
		leases[i] = newLease(lifetime, Decode(m), aws.ToString(m.ReceiptHandle))
	}
	s.leases.add(time.Now().Add(s.config.VisibilityTimeout), leases)
	s.inFlight.Add(float64(len(leases)))
	taken := make(chan *lease, len(leases))
	defer close(taken)
	s.handlers.Go(func() { s.watch(taken) })
	for _, l := range leases {
		if s.handOver(open, l) {
			taken <- l
		} else {
			s.release(l)
			s.letGo(1)
		}
	}
}

func (s *subscription) expire(l *lease) { s.lose(l, "visibility timeout passed without a heartbeat") }
