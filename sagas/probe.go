package sagas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErrUntouched reports a probe that nobody tried to move.
var ErrUntouched = errors.New("nobody took up the probe")

const (
	// probeEvery is how often the lock is looked at; the process that meets it waits as long.
	probeEvery = 20 * time.Millisecond
	// probeCleanUp bounds what is done after the context of a probe has ended.
	probeCleanUp = 10 * time.Second
)

// blockingSQL tells whether a transaction waits for this one. Unlike pg_stat_activity, pg_locks is read anew each time.
const blockingSQL = `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))`

// Probe begins an upload that is no client's, calls send, which makes its object arrive, and waits until another
// process tries to move it, at most wait. It returns how long after send that was, or ErrUntouched.
//
// Nothing comes of the upload: Probe holds the row's lock meanwhile, so the attempt to move it shows as a transaction
// that waits for it, and settles the row before it lets go. Whoever tried finds that another was first. No message is
// sent and nobody is notified; sweepers pass over locked rows. Forget removes what is left.
func (s *Store) Probe(ctx context.Context, b Beginning, wait time.Duration, send func(context.Context) error) (time.Duration, error) {
	if _, err := s.Begin(ctx, b); err != nil {
		return 0, err
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return 0, fmt.Errorf("locking the probe: %w", err)
	}
	args := pgx.NamedArgs{"id": b.ID, "deleted": Deleted}
	took, err := watch(ctx, tx, args, wait, send)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanUp)
	defer cancel()
	return took, errors.Join(err, s.settle(ctx, tx, args))
}

// settle gives the probe its end, on a connection of its own when the transaction's was lost.
func (s *Store) settle(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs) error {
	const sql = "UPDATE uploads SET state = @deleted, notified_at = now() WHERE id = @id"
	_, err := tx.Exec(ctx, sql, args)
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err == nil {
		return nil
	}
	rollback := tx.Rollback(ctx)
	if _, again := s.pool.Exec(ctx, sql, args); again != nil {
		return fmt.Errorf("settling the probe: %w", errors.Join(err, rollback, again))
	}
	return nil
}

func watch(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs, wait time.Duration, send func(context.Context) error) (time.Duration, error) {
	if _, err := tx.Exec(ctx, "SELECT FROM uploads WHERE id = @id FOR UPDATE", args); err != nil {
		return 0, fmt.Errorf("locking the probe: %w", err)
	}
	if err := send(ctx); err != nil {
		return 0, err
	}
	sent := time.Now()
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		var touched bool
		if err := tx.QueryRow(ctx, blockingSQL).Scan(&touched); err != nil {
			return 0, fmt.Errorf("watching the probe: %w", err)
		}
		took := time.Since(sent)
		switch {
		case touched:
			return took, nil
		case took >= wait:
			return 0, ErrUntouched
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("watching the probe: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// Forget removes a probe and its history, and nothing that is not settled.
func (s *Store) Forget(ctx context.Context, id uuid.UUID) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM uploads WHERE id = @id AND state = @deleted", pgx.NamedArgs{"id": id, "deleted": Deleted})
	if err != nil {
		return fmt.Errorf("removing probe %s: %w", id, err)
	}
	return nil
}
