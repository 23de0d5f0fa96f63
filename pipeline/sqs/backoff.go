package sqs

import (
	"context"
	"math/rand/v2"
	"time"
)

// fullJitter returns a random duration of more than nothing and at most min(limit, base·2^(attempt-1)); attempt counts
// from 1. Why the whole range: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
func fullJitter(base, limit time.Duration, attempt int) time.Duration {
	ceiling := base
	for ; attempt > 1 && ceiling < limit; attempt-- {
		ceiling *= 2
	}
	ceiling = min(ceiling, limit)
	return 1 + rand.N(ceiling) //nolint:gosec // spreading load needs no secret randomness
}

// sleep waits for d and reports whether ctx was still alive at the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// wholeSeconds returns d in seconds, rounded up: SQS counts visibility in seconds.
func wholeSeconds(d time.Duration) int32 {
	return int32((d + time.Second - 1) / time.Second)
}
