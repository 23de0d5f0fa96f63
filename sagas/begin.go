package sagas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// beginsAtOnce bounds the uploads that one statement begins. There is one such statement at a time in each process: what
// comes while it waits for the disk shares the next one, which costs half of what two at a time do.
const beginsAtOnce = 500

// Beginning is what is known of an upload before it exists.
type Beginning struct {
	ID       uuid.UUID
	Owner    Owner
	Method   Method
	Filename string
	Bucket   string
	Key      string
	Declared Content
	MaxSize  int64 // bytes that the tenant is allowed; 0: nobody says
	Metadata map[string]string
	Lifetime time.Duration // from now until it expires if nothing arrives
	Quota    Quota         // what the tenant may have in flight, this upload included
	Pass     string        // id of the pass that it is begun with, and counted on; empty: without one

	// Multipart is the plan of MethodMultipart, as yet without an UploadID; zero otherwise.
	Multipart Multipart
}

// matches reports whether u is what b began.
func (b Beginning) matches(u Upload) bool {
	return u.ID == b.ID && u.Owner == b.Owner && u.Method == b.Method && u.Filename == b.Filename &&
		u.Bucket == b.Bucket && u.Key == b.Key && u.MaxSize == b.MaxSize && u.Pass == b.Pass && maps.Equal(u.Metadata, b.Metadata) &&
		u.Declared.Type == b.Declared.Type && u.Declared.Size == b.Declared.Size &&
		bytes.Equal(u.Declared.SHA256, b.Declared.SHA256) && u.Multipart == b.Multipart
}

// Begin writes the saga and the first row of its history in one statement, or returns ErrTooManyInFlight or
// ErrPassSpent. Uploads without a quota and a pass that begin while others are being written share a statement. When the connection is lost before the
// reply comes, it finds out whether the statement was committed. An upload whose caller leaves may begin all the same.
func (s *Store) Begin(ctx context.Context, b Beginning) (Upload, error) {
	if b.Metadata == nil {
		b.Metadata = map[string]string{}
	}
	write := s.begins.write
	if b.Quota != (Quota{}) || b.Pass != "" {
		write = s.beginWithin
	}
	u, err := retry(ctx, func(unsure bool) (Upload, error) {
		u, err := write(ctx, b)
		if unsure && (isDuplicate(err) || errors.Is(err, ErrPassSpent)) { // the earlier try may have spent it
			began, lookErr := s.one(ctx, loadSQL, pgx.NamedArgs{"id": b.ID})
			if errors.Is(lookErr, ErrNotFound) || lookErr == nil && !b.matches(began) {
				return u, err
			}
			return began, lookErr
		}
		return u, err
	})
	if err != nil {
		return Upload{}, fmt.Errorf("beginning upload %s: %w", b.ID, err)
	}
	return u, nil
}

// begins writes uploads together.
type begins struct {
	pool   *pgxpool.Pool
	worker string
	united together[*begun]
}

// begun is one upload that is to begin.
type begun struct {
	Beginning
	upload Upload
	err    error
	shared bool          // the statement began others as well
	done   chan struct{} // closed when it has begun, or has not
}

func newBegins(pool *pgxpool.Pool, worker string) *begins {
	w := &begins{pool: pool, worker: worker}
	w.united = together[*begun]{do: w.writeAll, most: beginsAtOnce}
	return w
}

// write begins an upload, alone if the statement that it shared with others was refused, of which any of them may
// have been the cause.
func (w *begins) write(ctx context.Context, b Beginning) (Upload, error) {
	one := &begun{Beginning: b, done: make(chan struct{})}
	w.united.ask(one)
	select {
	case <-one.done:
	case <-ctx.Done():
		return Upload{}, ctx.Err()
	}
	if one.err == nil || !one.shared || IsUnavailable(one.err) {
		return one.upload, one.err
	}
	return inTime(ctx, w.pool, func(ctx context.Context) (Upload, error) { return insertOne(ctx, w.pool, b, w.worker) })
}

