package sqs

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSlotsAreGathered: slots that become free closely after each other are taken together, up to a quarter of all;
// those that are free now, and one whose neighbours stay busy, are hardly waited with.
func TestSlotsAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 24
		s := newSlots(total)
		began := time.Now()
		take := func(want int, at time.Duration) {
			t.Helper()
			if taken := s.take(t.Context()); taken != want || time.Since(began) != at {
				t.Errorf("took %d slots at %s, want %d at %s", taken, time.Since(began), want, at)
			}
		}
		giveFrom := func(n int, start, spacing time.Duration) {
			for i := range n {
				time.AfterFunc(start+time.Duration(i)*spacing, func() { s.give(1) })
			}
		}
		take(maxBatchEntries, 0)
		take(maxBatchEntries, 0)
		take(total-2*maxBatchEntries, 0)

		const spacing = 2 * time.Millisecond
		giveFrom(total/2, time.Second, spacing)
		take(total/4, time.Second+(total/4-1)*spacing)
		take(total/4, time.Second+(total/2-1)*spacing)

		began = time.Now()
		giveFrom(1, time.Second, 0)
		take(1, time.Second+slotPatience.quiet)
		began = time.Now()
		giveFrom(1, time.Second, 0)
		time.Sleep(time.Minute)
		take(1, time.Minute)
	})
}

// TestGivingNoSlotsIsNoNews: a poll that fills all its slots gives none back, and nobody waits longer for that.
func TestGivingNoSlotsIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(maxBatchEntries)
		s.take(t.Context())
		began := time.Now()
		time.AfterFunc(time.Second, func() { s.give(1) })
		time.AfterFunc(time.Second+slotPatience.quiet/2, func() { s.give(0) })
		if taken := s.take(t.Context()); taken != 1 || time.Since(began) != time.Second+slotPatience.quiet {
			t.Errorf("took %d slots after %s", taken, time.Since(began))
		}
	})
}

// TestReceivingMoreThanSlots: should SQS ever send more than it was asked for, all of it is handled before more is
// asked for.
func TestReceivingMoreThanSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2)
		if taken := s.take(t.Context()); taken != 2 {
			t.Fatalf("took %d", taken)
		}
		s.give(2 - 5)
		began := time.Now()
		for i := range 5 {
			time.AfterFunc(time.Duration(i+1)*time.Second, func() { s.give(1) })
		}
		if taken := s.take(t.Context()); taken != 1 || time.Since(began) != 4*time.Second {
			t.Errorf("took %d slots after %s", taken, time.Since(began))
		}
	})
}
