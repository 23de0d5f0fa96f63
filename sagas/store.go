package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	// ErrNotFound reports an upload that does not exist, or that is somebody else's.
	ErrNotFound = errors.New("no such upload")

	// ErrMoved reports an advance whose upload is no longer in the state it was to leave. Nothing was written;
	// whoever moved it decides what happens next.
	ErrMoved = errors.New("the upload has moved on")
)

// IllegalTransitionError reports a move that the table in state.go does not allow: a mistake in the program.
type IllegalTransitionError struct{ From, To State }

func (e *IllegalTransitionError) Error() string {
	return fmt.Sprintf("an upload cannot go from %s to %s", e.From, e.To)
}

// Store keeps uploads in Postgres. It is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	worker  string
	changed *announcer
	lookups *lookups
	begins  *begins
}

// NewStore returns a store over the pool; worker names this process in the history.
func NewStore(pool *pgxpool.Pool, worker string) *Store {
	return &Store{pool: pool, worker: worker, changed: &announcer{pool: pool}, lookups: newLookups(pool), begins: newBegins(pool, worker)}
}

// StartMultipart keeps the id that S3 gave the multipart upload of an initiated upload. It is not a transition: nobody
// but the API has seen the upload yet. It returns ErrMoved when the upload has left initiated, or has another id.
func (s *Store) StartMultipart(ctx context.Context, id uuid.UUID, uploadID string) (Upload, error) {
	args := pgx.NamedArgs{"id": id, "multipart_id": uploadID, "initiated": Initiated, "multipart": MethodMultipart}
	u, err := retry(ctx, func(bool) (Upload, error) { return s.one(ctx, startMultipartSQL, args) })
	if errors.Is(err, ErrNotFound) {
		return Upload{}, ErrMoved
	}
	if err != nil {
		return Upload{}, fmt.Errorf("keeping the multipart upload of upload %s: %w", id, err)
	}
	return u, nil
}

// Change is one move of one upload.
type Change struct {
	ID        uuid.UUID
	Stage     string
	From, To  State
	Attempt   int
	StartedAt time.Time // by the database's clock: the ReadAt of the record that the stage worked on
	Facts     Facts
	Reason    Reason
}

// Advance is the compare-and-set: it moves the upload from c.From to c.To, stores what was learned and appends
// the transition, all in one statement, or returns ErrMoved and writes nothing. Moving an outcome to itself
// records that it was delivered, once.
//
// The processes whose Changes run are told of it shortly afterwards; Flush waits for that.
//
// When the connection is lost before the reply comes, it tries again: should the upload have moved by then, its
// history says whether that was this change, and if so Advance returns the upload as it stands. The second try
// comes before the look because the first may still be running: Postgres makes the second wait for it.
func (s *Store) Advance(ctx context.Context, c Change) (Upload, error) {
	if !c.From.CanBecome(c.To) {
		return Upload{}, &IllegalTransitionError{From: c.From, To: c.To}
	}
	var variants *string
	if c.Facts.Variants != nil {
		var err error
		if variants, err = jsonText(c.Facts.Variants); err != nil {
			return Upload{}, fmt.Errorf("encoding the variants of upload %s: %w", c.ID, err)
		}
	}
	args := pgx.NamedArgs{
		"id": c.ID, "from": c.From, "to": c.To, "stage": c.Stage, "attempt": max(c.Attempt, 1), "worker": s.worker,
		"started_at": c.StartedAt, "etag": nullable(c.Facts.ETag), "version_id": nullable(c.Facts.VersionID),
		"type": nullable(c.Facts.Observed.Type), "size": nullable(c.Facts.Observed.Size),
		"sha256": c.Facts.Observed.SHA256, "width": nullable(c.Facts.Width), "height": nullable(c.Facts.Height),
		"variants": variants, "code": nullable(string(c.Reason.Code)), "detail": nullable(c.Reason.Detail),
	}
	u, err := retry(ctx, func(unsure bool) (Upload, error) {
		u, err := s.one(ctx, advanceSQL, args)
		if unsure && errors.Is(err, ErrNotFound) {
			return s.one(ctx, advancedSQL, args)
		}
		return u, err
	})
	if errors.Is(err, ErrNotFound) {
		return Upload{}, ErrMoved
	}
	if err != nil {
		return Upload{}, fmt.Errorf("moving upload %s from %s to %s: %w", c.ID, c.From, c.To, err)
	}
	s.changed.announce(u.ID, u.Version) //nolint:contextcheck // it goes out when the caller has left, too
	return u, nil
}

// Flush waits until every change made so far was announced, or ctx ends. A process calls it before it closes the pool.
func (s *Store) Flush(ctx context.Context) error { return s.changed.flush(ctx) }