func (w *begins) writeAll(some []*begun) {
	all := make([]Beginning, len(some))
	for i, one := range some {
		all[i] = one.Beginning
	}
	uploads, err := inTime(context.Background(), w.pool, func(ctx context.Context) ([]Upload, error) {
		return insert(ctx, w.pool, all, w.worker)
	})
	for i, one := range some {
		if one.err, one.shared = err, len(some) > 1; err == nil {
			one.upload = uploads[i]
		}
		close(one.done)
	}
}

func insertOne(ctx context.Context, q querier, b Beginning, worker string) (Upload, error) {
	uploads, err := insert(ctx, q, []Beginning{b}, worker)
	if err != nil {
		return Upload{}, err
	}
	return uploads[0], nil
}

// insert writes uploads and the first rows of their histories in one statement, and returns them in the same order.
func insert(ctx context.Context, q querier, beginnings []Beginning, worker string) ([]Upload, error) {
	args, err := beginArgs(beginnings, worker)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, beginSQL, args...)
	if err != nil {
		return nil, err
	}
	uploads := make([]Upload, len(beginnings))
	index := make(map[uuid.UUID]int, len(beginnings))
	for i, b := range beginnings {
		index[b.ID] = i
	}
	var id pgtype.UUID
	var created, expires, read time.Time
	tag, err := pgx.ForEachRow(rows, []any{&id, &created, &expires, &read}, func() error {
		i := index[id.Bytes]
		uploads[i] = beginnings[i].upload(created, expires, read)
		return nil
	})
	if err == nil && tag.RowsAffected() != int64(len(beginnings)) {
		err = fmt.Errorf("%d uploads have begun instead of %d", tag.RowsAffected(), len(beginnings))
	}
	return uploads, err
}

// upload is b as the database has it now.
func (b Beginning) upload(created, expires, read time.Time) Upload {
	return Upload{
		ID: b.ID, Owner: b.Owner, State: Initiated, Version: 1, Method: b.Method, Filename: b.Filename, Bucket: b.Bucket, Key: b.Key,
		Declared: b.Declared, MaxSize: b.MaxSize, Multipart: b.Multipart, Variants: []Variant{}, Metadata: b.Metadata, Pass: b.Pass,
		CreatedAt: created, UpdatedAt: created, ExpiresAt: expires, ReadAt: read,
	}
}

// beginArgs are the arguments of beginSQL. An array that is flat is written in half the time that a plain slice takes.
func beginArgs(beginnings []Beginning, worker string) ([]any, error) {
	n := len(beginnings)
	text := func() pgtype.FlatArray[string] { return make(pgtype.FlatArray[string], 0, n) }
	ids, tenants, owners, methods, filenames, buckets, keys, types, metadata := text(), text(), text(), text(), text(), text(), text(), text(), text()
	sizes, mosts, partSizes, partCounts := make([]*int64, n), make([]*int64, n), make([]*int64, n), make([]*int, n)
	sums, partSums, passes, lifetimes := make([][]byte, n), make([]bool, n), make([]*string, n), make([]int64, n)
	for i, b := range beginnings {
		notes := "{}"
		if len(b.Metadata) > 0 {
			text, err := jsonText(b.Metadata)
			if err != nil {
				return nil, fmt.Errorf("encoding the metadata of upload %s: %w", b.ID, err)
			}
			notes = *text
		}
		ids, metadata = append(ids, b.ID.String()), append(metadata, notes)
		tenants, owners = append(tenants, b.Owner.Tenant), append(owners, b.Owner.Subject)
		methods, filenames = append(methods, string(b.Method)), append(filenames, b.Filename)
		buckets, keys, types = append(buckets, b.Bucket), append(keys, b.Key), append(types, b.Declared.Type)
		sizes[i], sums[i], mosts[i] = nullable(b.Declared.Size), b.Declared.SHA256, nullable(b.MaxSize)
		partSizes[i], partCounts[i], partSums[i] = nullable(b.Multipart.PartSize), nullable(b.Multipart.PartCount), b.Multipart.SHA256
		passes[i], lifetimes[i] = nullable(b.Pass), b.Lifetime.Microseconds()
	}
	return []any{
		Initiated, worker, ids, tenants, owners, methods, filenames, buckets, keys, types,
		sizes, sums, mosts, partSizes, partCounts, partSums, metadata, passes, lifetimes,
	}, nil
}
