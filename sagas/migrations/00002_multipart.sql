-- +goose Up
ALTER TABLE uploads
    ADD COLUMN multipart_id text,
    ADD COLUMN part_size    bigint CHECK (part_size > 0),
    ADD COLUMN part_count   integer CHECK (part_count BETWEEN 1 AND 10000),
    ADD COLUMN part_sha256  boolean NOT NULL DEFAULT false,
    ADD CHECK ((method = 'multipart') = (part_count IS NOT NULL)),
    ADD CHECK (method = 'multipart' OR multipart_id IS NULL AND part_size IS NULL AND NOT part_sha256);

-- +goose Down
ALTER TABLE uploads
    DROP COLUMN multipart_id,
    DROP COLUMN part_size,
    DROP COLUMN part_count,
    DROP COLUMN part_sha256;
