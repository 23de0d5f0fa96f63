// Package sagatest gives a test its own schema in a real Postgres server.
package sagatest

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-media/sluice/sagas"
)

// Pool returns a pool on a new, migrated schema of the server at SLUICE_DATABASE_URL. The schema is dropped when
// the test ends.
func Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	ctx := context.Background()
	pool, err := sagas.Connect(ctx, Config(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := sagas.Migrate(ctx, pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

// Store returns a store over Pool.
func Store(t testing.TB) *sagas.Store {
	t.Helper()
	return sagas.NewStore(Pool(t), "test")
}

// Changes returns a Changes over the pool's server that runs until it is stopped or the test ends.
func Changes(t testing.TB, pool *pgxpool.Pool) (c *sagas.Changes, stop func()) {
	t.Helper()
	c, err := sagas.NewChanges(sagas.Config{
		URL: pool.Config().ConnString(), ConnectTimeout: 5e9, Recheck: 5e9,
	}, pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop)
	return c, stop
}

// Config returns the configuration of a new and still empty schema, which is dropped when the test ends.
func Config(t testing.TB) sagas.Config {
	t.Helper()
	base := os.Getenv("SLUICE_DATABASE_URL")
	if base == "" {
		t.Fatal("SLUICE_DATABASE_URL is not set: run the tests by `make test`, or load the environment of a running stack")
	}
	schema := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	exec(t, base, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { exec(t, base, "DROP SCHEMA "+schema+" CASCADE") })

	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return sagas.Config{URL: u.String(), ExecMode: "cache_statement", MaxConns: 8, ConnectTimeout: 5e9, Recheck: 5e9}
}

func exec(t testing.TB, dsn, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}
