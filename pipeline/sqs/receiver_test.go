package sqs

import (
	"testing"
	"time"
)

func TestSpacingOfPolls(t *testing.T) {
	const soon = time.Millisecond
	for name, test := range map[string]struct {
		spacing         time.Duration
		slots, received int
		took            time.Duration
		want            time.Duration
	}{
		"few messages at once":     {pollSpacing, 10, 2, soon, 2 * pollSpacing},
		"few messages, still":      {2 * pollSpacing, 10, 4, soon, 4 * pollSpacing},
		"few messages, for long":   {4 * pollSpacing, 10, 4, soon, pollSpacingLimit},
		"nearly as many as wanted": {2 * pollSpacing, 10, 8, soon, 2 * pollSpacing},
		"after a rest":             {4 * pollSpacing, 10, 1, time.Second, pollSpacing},
	} {
		if got := nextSpacing(test.spacing, test.slots, test.received, test.took); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
