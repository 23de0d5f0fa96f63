package sqs

import (
	"sync"
	"time"
)

const (
	// maxBatchEntries and maxBatchBytes bound an SQS batch. SQS took to allowing 1 MiB in 2025; 256 KiB holds everywhere.
	maxBatchEntries = 10
	maxBatchBytes   = 256 << 10
)

// batcher joins items that come one by one or in groups into batches of at most maxBatchEntries items and
// maxBatchBytes, and has several workers flush them. A batch that is not full waits for more: after a rest for linger,
// and while items keep coming until spacing after the batch before it.
type batcher[T any] struct {
	linger, spacing time.Duration
	size            func(T) int // bytes; no single item may exceed maxBatchBytes
	flush           func([]T)

	groups  chan []T
	workers sync.WaitGroup

	collecting sync.Mutex // one worker fills a batch at a time, or each would take a share of what there is
	leftover   []T        // what did not fit the last batch; guarded by collecting
	collected  time.Time  // when the last batch was; guarded by collecting
}

// newBatcher starts a batcher with the given number of workers, each of which calls flush with a batch at a time.
func newBatcher[T any](workers int, linger, spacing time.Duration, size func(T) int, flush func([]T)) *batcher[T] {
	b := &batcher[T]{linger: linger, spacing: spacing, size: size, flush: flush, groups: make(chan []T)}
	for range workers {
		b.workers.Go(func() {
			for batch := b.next(); len(batch) > 0; batch = b.next() {
				b.flush(batch)
			}
		})
	}
	return b
}

// add hands items to the workers and reports whether they took them; it blocks while all of them are flushing, and
// gives up when giveUp is closed. It must not be called after close.
func (b *batcher[T]) add(giveUp <-chan struct{}, items ...T) bool {
	select {
	case b.groups <- items:
		return true
	case <-giveUp:
		return false
	}
}

// close returns when everything added has been flushed.
func (b *batcher[T]) close() {
	close(b.groups)
	b.workers.Wait()
}

// next returns the next batch; an empty one when there will be no more.
func (b *batcher[T]) next() []T {
	b.collecting.Lock()
	defer b.collecting.Unlock()
	defer func() { b.collected = time.Now() }()
	if len(b.leftover) == 0 {
		b.leftover = <-b.groups
	}
	linger := time.NewTimer(max(b.linger, b.spacing-time.Since(b.collected)))
	defer linger.Stop()
	batch, bytes := make([]T, 0, maxBatchEntries), 0
	for {
		for len(b.leftover) > 0 {
			bytes += b.size(b.leftover[0])
			if len(batch) == maxBatchEntries || bytes > maxBatchBytes {
				return batch
			}
			batch, b.leftover = append(batch, b.leftover[0]), b.leftover[1:]
		}
		if len(batch) == maxBatchEntries {
			return batch
		}
		select {
		case group, open := <-b.groups:
			if !open {
				return batch
			}
			b.leftover = group
		case <-linger.C:
			return batch
		}
	}
}
