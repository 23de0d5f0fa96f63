package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/sagas"
)

// blockLimit is how many blocks, of 8 KiB, a statement may touch for each upload on the line. A statement that reads
// settled history as well touches many times as many.
const blockLimit = 10

// examinePlans has the store read, sweep and count in a database with some uploads on the line, and explains each
// of its statements. It prints by which way each gets at uploads.
func (b *bed) examinePlans(ctx context.Context, d *database, unsettled int, r *report) (target, error) {
	none := target{}
	if _, err := d.begin(ctx, unsettled); err != nil {
		return none, err
	}
	if err := execute(ctx, d.url, "ANALYZE uploads"); err != nil {
		return none, err
	}
	taken, err := takeStatements(ctx, d)
	if err != nil {
		return none, err
	}
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return none, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	rows := [][]string{{"statement", "by", "rows", "blocks"}}
	worst := target{what: "blocks per upload on the line, of the store's largest statement", limit: blockLimit, atMost: true}
	for _, s := range taken {
		p, err := s.explain(ctx, conn)
		if err != nil {
			return none, err
		}
		each := p.blocks / float64(unsettled)
		if slices.ContainsFunc(p.scans, func(scan string) bool {
			return strings.HasPrefix(scan, "Seq Scan") && strings.HasSuffix(scan, "uploads")
		}) {
			worst.what, each = "no sequential scan in "+s.name, blockLimit+1
		}
		worst.figure = max(worst.figure, each)
		rows = append(rows, []string{s.name, strings.Join(p.scans, ", "), fmt.Sprintf("%.0f", p.rows), fmt.Sprintf("%.0f", p.blocks)})
	}
	return worst, r.table(fmt.Sprintf("Plans, with %d uploads on the line", unsettled), rows...)
}

// statement is one that the store executes.
type statement struct {
	name string
	sql  string
	args []any
}

// statementTaker is a pgx tracer that keeps the last statement.
type statementTaker struct {
	mu   sync.Mutex
	last statement
}

// TraceQueryStart implements pgx.QueryTracer.
func (t *statementTaker) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = statement{sql: data.SQL, args: slices.Clone(data.Args)}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t *statementTaker) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// takeStatements has the store execute what it does at work, and returns the statements.
func takeStatements(ctx context.Context, d *database) ([]statement, error) {
	taker := &statementTaker{}
	pool, err := tracedPool(ctx, sagas.Config{URL: d.url, MaxConns: 1, ExecMode: "exec"}, taker)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	store := sagas.NewStore(pool, "bench")
	u, err := store.Load(ctx, d.first)
	if err != nil {
		return nil, err
	}
	const still = time.Microsecond // old enough to be claimed
	calls := []struct {
		name string
		do   func() error
	}{
		{"Load", func() error { _, err := store.Load(ctx, u.ID); return err }},
		{"LoadByObject", func() error { _, err := store.LoadByObject(ctx, u.Bucket, u.Key); return err }},
		{"Advance", func() error {
			_, err := store.Advance(ctx, sagas.Change{ID: u.ID, Stage: "intake", From: u.State, To: sagas.Uploaded, StartedAt: u.ReadAt})
			return err
		}},
		{"Backlogs", func() error { _, err := store.Backlogs(ctx); return err }},
		{"ClaimArrivals", func() error { _, err := store.ClaimArrivals(ctx, still, time.Time{}, 100); return err }},
		{"ClaimStill", func() error {
			_, err := store.ClaimStill(ctx, still, time.Time{}, 100, sagas.States()[1:]...)
			return err
		}},
	}
	taken := make([]statement, len(calls))
	for i, call := range calls {
		if err := call.do(); err != nil {
			return nil, err
		}
		taken[i] = taker.last
		taken[i].name = call.name
	}
	return taken, execute(ctx, d.url, // so that there is something to do again
		"DELETE FROM upload_transitions WHERE seq = 2 AND upload_id = '"+u.ID.String()+"'",
		"UPDATE uploads SET state = 'initiated', version = 1, swept_at = NULL WHERE notified_at IS NULL",
	)
}

// plan is what PostgreSQL did for a statement.
type plan struct {
	scans  []string
	rows   float64 // read from tables, at least
	blocks float64 // of tables and indexes
}

// planNode is a node of EXPLAIN (FORMAT JSON).
type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Index    string     `json:"Index Name"`
	Rows     float64    `json:"Actual Rows"`
	Hit      float64    `json:"Shared Hit Blocks"`
	Read     float64    `json:"Shared Read Blocks"`
	Plans    []planNode `json:"Plans"`
}

// explain executes the statement and takes it back.
func (s statement) explain(ctx context.Context, conn *pgx.Conn) (p plan, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, tx.Rollback(ctx)) }()
	var text []byte
	if err := tx.QueryRow(ctx, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+s.sql, s.args...).Scan(&text); err != nil {
		return p, fmt.Errorf("explaining %s: %w", s.name, err)
	}
	var answers []struct {
		Plan planNode
	}
	if err := json.Unmarshal(text, &answers); err != nil {
		return p, err
	}
	root := answers[0].Plan
	p.blocks = root.Hit + root.Read
	root.walk(&p)
	return p, nil
}

func (n planNode) walk(p *plan) {
	if n.Index != "" || strings.HasSuffix(n.Type, "Scan") && n.Relation != "" {
		p.scans = append(p.scans, strings.TrimSpace(n.Type+" "+n.Index+" "+n.Relation))
		p.rows = max(p.rows, n.Rows)
	}
	for _, child := range n.Plans {
		child.walk(p)
	}
}
