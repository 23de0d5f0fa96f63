package sqs

import (
	"context"
	"sync"
	"time"
)

// gatherTime is how long a receiver that has one slot waits for more, so that a busy queue is received in batches.
const gatherTime = time.Millisecond

// slots are the permissions to hold a message. Taking comes first, then receiving.
type slots struct {
	free      chan struct{}
	gathering sync.Mutex // one receiver gathers at a time, or each would get a slot or two
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
	deadline := time.NewTimer(gatherTime)
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
