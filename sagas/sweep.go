package sagas

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// claimSQL claims by writing swept_at: SKIP LOCKED keeps sweepers apart while it runs, swept_at afterwards. What
// has been swept counts as still again after the same age; so does what was claimed by a statement whose reply was
// lost.
func claimSQL(which string) string {
	return `
WITH still AS (
	SELECT id FROM uploads
	WHERE ` + which + `
		AND updated_at >= @after AND updated_at < now() - @age::interval
		AND (swept_at IS NULL OR swept_at < now() - @age::interval)
	ORDER BY updated_at
	LIMIT @most
	FOR UPDATE SKIP LOCKED
), claimed AS (
	UPDATE uploads SET swept_at = now() FROM still WHERE uploads.id = still.id
	RETURNING uploads.*
)
SELECT ` + uploadColumns + ` FROM claimed`
}

// cleanedSQL leaves out an upload that has moved since: what it has become is to be cleaned up again.
const cleanedSQL = `UPDATE uploads SET cleaned_at = now() WHERE id = @id AND version = @version RETURNING id`

// ClaimArrivals claims uploads that have stood at initiated for age: their object may have come without an event,
// or never. What one caller gets no other gets until age has passed again. Those that moved last come last; after is
// when the last one of an earlier claim had moved, and the zero time begins with the first.
func (s *Store) ClaimArrivals(ctx context.Context, age time.Duration, after time.Time, most int) ([]Upload, error) {
	return s.claim(ctx, age, after, most, unsettled+" AND state = 'initiated'")
}

// ClaimStill claims, in the same way, uploads that are not settled and have stood in one of the states for age.
func (s *Store) ClaimStill(ctx context.Context, age time.Duration, after time.Time, most int, states ...State) ([]Upload, error) {
	return s.claim(ctx, age, after, most, unsettled+" AND state = ANY (@states)", states...)
}

// ClaimUncleaned claims uploads that came to nothing and of which everyone was told age ago, until Cleaned.
func (s *Store) ClaimUncleaned(ctx context.Context, age time.Duration, after time.Time, most int) ([]Upload, error) {
	return s.claim(ctx, age, after, most, uncleaned)
}

// Cleaned records that nothing is left of u as it is. ClaimUncleaned does not return it again.
func (s *Store) Cleaned(ctx context.Context, u Upload) error {
	_, err := all(ctx, s.pool, cleanedSQL, pgx.NamedArgs{"id": u.ID, "version": u.Version}, pgx.RowTo[uuid.UUID])
	if err != nil {
		return fmt.Errorf("recording that upload %s is cleaned up: %w", u.ID, err)
	}
	return nil
}

func (s *Store) claim(ctx context.Context, age time.Duration, after time.Time, most int, which string, states ...State) ([]Upload, error) {
	args := pgx.NamedArgs{"age": age, "after": after, "most": most, "states": stateTexts(states)}
	claimed, err := all(ctx, s.pool, claimSQL(which), args, scanUpload)
	if err != nil {
		return nil, fmt.Errorf("claiming still uploads: %w", err)
	}
	return claimed, nil
}
