package sqs

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// heartbeat renews all leases every third of the visibility timeout until ctx ends. A renewal that fails for a passing
// reason has two more chances before the lease expires by itself.
func (s *subscription) heartbeat(ctx context.Context) {
	interval := s.config.VisibilityTimeout / 3
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.renewAll(ctx, interval)
		}
	}
}

// renewAll renews the leases in batches side by side, so that a slow answer makes none of the others late.
func (s *subscription) renewAll(ctx context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var batches sync.WaitGroup
	for batch := range slices.Chunk(s.leases.all(), maxBatchEntries) {
		batches.Go(func() { s.renew(ctx, batch) })
	}
	batches.Wait()
}

func (s *subscription) renew(ctx context.Context, batch []*lease) {
	batch = s.leases.beginRenewals(batch)
	if len(batch) == 0 {
		return
	}
	defer func() {
		for _, l := range batch {
			l.renewals.Done()
		}
	}()
	entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(batch))
	for i, l := range batch {
		entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
			Id:                entryID(i),
			ReceiptHandle:     &l.receiptHandle,
			VisibilityTimeout: wholeSeconds(s.config.VisibilityTimeout),
		}
	}
	expires := time.Now().Add(s.config.VisibilityTimeout) // from before the request: SQS counts from later on
	results, err := s.changeVisibility(ctx, entries)
	if err != nil {
		s.fail(actionExtend, err)
		return
	}
	s.faults.clear(actionExtend)
	for i, l := range batch {
		switch {
		case results[i] == nil:
			s.leases.extend(l, expires)
		case isSenderFault(results[i]):
			s.lose(l, results[i].Error())
		}
	}
	s.metrics.batch.WithLabelValues(s.topic, actionExtend).Observe(float64(len(batch)))
}

// changeVisibility sends one ChangeMessageVisibilityBatch and returns the result of each entry.
func (s *subscription) changeVisibility(ctx context.Context, entries []types.ChangeMessageVisibilityBatchRequestEntry) ([]error, error) {
	output, err := s.client.ChangeMessageVisibilityBatch(ctx, &awssqs.ChangeMessageVisibilityBatchInput{
		QueueUrl: aws.String(s.url),
		Entries:  entries,
	})
	if err != nil {
		return nil, err
	}
	succeeded := make([]*string, len(output.Successful))
	for i, entry := range output.Successful {
		succeeded[i] = entry.Id
	}
	return entryResults(len(entries), succeeded, output.Failed), nil
}
