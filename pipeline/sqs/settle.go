package sqs

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// flushers is how many requests of a kind are on their way at once, for each topic.
	flushers = 16
	// settleTimeout is how long a batch of acks or nacks may take, attempts included.
	settleTimeout = 30 * time.Second
)

// ackPatience and nackPatience are how long an ack or nack may wait for others. Nobody waits for an ack, and the message
// is out of sight for much longer; a message that is given back waits for whoever handles it next.
var (
	ackPatience  = patience{lone: 250 * time.Millisecond, quiet: 250 * time.Millisecond, most: 250 * time.Millisecond}
	nackPatience = patience{lone: 100 * time.Millisecond, quiet: 100 * time.Millisecond, most: 100 * time.Millisecond}
)

// errNotFlushed is the result of an ack or nack for which shutdown left no time.
var errNotFlushed = errors.New("shut down before it could be sent")

// returned is a message that becomes visible to others after delay.
type returned struct {
	*lease
	delay time.Duration
	how   string // settledNack or settledRelease
}

// startSettling starts to send acks and nacks, which it can until ctx ends.
func (s *subscription) startSettling(ctx context.Context) {
	s.settlingEnded = ctx.Done()
	s.acks = newBatcher(flushers, ackPatience, weightless[*lease], func(batch []*lease) { s.flushAcks(ctx, batch) })
	s.nacks = newBatcher(flushers, nackPatience, weightless[returned], func(batch []returned) { s.flushNacks(ctx, batch) })
}

// stopSettling returns when all that was added has been sent.
func (s *subscription) stopSettling() {
	s.acks.close()
	s.nacks.close()
}

// weightless is the size of batch entries that are far from the byte limit.
func weightless[T any](T) int { return 0 }

// ack has the messages deleted, unless their leases were lost. Those that shutdown has ended meanwhile count: they have
// not been given back yet.
func (s *subscription) ack(leases ...*lease) {
	s.leases.end(errSettled, leases...)
	held := slices.DeleteFunc(leases, func(l *lease) bool {
		<-l.done
		return errors.Is(l.cause, ErrLeaseLost)
	})
	for _, l := range s.acks.add(s.settlingEnded, held...) {
		s.settled(l, actionDelete, settledAck, errNotFlushed)
	}
}

// nack lets the message come back after a delay that grows with its receive count.
func (s *subscription) nack(l *lease) {
	if len(s.leases.end(errSettled, l)) == 0 {
		<-l.done
		s.outlived(l)
		return
	}
	s.gate.askSoon()
	s.giveBack(returned{l, fullJitter(s.config.BackoffBase, s.config.BackoffCap, l.receiveCount), settledNack})
}

// release gives the message to whoever asks next.
func (s *subscription) release(l *lease) {
	if len(s.leases.end(ErrDrained, l)) > 0 {
		s.giveBack(returned{l, 0, settledRelease})
	}
}

func (s *subscription) giveBack(r returned) {
	if len(s.nacks.add(s.settlingEnded, r)) > 0 {
		s.settled(r.lease, actionReturn, r.how, errNotFlushed)
	}
}

func (s *subscription) flushAcks(ctx context.Context, batch []*lease) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for i, err := range sendEntries(ctx, batch, s.deleteBatch) {
		s.settled(batch[i], actionDelete, settledAck, err)
	}
}

func (s *subscription) deleteBatch(ctx context.Context, batch []*lease) ([]error, error) {
	entries := make([]types.DeleteMessageBatchRequestEntry, len(batch))
	for i, l := range batch {
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: entryID(i), ReceiptHandle: &l.receiptHandle}
	}
	output, err := s.client.DeleteMessageBatch(ctx, &awssqs.DeleteMessageBatchInput{
		QueueUrl: aws.String(s.url),
		Entries:  entries,
	})
	if err != nil {
		return nil, err
	}
	s.metrics.batch.WithLabelValues(s.topic, actionDelete).Observe(float64(len(batch)))
	succeeded := make([]*string, len(output.Successful))
	for i, entry := range output.Successful {
		succeeded[i] = entry.Id
	}
	return entryResults(len(batch), succeeded, output.Failed), nil
}

func (s *subscription) flushNacks(ctx context.Context, batch []returned) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for i, err := range sendEntries(ctx, batch, s.giveBackBatch) {
		s.settled(batch[i].lease, actionReturn, batch[i].how, err)
	}
}

func (s *subscription) giveBackBatch(ctx context.Context, batch []returned) ([]error, error) {
	entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(batch))
	for i, r := range batch {
		r.renewals.Wait() // one that came to SQS later would hide the message again
		entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
			Id:                entryID(i),
			ReceiptHandle:     &r.receiptHandle,
			VisibilityTimeout: wholeSeconds(r.delay),
		}
	}
	results, err := s.changeVisibility(ctx, entries)
	if err == nil {
		s.metrics.batch.WithLabelValues(s.topic, actionReturn).Observe(float64(len(batch)))
	}
	return results, err
}

// settled records what came of an ack, a nack or a release. When it failed, SQS delivers the message again after its
// visibility timeout.
func (s *subscription) settled(l *lease, action, how string, err error) {
	if err != nil {
		s.metrics.errors.WithLabelValues(s.topic, action).Inc()
		s.logger.Warn("message will be delivered again", "after", how, "sqs_message_id", l.messageID, "error", err)
		return
	}
	s.settledHow[how].Inc()
}
