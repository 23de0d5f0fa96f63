package sagas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What a statement may cost while the database is in trouble. The pauses add up to about a second and a half, long
// enough for a pool's dead connections to be noticed; a longer outage is for the caller.
const (
	maxTries       = 6
	firstPause     = 50 * time.Millisecond
	longestPause   = time.Second
	maxElapsedTime = 10 * time.Second
)

// answerTimeout bounds one try of a statement. It is longer than any takes, and so short that a database that swallows
// everything is given up after two tries, within half a minute. Nothing else would tell: what stands between may go on
// to acknowledge packets.
const answerTimeout = 8 * time.Second

// errNoAnswer reports a try whose answerTimeout is over. The statement may still be running.
var errNoAnswer = fmt.Errorf("the database has not answered within %s", answerTimeout)

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
	began := time.Now()
	v, err := try(false)
	if err == nil {
		return v, nil // most do, and need nothing of what follows
	}
	return retryAfter(ctx, began, v, err, try)
}

// retryAfter is retry when the first try, which began at that time, has failed.
func retryAfter[T any](ctx context.Context, began time.Time, first T, failure error, try func(unsure bool) (T, error)) (T, error) {
	tried, unsure := false, false
	var last error
	v, err := backoff.Retry(ctx, func() (T, error) {
		v, err := first, failure
		if tried {
			v, err = try(unsure)
		}
		tried, last = true, err
		switch {
		case err == nil || isConflict(err):
		case IsUnavailable(err):
			unsure = true // pgconn.SafeToRetry is no help: pgx 5.12 says so of lost replies in the simple protocol
		default:
			err = backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(pauses()), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(max(1, maxElapsedTime-time.Since(began))))
	if err == nil {
		return v, nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(last, ended) {
		last = errors.Join(ended, last)
	}
	return v, last
}

// inTime asks the database once. Without an answer in time it lets go of all connections that the pool has, because
// those to the same server will not have one either: the next try opens a new one.
func inTime[T any](ctx context.Context, pool *pgxpool.Pool, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errNoAnswer)
	defer cancel()
	v, err := ask(ctx)
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(ctx), errNoAnswer) {
		pool.Reset()
		return v, errNoAnswer
	}
	return v, err
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
