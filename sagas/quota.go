package sagas

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrTooManyInFlight reports an upload that its tenant has no room for until others have their outcome.
var ErrTooManyInFlight = errors.New("the tenant has too much in flight")

// Quota is how much a tenant may have on the line at once, by what was declared. 0 is no limit.
type Quota struct {
	Files int64
	Bytes int64
}

const (
	// lockTenantSQL makes the tenant's beginnings wait for each other. What they count must be read by a later
	// statement, whose snapshot is taken once the lock is held. A process that is cut off meanwhile keeps the tenant
	// waiting for as long as the server is told to wait for it.
	lockTenantSQL = `
SELECT set_config('idle_in_transaction_session_timeout', '10s', true),
	pg_advisory_xact_lock(hashtextextended('sluice in flight ' || @tenant, 0))`

	// inFlightSQL counts what has no size yet as the largest that it may have. It leaves out the upload that is being
	// begun: an earlier try, whose reply was lost, may have written it.
	inFlightSQL = `
SELECT count(*), coalesce(sum(coalesce(greatest(declared_size, observed_size), max_size)), 0)::bigint FROM uploads
WHERE tenant = @tenant AND state IN ('initiated', 'uploaded', 'verified', 'clean', 'processed') AND id <> @id`
)

// beginWithin writes an upload, if its quota and its pass allow it.
func (s *Store) beginWithin(ctx context.Context, b Beginning) (Upload, error) {
	return inTime(ctx, s.pool, func(ctx context.Context) (u Upload, err error) {
		err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			if b.Quota != (Quota{}) {
				if err := b.withinQuota(ctx, tx); err != nil {
					return err
				}
			}
			if b.Pass != "" {
				if err := b.spend(ctx, tx); err != nil {
					return err
				}
			}
			u, err = insertOne(ctx, tx, b, s.worker)
			return err
		})
		return u, err
	})
}

// withinQuota waits for the tenant's other beginnings, and says whether there is room for this one.
func (b Beginning) withinQuota(ctx context.Context, tx pgx.Tx) error {
	args := pgx.NamedArgs{"id": b.ID, "tenant": b.Owner.Tenant}
	if _, err := tx.Exec(ctx, lockTenantSQL, args); err != nil {
		return err
	}
	var used Quota
	if err := tx.QueryRow(ctx, inFlightSQL, args).Scan(&used.Files, &used.Bytes); err != nil {
		return err
	}
	return b.Quota.check(used, cmp.Or(b.Declared.Size, min(b.MaxSize, b.Quota.Bytes)))
}

// check says whether there is room for one more file of size bytes.
func (q Quota) check(used Quota, size int64) error {
	switch {
	case q.Files > 0 && used.Files >= q.Files:
		return fmt.Errorf("%w: %d files of %d", ErrTooManyInFlight, used.Files, q.Files)
	case q.Bytes > 0 && size > q.Bytes-used.Bytes:
		return fmt.Errorf("%w: %d bytes of %d, and the file may have %d", ErrTooManyInFlight, used.Bytes, q.Bytes, size)
	}
	return nil
}
