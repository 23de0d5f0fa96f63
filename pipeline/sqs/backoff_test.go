package sqs

import (
	"testing"
	"time"
)

func TestFullJitter(t *testing.T) {
	const base, limit = 2 * time.Second, 5 * time.Minute
	for attempt, ceiling := range map[int]time.Duration{
		0: base, 1: base, 2: 2 * base, 3: 4 * base, 8: 128 * base, 9: limit, 1000: limit,
	} {
		var least, most time.Duration = limit, 0
		for range 2000 {
			d := fullJitter(base, limit, attempt)
			least, most = min(least, d), max(most, d)
		}
		if least <= 0 || least > ceiling/10 || most > ceiling || most < ceiling*9/10 {
			t.Errorf("attempt %d: from %s to %s, want the whole range to %s", attempt, least, most, ceiling)
		}
	}
}

func TestWholeSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int32{
		0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, maxVisibility: 43200,
	} {
		if got := wholeSeconds(d); got != want {
			t.Errorf("%s is %d seconds, want %d", d, got, want)
		}
	}
}
