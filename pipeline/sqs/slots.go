package sqs

import (
	"context"
	"sync"
	"time"
)

const (
	// gatherTime is how long a receiver that has one slot waits for more, and gatherSpacing how long after the receiver
	// before it, so that a busy queue is received in batches.
	gatherTime    = time.Millisecond
	gatherSpacing = 10 * time.Millisecond
)

// slots are the permissions to hold a message. Taking comes first, then receiving.
type slots struct {
	free      chan struct{}
	gathering sync.Mutex // one receiver gathers at a time, or each would get a slot or two
	gathered  time.Time  // when the last one had; guarded by gathering
}

func newSlots(n int) *slots {
	s := &slots{free: make(chan struct{}, n)}
	s.give(n)
	return s
}

// take waits for a free slot, gathers up to limit of them without waiting much longer, and returns how many it took;
// none when ctx ended first.
func (s *slots) take(ctx context.Context, limit int) int {
	s.gathering.Lock()
	defer s.gathering.Unlock()
	limit = min(limit, cap(s.free))
	select {
	case <-s.free:
	case <-ctx.Done():
		return 0
	}
	defer func() { s.gathered = time.Now() }()
	deadline := time.NewTimer(max(gatherTime, gatherSpacing-time.Since(s.gathered)))
	defer deadline.Stop()
	for taken := 1; ; taken++ {
		if taken == limit {
			return taken
		}
		select {
		case <-s.free:
		case <-deadline.C:
			return taken
		}
	}
}

// give returns n taken slots.
func (s *slots) give(n int) {
	for range n {
		s.free <- struct{}{}
	}
}
