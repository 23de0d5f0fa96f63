package sagas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

var (
	// ErrInFlight reports a key whose request is being answered.
	ErrInFlight = errors.New("a request with this key is being answered")

	// ErrReused reports a key that another request came with before.
	ErrReused = errors.New("another request came with this key")

	// ErrClaimLost reports a request that was answered so late that another was let in.
	ErrClaimLost = errors.New("the claim to this key has ended")
)

// KeyClaim is the claim of one request to be the one that is answered under its idempotency key. Whoever claims
// either answers or releases; when it does neither, the key is free again after a lease.
type KeyClaim struct {
	ID          uuid.UUID // of this claim: what a later one took over an earlier one cannot answer
	Owner       Owner
	Key         string
	Fingerprint []byte // of the request
}

func (c KeyClaim) args() pgx.NamedArgs {
	return pgx.NamedArgs{
		"tenant": c.Owner.Tenant, "owner": c.Owner.Subject, "key": c.Key, "claim": c.ID, "fingerprint": c.Fingerprint,
	}
}

const (
	claimKeySQL = `
INSERT INTO idempotency_keys AS known (tenant, owner, key, fingerprint, claim, expires_at)
VALUES (@tenant, @owner, @key, @fingerprint, @claim, now() + @lease::interval)
ON CONFLICT (tenant, owner, key) DO UPDATE SET
	fingerprint = excluded.fingerprint, claim = excluded.claim, answer = NULL, expires_at = excluded.expires_at
WHERE known.expires_at < now()`

	ofKey = ` WHERE tenant = @tenant AND owner = @owner AND key = @key`

	readKeySQL    = `SELECT claim, fingerprint, answer FROM idempotency_keys` + ofKey
	answerKeySQL  = `UPDATE idempotency_keys SET answer = @answer, expires_at = now() + @lifetime::interval` + ofKey + ` AND claim = @claim`
	releaseKeySQL = `DELETE FROM idempotency_keys` + ofKey + ` AND claim = @claim AND answer IS NULL`

	forgetKeysSQL = `
DELETE FROM idempotency_keys WHERE (tenant, owner, key) IN (
	SELECT tenant, owner, key FROM idempotency_keys WHERE expires_at < now()
	ORDER BY expires_at LIMIT @most FOR UPDATE SKIP LOCKED)`
)

// ClaimKey claims the key for the length of the lease. When the request was answered before, it returns that
// answer and claims nothing. ErrInFlight and ErrReused say that the request is not to be answered.
func (s *Store) ClaimKey(ctx context.Context, c KeyClaim, lease time.Duration) (answer []byte, err error) {
	args := c.args()
	args["lease"] = lease
	answer, err = retry(ctx, func(bool) ([]byte, error) {
		return inTime(ctx, s.pool, func(ctx context.Context) ([]byte, error) {
			claimed, err := s.pool.Exec(ctx, claimKeySQL, args)
			if err != nil || claimed.RowsAffected() == 1 {
				return nil, err
			}
			return s.answered(ctx, c)
		})
	})
	if err != nil && !errors.Is(err, ErrInFlight) && !errors.Is(err, ErrReused) {
		return nil, fmt.Errorf("claiming an idempotency key: %w", err)
	}
	return answer, err
}

// answered reads a key that is taken: by this very claim, when the reply to it was lost.
func (s *Store) answered(ctx context.Context, c KeyClaim) (answer []byte, err error) {
	var holder KeyClaim
	err = s.pool.QueryRow(ctx, readKeySQL, c.args()).Scan(&holder.ID, &holder.Fingerprint, &answer)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // released meanwhile
		return nil, ErrInFlight
	case err != nil:
		return nil, err
	case !bytes.Equal(holder.Fingerprint, c.Fingerprint):
		return nil, ErrReused
	case answer == nil && holder.ID != c.ID:
		return nil, ErrInFlight
	}
	return answer, nil
}

// AnswerKey keeps the answer for its lifetime, or returns ErrClaimLost.
func (s *Store) AnswerKey(ctx context.Context, c KeyClaim, answer []byte, lifetime time.Duration) error {
	args := c.args()
	args["answer"], args["lifetime"] = answer, lifetime
	kept, err := s.execute(ctx, answerKeySQL, args)
	if err != nil {
		return fmt.Errorf("keeping the answer under an idempotency key: %w", err)
	}
	if kept == 0 {
		return ErrClaimLost
	}
	return nil
}

// ReleaseKey lets go of a key that was claimed and not answered.
func (s *Store) ReleaseKey(ctx context.Context, c KeyClaim) error {
	if _, err := s.execute(ctx, releaseKeySQL, c.args()); err != nil {
		return fmt.Errorf("releasing an idempotency key: %w", err)
	}
	return nil
}

// ForgetKeys removes keys that are void, the oldest first, and returns how many there were.
func (s *Store) ForgetKeys(ctx context.Context, most int) (int64, error) {
	forgotten, err := s.execute(ctx, forgetKeysSQL, pgx.NamedArgs{"most": most})
	if err != nil {
		return 0, fmt.Errorf("removing idempotency keys: %w", err)
	}
	return forgotten, nil
}

// execute runs a statement that may be repeated when its reply is lost, and returns how many rows it was about.
func (s *Store) execute(ctx context.Context, sql string, args pgx.NamedArgs) (int64, error) {
	return retry(ctx, func(bool) (int64, error) {
		return inTime(ctx, s.pool, func(ctx context.Context) (int64, error) {
			tag, err := s.pool.Exec(ctx, sql, args)
			return tag.RowsAffected(), err
		})
	})
}
