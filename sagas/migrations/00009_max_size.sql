-- +goose Up
-- What its tenant was allowed when the upload began; NULL where that was not written down.
ALTER TABLE uploads ADD COLUMN max_size bigint CHECK (max_size > 0);

-- +goose Down
ALTER TABLE uploads DROP COLUMN max_size;
