package sagas_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

func ids(uploads []sagas.Upload) (all []uuid.UUID) {
	for _, u := range uploads {
		all = append(all, u.ID)
	}
	return all
}

func TestList(t *testing.T) {
	pool := sagatest.Pool(t)
	s := sagas.NewStore(pool, "test")
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var all []uuid.UUID // newest first
	for i := range 10 {
		u := begin(t, s)
		if i%3 == 0 {
			advance(t, s, u, sagas.Expired, sagas.Facts{})
		}
		if _, err := pool.Exec(t.Context(), "UPDATE uploads SET created_at = $2 WHERE id = $1", u.ID, start.Add(time.Duration(i/2*2)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		all = slices.Insert(all, 0, u.ID)
	}
	at := func(i int) sagas.Position { // two uploads share each second hour
		return sagas.Position{CreatedAt: start.Add(time.Duration((9-i)/2*2) * time.Hour), ID: all[i]}
	}
	expired := []uuid.UUID{all[0], all[3], all[6], all[9]}
	for _, o := range []sagas.Owner{{Tenant: "acme", Subject: "user-43"}, {Tenant: "other", Subject: owner.Subject}} {
		b := beginning(t)
		b.Owner = o
		if _, err := s.Begin(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}

	for name, c := range map[string]struct {
		sel  sagas.Selection
		want []uuid.UUID
	}{
		"all":             {sagas.Selection{Most: 100}, all},
		"the newest":      {sagas.Selection{Most: 3}, all[:3]},
		"the next":        {sagas.Selection{Most: 3, After: at(2)}, all[3:6]},
		"after the last":  {sagas.Selection{Most: 3, After: at(9)}, nil},
		"one state":       {sagas.Selection{Most: 100, States: []sagas.State{sagas.Expired}}, expired},
		"one state twice": {sagas.Selection{Most: 100, States: []sagas.State{sagas.Expired, sagas.Expired}}, expired},
		"two states":      {sagas.Selection{Most: 100, States: []sagas.State{sagas.Expired, sagas.Initiated}}, all},
		"not one such":    {sagas.Selection{Most: 100, States: []sagas.State{sagas.Ready}}, nil},
		"state, paged":    {sagas.Selection{Most: 2, After: at(1), States: []sagas.State{sagas.Expired}}, expired[1:3]},
		"after":           {sagas.Selection{Most: 100, CreatedAfter: start.Add(6 * time.Hour)}, all[:2]},
		"before":          {sagas.Selection{Most: 100, CreatedBefore: start.Add(2 * time.Hour)}, all[8:]},
		"before, paged":   {sagas.Selection{Most: 2, After: at(6), CreatedBefore: start.Add(8 * time.Hour)}, all[7:9]},
		"paged, before":   {sagas.Selection{Most: 2, After: at(1), CreatedBefore: start.Add(4 * time.Hour)}, all[6:8]},
		"between":         {sagas.Selection{Most: 100, CreatedAfter: start, CreatedBefore: start.Add(5 * time.Hour)}, all[4:8]},
		"long ago":        {sagas.Selection{Most: 100, CreatedBefore: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)}, nil},
		"far ahead":       {sagas.Selection{Most: 100, CreatedBefore: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, all},
	} {
		got, err := s.List(t.Context(), owner, c.sel)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.Equal(ids(got), c.want) {
			t.Errorf("%s: %v, want %v", name, ids(got), c.want)
		}
	}
}

// What is read is a page, however many uploads there are and however rare what is asked for.
func TestListReadsOnlyThePage(t *testing.T) {
	pool := sagatest.Pool(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO uploads (id, tenant, owner, state, method, filename, bucket, key, declared_type, expires_at, created_at, notified_at)
		SELECT ('01900000-' || lpad(to_hex(n / 65536), 4, '0') || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
			'tenant-' || n % 2, 'owner-' || n % 10 / 2, CASE WHEN n % 5000 < 2 THEN 'infected' ELSE 'ready' END,
			'put', 'a.jpg', 'incoming', n::text, 'image/jpeg', now(), now() - n * interval '1 minute', now()
		FROM generate_series(1, 100000) n`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "ANALYZE uploads"); err != nil {
		t.Fatal(err)
	}
	for name, sel := range map[string]sagas.Selection{
		"newest":      {Most: 50},
		"in between":  {Most: 50, After: sagas.Position{CreatedAt: time.Now().Add(-50000 * time.Minute), ID: uuid.Max}},
		"rare states": {Most: 50, States: []sagas.State{sagas.Infected, sagas.Failed}},
		"of a day":    {Most: 50, CreatedAfter: time.Now().Add(-60000 * time.Minute), CreatedBefore: time.Now().Add(-50000 * time.Minute)},
	} {
		plan := explainList(t, pool, sagas.Owner{Tenant: "tenant-1", Subject: "owner-3"}, sel)
		if !strings.Contains(plan, "Index Scan Backward using uploads_by_owner") || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Rows Removed") {
			t.Errorf("%s:\n%s", name, plan)
		}
	}
}

// explainList lists, and returns how Postgres goes about it.
func explainList(t *testing.T, pool *pgxpool.Pool, o sagas.Owner, sel sagas.Selection) string {
	t.Helper()
	var seen lastQuery
	config := pool.Config()
	config.ConnConfig.Tracer = &seen
	traced, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer traced.Close()
	if _, err := sagas.NewStore(traced, "test").List(t.Context(), o, sel); err != nil {
		t.Fatal(err)
	}
	rows, err := pool.Query(t.Context(), "EXPLAIN ANALYZE "+seen.sql, seen.args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// lastQuery is a pgx.QueryTracer that remembers.
type lastQuery struct {
	sql  string
	args []any
}

func (q *lastQuery) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	q.sql, q.args = d.SQL, d.Args
	return ctx
}

func (q *lastQuery) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
