-- +goose Up
-- A credential that a page may hold: for a short time, for so many files and so many bytes.
CREATE TABLE passes (
    id         text PRIMARY KEY,
    tenant     text NOT NULL,
    owner      text NOT NULL,
    hash       bytea NOT NULL CHECK (length(hash) = 32),
    max_files  bigint NOT NULL CHECK (max_files > 0),
    max_bytes  bigint NOT NULL CHECK (max_bytes > 0),
    files      bigint NOT NULL DEFAULT 0 CHECK (files <= max_files),
    bytes      bigint NOT NULL DEFAULT 0 CHECK (bytes <= max_bytes),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE INDEX passes_expired ON passes (expires_at);

-- The pass that it was begun with; passes are forgotten, and so this refers to nothing.
ALTER TABLE uploads ADD COLUMN pass text;

-- +goose Down
ALTER TABLE uploads DROP COLUMN pass;
DROP TABLE passes;
