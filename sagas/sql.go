package sagas

import (
	"slices"

	"github.com/jackc/pgx/v5"
)

// uploadColumns is in the order in which scanUpload reads.
const uploadColumns = `id, tenant, owner, state, version, method, filename, bucket, key,
	declared_type, coalesce(declared_size, 0), declared_sha256, coalesce(max_size, 0),
	coalesce(observed_type, ''), coalesce(observed_size, 0), observed_sha256,
	coalesce(multipart_id, ''), coalesce(part_size, 0), coalesce(part_count, 0), part_sha256,
	coalesce(etag, ''), coalesce(version_id, ''), coalesce(width, 0), coalesce(height, 0), variants,
	coalesce(reason_code, ''), coalesce(reason_detail, ''), metadata, coalesce(pass, ''),
	created_at, updated_at, expires_at, notified_at, clock_timestamp()`

// unsettled is what is on the line, or has an outcome that is not delivered. The index uploads_unsettled has the
// same condition.
const unsettled = `(state IN ('initiated', 'uploaded', 'verified', 'clean', 'processed') OR notified_at IS NULL)`

// uncleaned is what has come to nothing and was not cleaned up since. The index uploads_uncleaned has the same condition.
const uncleaned = `(state IN ('rejected', 'infected', 'unscannable', 'failed', 'expired', 'aborted', 'deleted')
	AND notified_at IS NOT NULL AND cleaned_at IS NULL)`

// beginSQL writes uploads and the first rows of their histories. Its arguments are those of beginArgs, by position: names
// would have to be looked for each time.
const beginSQL = `
WITH begun AS (
	INSERT INTO uploads (id, tenant, owner, state, method, filename, bucket, key,
		declared_type, declared_size, declared_sha256, max_size, part_size, part_count, part_sha256, metadata, pass, expires_at)
	SELECT id, tenant, owner, $1, method, filename, bucket, key,
		type, size, sum, most, part_size, part_count, part_sum, metadata::jsonb, pass, now() + lifetime * interval '1 microsecond'
	FROM unnest($3::text[]::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
		$11::bigint[], $12::bytea[], $13::bigint[], $14::bigint[], $15::integer[], $16::boolean[], $17::text[], $18::text[], $19::bigint[])
		AS asked (id, tenant, owner, method, filename, bucket, key, type, size, sum, most, part_size, part_count, part_sum, metadata, pass, lifetime)
	RETURNING id, version, state, created_at, expires_at
), logged AS (
	INSERT INTO upload_transitions (upload_id, seq, stage, to_state, attempt, worker, started_at, finished_at)
	SELECT id, version, 'api', state, 1, $2, created_at, clock_timestamp() FROM begun
)
SELECT id, created_at, expires_at, clock_timestamp() FROM begun`

const advanceSQL = `
WITH moved AS (
	UPDATE uploads SET
		state = @to, version = version + 1, updated_at = now(), cleaned_at = NULL,
		notified_at     = CASE WHEN @from::text = @to THEN now() END,
		etag            = coalesce(@etag, etag),
		version_id      = coalesce(@version_id, version_id),
		observed_type   = coalesce(@type, observed_type),
		observed_size   = coalesce(@size, observed_size),
		observed_sha256 = coalesce(@sha256, observed_sha256),
		width           = coalesce(@width, width),
		height          = coalesce(@height, height),
		variants        = coalesce(@variants::jsonb, variants),
		reason_code     = coalesce(@code, reason_code),
		reason_detail   = coalesce(@detail, reason_detail)
	WHERE id = @id AND state = @from AND (@from::text <> @to OR notified_at IS NULL)
	RETURNING *
), logged AS (
	INSERT INTO upload_transitions (upload_id, seq, stage, from_state, to_state, attempt, worker,
		started_at, finished_at, reason_code, reason_detail)
	SELECT id, version, @stage, @from, state, @attempt, @worker,
		@started_at, clock_timestamp(), @code, @detail FROM moved
)
SELECT ` + uploadColumns + ` FROM moved`

// startMultipartSQL may run again after its reply was lost, and never puts one multipart upload in another's place.
const startMultipartSQL = `
UPDATE uploads SET multipart_id = @multipart_id
WHERE id = @id AND state = @initiated AND method = @multipart AND coalesce(multipart_id, @multipart_id) = @multipart_id
RETURNING ` + uploadColumns

const loadSQL = `SELECT ` + uploadColumns + ` FROM uploads WHERE id = @id`

// advancedSQL yields the upload if this change was made to it. An upload makes each move once, so the row of the
// history is the change's own unless two tries of one process read the database's clock in the same microsecond;
// then both count as made, which costs a message sent twice.
const advancedSQL = `
SELECT ` + uploadColumns + ` FROM uploads
WHERE id = @id AND EXISTS (
	SELECT FROM upload_transitions
	WHERE upload_id = @id AND from_state = @from AND to_state = @to
		AND stage = @stage AND worker = @worker AND started_at = @started_at)`

const historySQL = `
SELECT seq, stage, coalesce(from_state, ''), to_state, attempt, worker, started_at, finished_at,
	coalesce(reason_code, ''), coalesce(reason_detail, '')
FROM upload_transitions WHERE upload_id = @id ORDER BY seq`

const backlogSQL = `
SELECT state, count(*), now() - min(updated_at)
FROM uploads
WHERE ` + unsettled + `
GROUP BY state`

func scanUpload(row pgx.CollectableRow) (u Upload, err error) {
	err = row.Scan(&u.ID, &u.Owner.Tenant, &u.Owner.Subject, &u.State, &u.Version, &u.Method, &u.Filename, &u.Bucket, &u.Key,
		&u.Declared.Type, &u.Declared.Size, &u.Declared.SHA256, &u.MaxSize,
		&u.Observed.Type, &u.Observed.Size, &u.Observed.SHA256,
		&u.Multipart.UploadID, &u.Multipart.PartSize, &u.Multipart.PartCount, &u.Multipart.SHA256,
		&u.ETag, &u.VersionID, &u.Width, &u.Height, &u.Variants,
		&u.Reason.Code, &u.Reason.Detail, &u.Metadata, &u.Pass,
		&u.CreatedAt, &u.UpdatedAt, &u.ExpiresAt, &u.NotifiedAt, &u.ReadAt)
	return u, err
}

func scanTransition(row pgx.CollectableRow) (t Transition, err error) {
	err = row.Scan(&t.Seq, &t.Stage, &t.From, &t.To, &t.Attempt, &t.Worker, &t.StartedAt, &t.FinishedAt,
		&t.Reason.Code, &t.Reason.Detail)
	return t, err
}

// stateTexts are the states, each once, as pgx can send them in every exec mode.
func stateTexts(states []State) (texts []string) {
	for _, state := range states {
		if text := string(state); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}
