-- +goose Up
-- An owner's uploads, the newest of each state first.
CREATE INDEX uploads_by_owner ON uploads (tenant, owner, state, created_at, id);

-- +goose Down
DROP INDEX uploads_by_owner;
