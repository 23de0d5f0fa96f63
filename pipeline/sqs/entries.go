package sqs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// entryAttempts is how often an entry is tried that SQS failed for a reason of its own, in a batch that succeeded.
	// A batch that fails as a whole is the SDK's to retry.
	entryAttempts = 4
	entryBackoff  = 200 * time.Millisecond
	entryLimit    = 2 * time.Second
)

// EntryError is SQS's answer for one entry of a batch.
// See BatchResultErrorEntry in the SQS API reference.
type EntryError struct {
	Code, Message string
	// SenderFault is whether repeating the entry as it is can never succeed.
	SenderFault bool
}

func (e *EntryError) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// errNoResult is for an entry that the answer does not mention.
var errNoResult = errors.New("sqs gave no result for the entry")

// entryID is the id of the i-th entry of a batch. Ids need only be distinct within their batch.
func entryID(i int) *string { return aws.String(strconv.Itoa(i)) }

// entryResults returns one error for each of n entries, nil for those that succeeded.
func entryResults(n int, succeeded []*string, failed []types.BatchResultErrorEntry) []error {
	results := make([]error, n)
	for i := range results {
		results[i] = errNoResult
	}
	set := func(id *string, result error) {
		if i, err := strconv.Atoi(aws.ToString(id)); err == nil && i >= 0 && i < n {
			results[i] = result
		}
	}
	for _, id := range succeeded {
		set(id, nil)
	}
	for _, entry := range failed {
		set(entry.Id, &EntryError{
			Code:        aws.ToString(entry.Code),
			Message:     aws.ToString(entry.Message),
			SenderFault: entry.SenderFault,
		})
	}
	return results
}

// isSenderFault reports whether err is an EntryError that will not go away.
func isSenderFault(err error) bool {
	entry, ok := errors.AsType[*EntryError](err)
	return ok && entry.SenderFault
}

// batchCall sends items as one batch and returns their results in order, or an error that concerns all of them.
type batchCall[T any] func(ctx context.Context, items []T) ([]error, error)

// sendEntries calls call with items and again with those that failed for a passing reason, up to entryAttempts times.
// It returns the last result of each item, nil for success.
func sendEntries[T any](ctx context.Context, items []T, call batchCall[T]) []error {
	final := make([]error, len(items))
	pending := make([]int, len(items)) // indexes into items
	for i := range items {
		pending[i] = i
	}
	for attempt := 1; ; attempt++ {
		batch := make([]T, len(pending))
		for i, item := range pending {
			batch[i] = items[item]
		}
		results, err := call(ctx, batch)
		var failed []int
		for i, item := range pending {
			final[item] = err
			if err != nil {
				continue
			}
			final[item] = results[i]
			if results[i] != nil && !isSenderFault(results[i]) {
				failed = append(failed, item)
			}
		}
		if len(failed) == 0 || attempt == entryAttempts || !sleep(ctx, fullJitter(entryBackoff, entryLimit, attempt)) {
			return final
		}
		pending = failed
	}
}
