package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/sagas"
)

// measureHistory shows that uploads of the past do not slow down those of today: the same run of the line, in turn
// on a young database and on one that has been in use for a year.
func measureHistory(ctx context.Context, b *bed, e extent, r *report) error {
	q, err := b.startQueues(ctx, 0)
	if err != nil {
		return err
	}
	small, err := b.createSluice(ctx, "small", smallHistory, e.logged)
	if err != nil {
		return err
	}
	large, err := b.createSluice(ctx, "large", e.settled, e.logged)
	if err != nil {
		return err
	}
	sizes, err := large.sizes(ctx)
	if err != nil {
		return err
	}
	if err := r.table(fmt.Sprintf("History: %d and %d settled uploads, the last %d with their transitions", smallHistory, e.settled, min(e.logged, e.settled)), sizes...); err != nil {
		return err
	}
	var young, old, ratios []float64
	for round := range e.rounds {
		rates := map[*database]float64{}
		order := []*database{small, large}
		if round%2 == 1 {
			order = []*database{large, small}
		}
		for _, d := range order {
			figures, err := b.measureLine(ctx, lineRun{database: d, queues: q, uploads: e.uploads, workers: 1, slots: e.slots})
			if err != nil {
				return err
			}
			rates[d] = figures.rate()
		}
		young, old, ratios = append(young, rates[small]), append(old, rates[large]), append(ratios, rates[large]/rates[small])
	}
	if err := r.table("",
		[]string{fmt.Sprintf("uploads per second after %d", smallHistory), fmt.Sprintf("%.0f", median(young))},
		[]string{fmt.Sprintf("after %d", e.settled), fmt.Sprintf("%.0f", median(old))},
	); err != nil {
		return err
	}
	worst, err := b.examinePlans(ctx, large, e.uploads, r)
	if err != nil {
		return err
	}
	return r.targets(
		target{what: "large history against small", figure: median(ratios), limit: 0.9},
		worst,
	)
}

// createSluice makes a database of Sluice's with so many settled uploads, of which the last ones, as many as logged,
// have their transitions.
func (b *bed) createSluice(ctx context.Context, name string, settled, logged int) (*database, error) {
	url, err := b.createDatabase(ctx, name)
	if err != nil {
		return nil, err
	}
	pool, err := sagas.Connect(ctx, sagas.Config{URL: url, MaxConns: 2})
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	if _, err := sagas.Migrate(ctx, pool); err != nil {
		return nil, err
	}
	d := &database{url: url}
	if settled == 0 {
		return d, nil
	}
	if err := d.settle(ctx, settled, logged); err != nil {
		return nil, fmt.Errorf("writing %d settled uploads: %w", settled, err)
	}
	return d, b.checkpoint(ctx)
}

// settle writes uploads that came in over the past year and are ready and notified, the last ones with their
// transitions. Keys are made afterwards, which is faster and leaves them as dense as a REINDEX would.
func (d *database) settle(ctx context.Context, uploads, logged int) (err error) {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var drop, restore []string
	rows, err := conn.Query(ctx, constraintsSQL)
	if err != nil {
		return err
	}
	var table, constraint, definition string
	if _, err := pgx.ForEachRow(rows, []any{&table, &constraint, &definition}, func() error {
		drop = append([]string{"ALTER TABLE " + table + " DROP CONSTRAINT " + constraint}, drop...)
		restore = append(restore, "ALTER TABLE "+table+" ADD CONSTRAINT "+constraint+" "+definition)
		return nil
	}); err != nil {
		return err
	}
	for _, statement := range append(drop, "SET maintenance_work_mem = '1GB'") {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, settledSQL, uploads); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, settledTransitionsSQL, logged); err != nil {
		return err
	}
	for _, statement := range append(restore, "VACUUM ANALYZE uploads, upload_transitions") {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// constraintsSQL lists the keys of Sluice's tables in an order in which they can be made.
const constraintsSQL = `
SELECT conrelid::regclass::text, conname::text,
	pg_get_constraintdef(oid) || CASE contype WHEN 'f' THEN ' NOT VALID' ELSE '' END
FROM pg_constraint
WHERE conrelid IN ('uploads'::regclass, 'upload_transitions'::regclass) AND contype IN ('p', 'u', 'f')
ORDER BY contype = 'f', conrelid`

const settledSQL = `
INSERT INTO uploads (id, tenant, owner, state, version, method, filename, bucket, key,
	declared_type, declared_size, declared_sha256, observed_type, observed_size, observed_sha256,
	etag, version_id, width, height, variants, created_at, updated_at, expires_at, notified_at)
SELECT id, 'tenant-' || n % 1000, 'user-' || n % 77777, 'ready', 7, 'put', 'photo-' || n || '.jpg',
	'incoming', 'uploads/' || id || '.jpg',
	'image/jpeg', 2500000 + n, sha, 'image/jpeg', 2500000 + n, sha,
	md5(n::text), n::text, 4000, 3000,
	'[{"name": "800", "key": "media/800.jpg", "type": "image/jpeg", "width": 800, "height": 600, "size": 90000}]',
	at, at + interval '9 seconds', at + interval '1 hour', at + interval '9 seconds'
FROM (
	SELECT n, at, sha256(n::text::bytea) AS sha,
		(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
			|| '8' || substr(md5(n::text), 4, 15))::uuid AS id
	FROM (
		SELECT n, now() - interval '1 year' + n * (interval '364 days' / $1::int) AS at
		FROM generate_series(1, $1::int) AS n
	) AS times
) AS ids`

const settledTransitionsSQL = `
INSERT INTO upload_transitions (upload_id, seq, stage, from_state, to_state, attempt, worker, started_at, finished_at)
SELECT id, seq, stage, from_state, to_state, 1, 'worker-7f9c/1', created_at + seq * interval '1 second', created_at + seq * interval '1 second'
FROM (SELECT * FROM uploads ORDER BY created_at DESC LIMIT $1) AS logged CROSS JOIN (VALUES
	(1, 'api', NULL, 'initiated'), (2, 'intake', 'initiated', 'uploaded'), (3, 'verify', 'uploaded', 'verified'),
	(4, 'scan', 'verified', 'clean'), (5, 'thumbnail', 'clean', 'processed'), (6, 'publish', 'processed', 'ready'),
	(7, 'notify', 'ready', 'ready')
) AS moves (seq, stage, from_state, to_state)`

// sizes tells how large the tables are.
func (d *database) sizes(ctx context.Context) (sizes [][]string, err error) {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	rows, err := conn.Query(ctx, `
		SELECT relname::text, pg_size_pretty(pg_table_size(oid)), pg_size_pretty(pg_indexes_size(oid)), reltuples::bigint::text
		FROM pg_class WHERE oid IN ('uploads'::regclass, 'upload_transitions'::regclass) ORDER BY relname DESC`)
	if err != nil {
		return nil, err
	}
	sizes = [][]string{{"table", "rows", "size", "its indexes"}}
	var table, size, indexes, tuples string
	_, err = pgx.ForEachRow(rows, []any{&table, &size, &indexes, &tuples}, func() error {
		sizes = append(sizes, []string{table, tuples, size, indexes})
		return nil
	})
	return sizes, err
}
