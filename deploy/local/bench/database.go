package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/sagas"
)

// database is one of Sluice's databases.
type database struct {
	url   string
	first uuid.UUID // the first upload of the last begin
}

// begin makes uploads whose objects have just arrived, and returns S3's events about them.
func (d *database) begin(ctx context.Context, uploads int) (events []string, err error) {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	now := time.Now()
	records, firsts := make([][]any, uploads), make([][]any, uploads)
	events = make([]string, uploads)
	for i := range uploads {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			d.first = id
		}
		key := "uploads/" + id.String() + ".jpg"
		records[i] = []any{id, "acme", "user-42", sagas.Initiated, sagas.MethodPut, "photo.jpg", "incoming", key, "image/jpeg", 2_500_000, now.Add(time.Hour)}
		firsts[i] = []any{id, 1, "api", sagas.Initiated, 1, "bench", now, now}
		events[i] = fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put",`+
			`"s3":{"bucket":{"name":"incoming"},"object":{"key":%q,"size":2500000,"eTag":"9e107d9d372bb6826bd81d3542a419d6","versionId":"1"}}}]}`, key)
	}
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"uploads"}, []string{
		"id", "tenant", "owner", "state", "method", "filename", "bucket", "key", "declared_type", "declared_size", "expires_at",
	}, pgx.CopyFromRows(records)); err != nil {
		return nil, err
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"upload_transitions"}, []string{
		"upload_id", "seq", "stage", "to_state", "attempt", "worker", "started_at", "finished_at",
	}, pgx.CopyFromRows(firsts))
	return events, err
}

// finished is what the history says about the uploads of the last begin, by the database's clock.
type finished struct {
	transitions int64
	took        time.Duration // from the first message's arrival to the last commit
	middle      time.Duration // in which the middle three fifths were notified
}

// finish checks that each of the uploads of the last begin made each move once, and forgets them.
func (d *database) finish(ctx context.Context, uploads int) (f finished, err error) {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var notified int
	err = conn.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM uploads WHERE id >= $1 AND state = 'ready' AND notified_at IS NOT NULL),
			count(*), max(finished_at) - min(started_at),
			percentile_disc(0.8) WITHIN GROUP (ORDER BY finished_at) FILTER (WHERE stage = 'notify')
				- percentile_disc(0.2) WITHIN GROUP (ORDER BY finished_at) FILTER (WHERE stage = 'notify')
		FROM upload_transitions WHERE upload_id >= $1 AND seq > 1`, d.first).Scan(&notified, &f.transitions, &f.took, &f.middle)
	if err != nil {
		return f, err
	}
	if notified != uploads || f.transitions != int64(uploads*moves()) {
		return f, fmt.Errorf("of %d uploads %d are ready and notified, after %d moves instead of %d", uploads, notified, f.transitions, uploads*moves())
	}
	for _, statement := range []string{
		"DELETE FROM uploads WHERE id >= '" + d.first.String() + "'",
		"VACUUM ANALYZE uploads, upload_transitions",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return f, err
		}
	}
	return f, nil
}
