package sagas

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	lookupsAtOnce = 500
	lookupTimeout = 5 * time.Second
)

// The limit keeps the plan a lookup in an index for each row, whatever the statistics say.
const lookupSQL = `
SELECT n, version
FROM unnest(@ids::text[]::uuid[], @tenants::text[], @owners::text[]) WITH ORDINALITY AS asked (asked_id, asked_tenant, asked_owner, n)
CROSS JOIN LATERAL (
	SELECT version FROM uploads WHERE id = asked_id AND tenant = asked_tenant AND owner = asked_owner LIMIT 1
) AS found`

// lookup is one question for a version.
type lookup struct {
	id      uuid.UUID
	owner   Owner
	version int64 // 0 when there is no such upload of this owner
	err     error
	done    chan struct{} // closed when it is answered
}

// lookups answers questions for versions together: each is read after it was asked, and thousands of clients that poll
// cost a few queries.
type lookups struct {
	pool   *pgxpool.Pool
	united together[*lookup]
}

func newLookups(pool *pgxpool.Pool) *lookups {
	l := &lookups{pool: pool}
	l.united = together[*lookup]{do: l.answer, most: lookupsAtOnce}
	return l
}

func (l *lookups) version(ctx context.Context, o Owner, id uuid.UUID) (int64, error) {
	q := &lookup{id: id, owner: o, done: make(chan struct{})}
	l.united.ask(q)
	select {
	case <-q.done:
		return q.version, q.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (l *lookups) answer(questions []*lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	err := l.read(ctx, questions)
	for _, q := range questions {
		q.err = err
		close(q.done)
	}
}

func (l *lookups) read(ctx context.Context, questions []*lookup) error {
	ids, tenants, owners := make([]string, len(questions)), make([]string, len(questions)), make([]string, len(questions))
	for i, q := range questions {
		ids[i], tenants[i], owners[i] = q.id.String(), q.owner.Tenant, q.owner.Subject
	}
	args := pgx.NamedArgs{"ids": ids, "tenants": tenants, "owners": owners}
	_, err := all(ctx, l.pool, lookupSQL, args, func(row pgx.CollectableRow) (struct{}, error) {
		var n, version int64
		err := row.Scan(&n, &version)
		if err == nil {
			questions[n-1].version = version
		}
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("reading versions: %w", err)
	}
	return nil
}