// Version returns the version of the owner's upload, or ErrNotFound. It costs less than Get, and much less when many
// ask at the same time.
func (s *Store) Version(ctx context.Context, o Owner, id uuid.UUID) (int64, error) {
	version, err := s.lookups.version(ctx, o, id)
	if err == nil && version == 0 {
		return 0, ErrNotFound
	}
	return version, err
}

// Get returns the owner's upload, or ErrNotFound.
func (s *Store) Get(ctx context.Context, o Owner, id uuid.UUID) (Upload, error) {
	return s.read(ctx, "id = @id AND tenant = @tenant AND owner = @owner",
		pgx.NamedArgs{"id": id, "tenant": o.Tenant, "owner": o.Subject})
}

// GetByKey returns the owner's upload whose object this is, or ErrNotFound.
func (s *Store) GetByKey(ctx context.Context, o Owner, bucket, key string) (Upload, error) {
	return s.read(ctx, "bucket = @bucket AND key = @key AND tenant = @tenant AND owner = @owner",
		pgx.NamedArgs{"bucket": bucket, "key": key, "tenant": o.Tenant, "owner": o.Subject})
}

// Load returns an upload for a worker, whoever owns it, or ErrNotFound.
func (s *Store) Load(ctx context.Context, id uuid.UUID) (Upload, error) {
	return s.read(ctx, "id = @id", pgx.NamedArgs{"id": id})
}

// LoadByObject returns the upload whose object this is, or ErrNotFound.
func (s *Store) LoadByObject(ctx context.Context, bucket, key string) (Upload, error) {
	return s.read(ctx, "bucket = @bucket AND key = @key", pgx.NamedArgs{"bucket": bucket, "key": key})
}

// History returns the upload's transitions, oldest first.
func (s *Store) History(ctx context.Context, id uuid.UUID) ([]Transition, error) {
	history, err := all(ctx, s.pool, historySQL, pgx.NamedArgs{"id": id}, scanTransition)
	if err != nil {
		return nil, fmt.Errorf("reading the history of upload %s: %w", id, err)
	}
	return history, nil
}

// Backlog says how many uploads stand in one state and for how long the stillest has.
type Backlog struct {
	State  State
	Count  int64
	Oldest time.Duration
}

// Backlogs returns what is still on its way, by state; states with nothing in them are left out.
func (s *Store) Backlogs(ctx context.Context) ([]Backlog, error) {
	backlogs, err := all(ctx, s.pool, backlogSQL, nil, func(row pgx.CollectableRow) (b Backlog, err error) {
		err = row.Scan(&b.State, &b.Count, &b.Oldest)
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("counting unsettled uploads: %w", err)
	}
	return backlogs, nil
}

// Ping checks that the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	return nil
}

func (s *Store) read(ctx context.Context, where string, args pgx.NamedArgs) (Upload, error) {
	u, err := retry(ctx, func(bool) (Upload, error) {
		return s.one(ctx, "SELECT "+uploadColumns+" FROM uploads WHERE "+where, args)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Upload{}, fmt.Errorf("reading an upload: %w", err)
	}
	return u, err
}

// one runs a statement that yields at most one upload.
func (s *Store) one(ctx context.Context, sql string, args pgx.NamedArgs) (Upload, error) {
	return inTime(ctx, s.pool, func(ctx context.Context) (Upload, error) { return one(ctx, s.pool, sql, args) })
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func one(ctx context.Context, q querier, sql string, args pgx.NamedArgs) (Upload, error) {
	rows, err := q.Query(ctx, sql, args)
	if err != nil {
		return Upload{}, err
	}
	u, err := pgx.CollectExactlyOneRow(rows, scanUpload)
	if errors.Is(err, pgx.ErrNoRows) {
		return Upload{}, ErrNotFound
	}
	return u, err
}

// all runs a statement that may be repeated when its reply is lost.
func all[T any](ctx context.Context, pool *pgxpool.Pool, sql string, args pgx.NamedArgs, scan pgx.RowToFunc[T]) ([]T, error) {
	return retry(ctx, func(bool) ([]T, error) {
		return inTime(ctx, pool, func(ctx context.Context) ([]T, error) {
			rows, err := pool.Query(ctx, sql, args)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(rows, scan)
		})
	})
}

// jsonText encodes v for a jsonb parameter. Text needs no knowledge of the parameter's type, which the exec modes
// without a describe step do not have.
func jsonText(v any) (*string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	text := string(b)
	return &text, nil
}

// nullable turns a zero value into NULL.
func nullable[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return new(v)
}
