package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// settle waits until every upload has its outcome and somebody was told of it, for as long as two sweeps take from when
// it became calm, and returns what it saw.
func (r *run) settle(ctx context.Context, calm time.Time) (s settling, err error) {
	s.allowed = r.profile.twoSweeps() + settleGrace
	for waiting := r.ledger.all(); len(waiting) > 0; {
		waiting = slices.DeleteFunc(waiting, func(receipt Receipt) bool {
			took, done, askErr := r.settled(ctx, receipt, from(receipt, calm))
			err = errors.Join(err, askErr)
			if done {
				s.slowest = max(s.slowest, took)
			}
			if took > s.allowed {
				s.overdue = append(s.overdue, late(receipt, s.allowed))
			}
			return done || took > s.allowed
		})
		if err != nil {
			return s, err
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return s, err
		}
	}
	return s, nil
}

// settling is what was seen of the uploads' end.
type settling struct {
	slowest, allowed time.Duration // from the last fault to the last outcome, and what that might take
	overdue          []Finding
}

// settled tells whether somebody was told of the upload's outcome, and how long that took or takes. What was cancelled may
// be told of twice, so that it is the API that knows which is the last.
func (r *run) settled(ctx context.Context, receipt Receipt, began time.Time) (took time.Duration, done bool, err error) {
	at, told := r.receiver.toldOf(receipt.ID)
	if !told {
		return time.Since(began), false, nil
	}
	if !receipt.Cancelled && !receipt.Cancelling {
		return at.Sub(began), true, nil
	}
	took = time.Since(began)
	seen, _, err := r.inspector.show(ctx, receipt.ID)
	return took, err == nil && settled(seen.State) && r.receiver.told(receipt.ID, seen.State), err
}

// from is when an upload's two sweeps begin: at the last fault, or when it may expire.
func from(r Receipt, calm time.Time) time.Time {
	if !r.Accepted() && !r.Cancelled && r.GivenUpAt.After(calm) {
		return r.GivenUpAt
	}
	return calm
}

func late(r Receipt, allowed time.Duration) Finding {
	return Finding{Stuck, r.ID, fmt.Sprintf("nobody was told of its outcome within %s (%s)", allowed, r.Customer)}
}

// waitForParts waits until no multipart upload is open, or until one that was begun at the end of the faults must have
// expired: its customer may not have been told of it, so that nobody waits for its outcome.
func (r *run) waitForParts(ctx context.Context, calm time.Time) error {
	for time.Since(calm) < multipartLifetime+arrivalGrace+r.profile.twoSweeps()+settleGrace {
		open, err := r.inspector.unfinished(ctx)
		if err != nil || len(open) == 0 {
			return err
		}
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}
