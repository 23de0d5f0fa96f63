package sagas

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// sweepSQL claims by writing swept_at: SKIP LOCKED keeps sweepers apart while it runs, swept_at afterwards. What
// has been swept counts as still again after the same age; so does what was claimed by a statement whose reply was
// lost.
const sweepSQL = `
WITH still AS (
	SELECT id FROM uploads
	WHERE ` + unsettled + `
		AND updated_at < now() - @age::interval
		AND (swept_at IS NULL OR swept_at < now() - @age::interval)
		AND (state = 'initiated') = @initiated
	ORDER BY updated_at
	LIMIT @most
	FOR UPDATE SKIP LOCKED
), claimed AS (
	UPDATE uploads SET swept_at = now() FROM still WHERE uploads.id = still.id
	RETURNING uploads.*
)
SELECT ` + uploadColumns + ` FROM claimed`

// ClaimArrivals claims uploads that have stood at initiated for age: their object may have come without an event,
// or never. What one caller gets no other gets until age has passed again.
func (s *Store) ClaimArrivals(ctx context.Context, age time.Duration, most int) ([]Upload, error) {
	return s.claim(ctx, age, most, true)
}

// ClaimStill claims uploads that have arrived, are not settled and have not moved for age.
func (s *Store) ClaimStill(ctx context.Context, age time.Duration, most int) ([]Upload, error) {
	return s.claim(ctx, age, most, false)
}

func (s *Store) claim(ctx context.Context, age time.Duration, most int, initiated bool) ([]Upload, error) {
	args := pgx.NamedArgs{"age": age, "most": most, "initiated": initiated}
	claimed, err := all(ctx, s.pool, sweepSQL, args, scanUpload)
	if err != nil {
		return nil, fmt.Errorf("claiming still uploads: %w", err)
	}
	return claimed, nil
}
