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

// batcher joins items that come one by one into batches of at most maxBatchEntries items and maxBatchBytes, and has
// several workers flush them. An item waits at most linger for company.
type batcher[T any] struct {
	linger time.Duration
	size   func(T) int // bytes; no single item may exceed maxBatchBytes
	flush  func([]T)

	items   chan T
	workers sync.WaitGroup

	collecting sync.Mutex // one worker fills a batch at a time, or each would take a share of what there is
	leftover   []T        // the item that did not fit the last batch, if any; guarded by collecting
}

// newBatcher starts a batcher with the given number of workers, each of which calls flush with a batch at a time.
func newBatcher[T any](workers int, linger time.Duration, size func(T) int, flush func([]T)) *batcher[T] {
	b := &batcher[T]{linger: linger, size: size, flush: flush, items: make(chan T)}
	for range workers {
		b.workers.Go(func() {
			for batch := b.next(); len(batch) > 0; batch = b.next() {
				b.flush(batch)
			}
		})
	}
	return b
}

// add hands item to a worker; it blocks while all of them are flushing. It must not be called after close.
func (b *batcher[T]) add(item T) { b.items <- item }

// close returns when everything added has been flushed.
func (b *batcher[T]) close() {
	close(b.items)
	b.workers.Wait()
}

// next returns the next batch; an empty one after close.
func (b *batcher[T]) next() []T {
	b.collecting.Lock()
	defer b.collecting.Unlock()

	batch := b.leftover
	b.leftover = nil
	if len(batch) == 0 {
		first, ok := <-b.items
		if !ok {
			return nil
		}
		batch = append(make([]T, 0, maxBatchEntries), first)
	}
	bytes := b.size(batch[0])
	linger := time.NewTimer(b.linger)
	defer linger.Stop()
	for len(batch) < maxBatchEntries {
		select {
		case item, ok := <-b.items:
			if !ok {
				return batch
			}
			if bytes += b.size(item); bytes > maxBatchBytes {
				b.leftover = []T{item}
				return batch
			}
			batch = append(batch, item)
		case <-linger.C:
			return batch
		}
	}
	return batch
}
