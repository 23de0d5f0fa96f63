package sagas_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

func TestSerializationFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	config := sagatest.Config(t)
	config.URL = withParameter(t, config.URL, "default_transaction_isolation", "serializable")
	pool := connect(t, config)
	if _, err := sagas.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	s := sagas.NewStore(pool, "test")
	u := begin(t, s)
	lock, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "UPDATE uploads SET swept_at = now() WHERE id = $1", u.ID); err != nil {
		t.Fatal(err)
	}
	const workers = 4
	var won atomic.Int32
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			_, err := s.Advance(context.Background(), sagas.Change{
				ID: u.ID, Stage: "test", From: sagas.Initiated, To: sagas.Uploaded, StartedAt: u.ReadAt,
			})
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, sagas.ErrMoved):
				t.Errorf("lost with %v, want ErrMoved", err)
			}
		})
	}
	waitForBlocked(t, pool, workers)
	if err := lock.Commit(t.Context()); err != nil { // all of them fail now: their snapshots are older
		t.Fatal(err)
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of %d won, want 1", won.Load(), workers)
	}
}

func TestDeadlocksAreTriedAgain(t *testing.T) {
	t.Parallel()
	pool := sagatest.Pool(t)
	for range 5 {
		if deadlock(t, pool) {
			return
		}
	}
	t.Error("the store was never the victim")
}

// deadlock makes one between an Advance, which must succeed all the same, and another transaction. It reports
// whether Postgres chose the Advance as the victim: it does when nothing holds up the test, because whoever waited
// first looks for a deadlock first.
func deadlock(t *testing.T, pool *pgxpool.Pool) bool {
	t.Helper()
	s := sagas.NewStore(pool, "test")
	u := begin(t, s)
	other, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const taken = `INSERT INTO upload_transitions (upload_id, seq, stage, to_state, attempt, worker, started_at, finished_at)
		VALUES ($1, 2, 'other', 'uploaded', 1, 'other', now(), now())`
	if _, err := other.Exec(t.Context(), taken, u.ID); err != nil {
		t.Fatal(err)
	}
	moved := make(chan error, 1)
	go func() { // holds the upload's row, waits for the place in its history
		_, err := s.Advance(context.Background(), sagas.Change{
			ID: u.ID, Stage: "test", From: sagas.Initiated, To: sagas.Uploaded, StartedAt: u.ReadAt,
		})
		moved <- err
	}()
	waitForBlocked(t, pool, 1)
	_, blocked := other.Exec(t.Context(), "UPDATE uploads SET swept_at = now() WHERE id = $1", u.ID)
	if err := other.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-moved; err != nil {
		t.Error(err)
	}
	if blocked != nil {
		expectCode(t, blocked, "40P01")
	}
	return blocked == nil
}

func withParameter(t *testing.T, dsn, name, value string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}
