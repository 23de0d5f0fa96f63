-- +goose Up
-- A row is void once expires_at is past: then it is a request that nobody answered, or an answer that was kept
-- long enough.
CREATE TABLE idempotency_keys (
    tenant      text NOT NULL,
    owner       text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    claim       uuid NOT NULL,
    answer      bytea,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, owner, key)
);

CREATE INDEX idempotency_keys_void ON idempotency_keys (expires_at);

-- +goose Down
DROP TABLE idempotency_keys;
