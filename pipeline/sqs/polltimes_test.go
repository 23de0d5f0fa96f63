package sqs

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPollsThatSlowEachOtherDownAreEnough(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		took            []time.Duration // one poll a second
		enough, tooMany bool
	}{
		"one":             {[]time.Duration{10 * ms}, false, false},
		"varying":         {[]time.Duration{10 * ms, 25 * ms, 12 * ms, 31 * ms, 14 * ms}, false, false},
		"one late":        {[]time.Duration{10 * ms, 200 * ms}, false, false},
		"slower":          {repeat(400*ms, 30, 10*ms), true, false},
		"much slower":     {repeat(800*ms, 30, 10*ms), true, true},
		"slower for long": {repeat(200*ms, 90, 10*ms), false, false}, // so that is how long it takes now
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p pollTimes
				for _, took := range test.took {
					time.Sleep(time.Second)
					p.note(took)
				}
				if enough, tooMany := p.crowded(); enough != test.enough || tooMany != test.tooMany {
					t.Errorf("enough is %v and too many %v, with %s usual and %s the quickest", enough, tooMany, p.usual, p.quickest)
				}
			})
		})
	}
}

// repeat is first and then took, so many times.
func repeat(took time.Duration, times int, first time.Duration) []time.Duration {
	all := []time.Duration{first}
	for range times {
		all = append(all, took)
	}
	return all
}
