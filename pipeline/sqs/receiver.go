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
	// between shares the next one. A queue at rest is always being polled, and a full one without a pause.
	pollSpacing = 20 * time.Millisecond
	// pollGrace is how long a ReceiveMessage may go on once receiving has to stop. Its answer may be on the way already,
	// and messages in an answer that nobody reads are out of sight until their visibility timeout.
	pollGrace = 250 * time.Millisecond
	// receiveBackoff and receiveLimit space attempts while receiving fails.
	receiveBackoff = 500 * time.Millisecond
	receiveLimit   = 20 * time.Second
)

// addReceiver starts another receiver if there are fewer than one for every ten slots.
func (s *subscription) addReceiver(ctx context.Context) {
	most := int32((s.config.Slots + maxBatchEntries - 1) / maxBatchEntries)
	if s.polling.Add(1) > most {
		s.polling.Add(-1)
		return
	}
	s.receivers.Go(func() { s.receive(ctx) })
}

// dropReceiver reports whether a receiver may end, leaving at least one.
func (s *subscription) dropReceiver() bool {
	if s.polling.Add(-1) > 0 {
		return true
	}
	s.polling.Add(1)
	return false
}

// receive takes slots, polls and starts a handler for each message, again and again until ctx ends. A full answer
// tells of more in the queue and calls another receiver up; one that is mostly empty, or an error, sends all but one
// home.
func (s *subscription) receive(ctx context.Context) {
	for failures := 0; ; {
		open, ok := s.gate.pass(ctx)
		if !ok || ctx.Err() != nil {
			return
		}
		taken := s.slots.take(open, maxBatchEntries)
		if taken == 0 {
			continue
		}
		began := time.Now()
		received, err := s.poll(open, taken)
		s.slots.give(taken - len(received))
		for _, m := range received {
			s.accept(open, m)
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
				s.addReceiver(ctx)
				continue
			}
			if 2*len(received) < taken && s.dropReceiver() {
				return
			}
			sleep(open, pollSpacing-time.Since(began))
		}
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

// accept takes a lease on a received message, for which there is a slot, and has it handled, or given back if open
// has ended.
func (s *subscription) accept(open context.Context, received types.Message) {
	msg := decodeBody(aws.ToString(received.Body), aws.ToString(received.MessageId))
	describe(msg, received)
	l := newLease(context.WithoutCancel(open), msg, aws.ToString(received.ReceiptHandle), s.config.VisibilityTimeout, s.expire)
	s.leases.add(l)
	s.handlers.Go(func() { s.handle(open, l) })
}

func (s *subscription) expire(l *lease) { s.lose(l, "visibility timeout passed without a heartbeat") }
