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
// several workers flush them. A full batch goes at once, any other when its patience ends.
type batcher[T any] struct {
	patience patience
	size     func(T) int // bytes; no single item may exceed maxBatchBytes
	flush    func([]T)

	workers    sync.WaitGroup
	collecting sync.Mutex    // one worker fills a batch at a time, or each would take a share of what there is
	collected  time.Time     // when the last batch was; guarded by collecting
	room       chan struct{} // tells one who adds of room for an item
	look       chan struct{} // tells the collecting worker of a first item, of a full batch and of the end

	mu      sync.Mutex // guards what follows
	waiting []T
	bytes   int       // of what waits
	latest  time.Time // when the last item came
	closed  bool
}

// newBatcher starts a batcher with the given number of workers, each of which calls flush with a batch at a time.
func newBatcher[T any](workers int, p patience, size func(T) int, flush func([]T)) *batcher[T] {
	b := &batcher[T]{
		patience: p, size: size, flush: flush,
		room: make(chan struct{}, 1), look: make(chan struct{}, 1),
	}
	for range workers {
		b.workers.Go(func() {
			for batch := b.next(); len(batch) > 0; batch = b.next() {
				b.flush(batch)
			}
		})
	}
	return b
}

// add hands items to the workers and returns those that they will not flush. It blocks while all of them are flushing
// and a batch waits already, and gives up when giveUp is closed. It must not be called after close.
func (b *batcher[T]) add(giveUp <-chan struct{}, items ...T) (left []T) {
	for {
		items = items[b.put(items):]
		if len(items) == 0 {
			return nil
		}
		select {
		case <-b.room:
		case <-giveUp:
			return items
		}
	}
}

// put adds the first items to those that wait, until a batch of them does, and returns how many.
func (b *batcher[T]) put(items []T) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(items), maxBatchEntries-len(b.waiting))
	if n == 0 {
		return 0
	}
	if b.waiting == nil {
		b.waiting = make([]T, 0, maxBatchEntries)
	}
	first := len(b.waiting) == 0
	b.waiting = append(b.waiting, items[:n]...)
	for _, item := range items[:n] {
		b.bytes += b.size(item)
	}
	b.latest = time.Now()
	if first || b.full() {
		tell(b.look)
	}
	if len(b.waiting) < maxBatchEntries {
		tell(b.room) // for the next one, should another wait
	}
	return n
}

// close returns when everything added has been flushed.
func (b *batcher[T]) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	tell(b.look)
	b.workers.Wait()
}

// next returns the next batch; an empty one when there will be no more.
func (b *batcher[T]) next() []T {
	b.collecting.Lock()
	defer b.collecting.Unlock()
	for b.idle() {
		<-b.look
	}
	b.patience.await(time.Since(b.collected) > b.patience.quiet, b.look, nil, func() gathered {
		b.mu.Lock()
		defer b.mu.Unlock()
		return gathered{enough: b.full() || b.closed, latest: b.latest}
	})
	b.collected = time.Now()
	return b.take()
}

// idle reports whether nothing waits, but more may come.
func (b *batcher[T]) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) == 0 && !b.closed
}

// full reports whether what waits is a batch that nothing more fits into. The caller holds mu.
func (b *batcher[T]) full() bool {
	return len(b.waiting) >= maxBatchEntries || b.bytes >= maxBatchBytes
}

// take removes the largest batch from what waits.
func (b *batcher[T]) take() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, bytes := 0, 0
	for ; n < min(len(b.waiting), maxBatchEntries); n++ {
		size := b.size(b.waiting[n])
		if bytes+size > maxBatchBytes {
			break
		}
		bytes += size
	}
	batch := b.waiting[:n:n]
	b.waiting = append([]T(nil), b.waiting[n:]...)
	b.bytes -= bytes
	tell(b.room)
	return batch
}
