package sqs

import (
	"context"
	"sync"
	"time"
)

// slotPatience is how long a receiver that has few slots waits for more, so that a busy queue is received in batches.
// The slots that wait are idle: hence not for long, and for no more than a part of all (see newSlots).
var slotPatience = patience{quiet: 30 * time.Millisecond, most: 100 * time.Millisecond}

// slots are the permissions to hold a message. Taking comes first, then receiving.
type slots struct {
	enough int // so many are not waited with

	gathering sync.Mutex    // one receiver gathers at a time, or each would get a slot or two
	look      chan struct{} // tells the gathering receiver of a first slot and of enough

	mu     sync.Mutex // guards what follows
	free   int
	latest time.Time // when a slot was given back last while there were not enough
}

// newSlots returns n free slots. A quarter of them, and never more than a batch, is enough to be received with.
func newSlots(n int) *slots {
	return &slots{free: n, enough: min(maxBatchEntries, (n+3)/4), look: make(chan struct{}, 1)}
}

// take waits for a free slot, gathers as many as a batch wants without waiting much longer, and returns how many it
// took; none when ctx ended first.
func (s *slots) take(ctx context.Context) int {
	s.gathering.Lock()
	defer s.gathering.Unlock()
	for !s.any() {
		select {
		case <-s.look:
		case <-ctx.Done():
			return 0
		}
	}
	slotPatience.await(false, s.look, ctx.Done(), func() gathered {
		s.mu.Lock()
		defer s.mu.Unlock()
		return gathered{enough: s.free >= s.enough, latest: s.latest}
	})
	if ctx.Err() != nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := min(maxBatchEntries, s.free)
	s.free -= taken
	return taken
}

func (s *slots) any() bool { return s.has(1) }

// plenty reports whether there are enough free slots to receive with.
func (s *slots) plenty() bool { return s.has(s.enough) }

func (s *slots) has(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free >= n
}

// give returns n taken slots.
func (s *slots) give(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.free
	s.free += n
	if before >= s.enough {
		return // nobody waits
	}
	s.latest = time.Now()
	if before <= 0 || s.free >= s.enough {
		tell(s.look)
	}
}
