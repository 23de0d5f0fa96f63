package sqs

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSlotsAreGathered: slots that become free one after the other are taken together, but those that are free now
// are not waited with.
func TestSlotsAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(maxBatchEntries)
		time.Sleep(time.Hour) // at rest
		began := time.Now()
		take := func(want int, at time.Duration) {
			t.Helper()
			if taken := s.take(t.Context(), maxBatchEntries); taken != want || time.Since(began) != at {
				t.Errorf("took %d slots at %s, want %d at %s", taken, time.Since(began), want, at)
			}
		}
		take(maxBatchEntries, 0)
		for i := range 3 {
			time.AfterFunc(time.Duration(i+1)*gatherSpacing/5, func() { s.give(1) })
		}
		take(3, gatherSpacing)
		time.AfterFunc(time.Minute, func() { s.give(1) })
		take(1, gatherSpacing+time.Minute+gatherTime)
	})
}
