-- +goose Up
-- What has come to nothing is cleaned up once more when whatever worked on it must have ended.
ALTER TABLE uploads ADD COLUMN cleaned_at timestamptz;

CREATE INDEX uploads_uncleaned ON uploads (updated_at)
    WHERE state IN ('rejected', 'infected', 'unscannable', 'failed', 'expired', 'aborted', 'deleted')
        AND notified_at IS NOT NULL AND cleaned_at IS NULL;

-- +goose Down
DROP INDEX uploads_uncleaned;
ALTER TABLE uploads DROP COLUMN cleaned_at;
