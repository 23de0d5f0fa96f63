package sagas

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// listSQL takes a page of each state from the index uploads_by_owner and keeps the newest of those, so that a page
// costs the same however many uploads there are and however rare what is asked for.
const listSQL = `
SELECT ` + uploadColumns + `
FROM unnest(@states::text[]) AS wanted (wanted_state) CROSS JOIN LATERAL (
	SELECT * FROM uploads
	WHERE tenant = @tenant AND owner = @owner AND state = wanted_state
		AND created_at > @after AND (created_at, id) < (@before_time, @before_id)
	ORDER BY created_at DESC, id DESC
	LIMIT @most
) AS page
ORDER BY created_at DESC, id DESC
LIMIT @most`

// Position is the place of an upload in its owner's list.
type Position struct {
	CreatedAt time.Time // to the microsecond, as in the database
	ID        uuid.UUID
}

// newest is before every upload of a list.
var newest = Position{CreatedAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), ID: uuid.Max}

// Position is where the upload stands in its owner's list.
func (u Upload) Position() Position { return Position{CreatedAt: u.CreatedAt, ID: u.ID} }

// Selection says which of an owner's uploads to list.
type Selection struct {
	States        []State   // any of them; none: all
	CreatedAfter  time.Time // zero: however old
	CreatedBefore time.Time // zero: however new
	After         Position  // only what comes after it in the list; zero: from the start
	Most          int
}

// List returns an owner's uploads, newest first.
func (s *Store) List(ctx context.Context, o Owner, sel Selection) ([]Upload, error) {
	if len(sel.States) == 0 {
		sel.States = States()
	}
	before := sel.start()
	uploads, err := all(ctx, s.pool, listSQL, pgx.NamedArgs{
		"tenant": o.Tenant, "owner": o.Subject, "states": stateTexts(sel.States), "most": sel.Most,
		"after": sel.CreatedAfter, "before_time": before.CreatedAt, "before_id": before.ID,
	}, scanUpload)
	if err != nil {
		return nil, fmt.Errorf("listing uploads: %w", err)
	}
	return uploads, nil
}

// start is the position after which the selection begins.
func (s Selection) start() Position {
	start := newest
	if !s.CreatedBefore.IsZero() && s.CreatedBefore.Before(start.CreatedAt) {
		start = Position{CreatedAt: s.CreatedBefore} // the zero id: nothing of that very time comes after it
	}
	if s.After.ID != uuid.Nil && s.After.CreatedAt.Before(start.CreatedAt) {
		start = s.After
	}
	return start
}
