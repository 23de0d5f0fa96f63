package sagas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	// ErrNoPass reports a pass that does not exist, or that is somebody else's.
	ErrNoPass = errors.New("no such pass")

	// ErrPassSpent reports an upload that its pass has no room for, or that comes when the pass has ended.
	ErrPassSpent = errors.New("the pass has no room for the upload")
)

// Pass is what the database knows of a credential that a page may hold. The credential itself is not in it.
type Pass struct {
	ID        string
	Owner     Owner  // whom it speaks for
	Hash      []byte // SHA-256 of its secret
	Most      Quota  // what may be begun with it, by what is declared
	Begun     Quota  // what was
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt *time.Time // nil: not revoked

	// ReadAt is the database's clock at the moment this record was read.
	ReadAt time.Time
}

// passKept is how long a pass is kept after it has expired, so that whoever holds it is told so.
const passKept = 24 * time.Hour

const (
	issuedColumns = `id, tenant, owner, hash, max_files, max_bytes, files, bytes, created_at, expires_at, revoked_at, clock_timestamp()`

	addPassSQL = `
INSERT INTO passes (id, tenant, owner, hash, max_files, max_bytes, expires_at)
VALUES (@id, @tenant, @owner, @hash, @files, @bytes, now() + @lifetime::interval)
RETURNING ` + issuedColumns

	readPassSQL = `SELECT ` + issuedColumns + ` FROM passes WHERE id = @id`

	revokePassSQL = `
UPDATE passes SET revoked_at = coalesce(revoked_at, now())
WHERE id = @id AND tenant = @tenant AND owner = @owner
RETURNING ` + issuedColumns

	// spendSQL is part of beginning an upload, and counts nothing if that fails.
	spendSQL = `
UPDATE passes SET files = files + 1, bytes = bytes + @size
WHERE id = @pass AND tenant = @tenant AND owner = @owner AND revoked_at IS NULL AND expires_at > clock_timestamp()
	AND files < max_files AND @size <= max_bytes - bytes`

	forgetEndedSQL = `
DELETE FROM passes WHERE id IN (
	SELECT id FROM passes WHERE expires_at < now() - @kept::interval
	ORDER BY expires_at LIMIT @most FOR UPDATE SKIP LOCKED)`
)

// AddPass writes a pass with the id, owner, hash and bounds of p, which expires after lifetime.
func (s *Store) AddPass(ctx context.Context, p Pass, lifetime time.Duration) (Pass, error) {
	return s.pass(ctx, addPassSQL, pgx.NamedArgs{
		"id": p.ID, "tenant": p.Owner.Tenant, "owner": p.Owner.Subject, "hash": p.Hash,
		"files": p.Most.Files, "bytes": p.Most.Bytes, "lifetime": lifetime,
	})
}

// Pass returns the pass with this id, good or not, or ErrNoPass.
func (s *Store) Pass(ctx context.Context, id string) (Pass, error) {
	return s.pass(ctx, readPassSQL, pgx.NamedArgs{"id": id})
}

// RevokePass ends a pass of the owner's, or returns ErrNoPass. One that is revoked already stays as it is.
func (s *Store) RevokePass(ctx context.Context, o Owner, id string) (Pass, error) {
	return s.pass(ctx, revokePassSQL, pgx.NamedArgs{"id": id, "tenant": o.Tenant, "owner": o.Subject})
}

// ForgetPasses removes passes that have expired a day ago, the oldest first, and returns how many there were.
func (s *Store) ForgetPasses(ctx context.Context, most int) (int64, error) {
	forgotten, err := s.execute(ctx, forgetEndedSQL, pgx.NamedArgs{"most": most, "kept": passKept})
	if err != nil {
		return 0, fmt.Errorf("removing passes: %w", err)
	}
	return forgotten, nil
}

func (s *Store) pass(ctx context.Context, sql string, args pgx.NamedArgs) (Pass, error) {
	found, err := all(ctx, s.pool, sql, args, func(row pgx.CollectableRow) (p Pass, err error) {
		err = row.Scan(&p.ID, &p.Owner.Tenant, &p.Owner.Subject, &p.Hash, &p.Most.Files, &p.Most.Bytes, &p.Begun.Files, &p.Begun.Bytes,
			&p.CreatedAt, &p.ExpiresAt, &p.RevokedAt, &p.ReadAt)
		return p, err
	})
	if err != nil {
		return Pass{}, fmt.Errorf("reading a pass: %w", err)
	}
	if len(found) == 0 {
		return Pass{}, ErrNoPass
	}
	return found[0], nil
}

// spend counts the upload on its pass, or returns ErrPassSpent.
func (b Beginning) spend(ctx context.Context, tx pgx.Tx) error {
	spent, err := tx.Exec(ctx, spendSQL, pgx.NamedArgs{
		"pass": b.Pass, "tenant": b.Owner.Tenant, "owner": b.Owner.Subject, "size": b.Declared.Size,
	})
	if err == nil && spent.RowsAffected() == 0 {
		return ErrPassSpent
	}
	return err
}
