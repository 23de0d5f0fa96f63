package sagas

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What a statement may cost while the database is in trouble. The pauses add up to about a second and a half, long
// enough for a pool's dead connections to be noticed; a longer outage is for the caller.
const (
	maxTries       = 6
	firstPause     = 50 * time.Millisecond
	longestPause   = time.Second
	maxElapsedTime = 10 * time.Second
)

// The SQLSTATEs of a statement that was rolled back for the sake of another one.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
)

// uniqueViolation is the SQLSTATE of a row whose key is taken.
const uniqueViolation = "23505"

// retry repeats try after a conflict with another transaction and after a lost connection, with growing and
// jittered pauses, until ctx ends or the tries are used up. Then it returns the last error. The argument of try
// says whether an earlier try may have been committed: its connection was lost before the reply came.
func retry[T any](ctx context.Context, try func(unsure bool) (T, error)) (T, error) {
	unsure := false
	var last error
	v, err := backoff.Retry(ctx, func() (T, error) {
		v, err := try(unsure)
		last = err
		switch {
		case err == nil || isConflict(err):
		case IsUnavailable(err):
			unsure = true // pgconn.SafeToRetry is no help: pgx 5.12 says so of lost replies in the simple protocol
		default:
			err = backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(pauses()), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(maxElapsedTime))
	if err == nil {
		return v, nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(last, ended) {
		last = errors.Join(ended, last)
	}
	return v, last
}

func pauses() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = firstPause, longestPause, 2
	return b
}

func isConflict(err error) bool { return hasCode(err, serializationFailure, deadlockDetected) }

func isDuplicate(err error) bool { return hasCode(err, uniqueViolation) }

func hasCode(err error, codes ...string) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, refused.Code)
}
