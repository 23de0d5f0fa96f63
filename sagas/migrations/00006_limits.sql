-- +goose Up
-- NULL is the deployment's default; 0 is no limit.
CREATE TABLE tenant_limits (
    tenant              text PRIMARY KEY,
    requests_per_second double precision CHECK (requests_per_second >= 0),
    files_in_flight     bigint CHECK (files_in_flight >= 0),
    bytes_in_flight     bigint CHECK (bytes_in_flight >= 0),
    max_size            bigint CHECK (max_size > 0),
    allowed_types       text[],
    updated_at          timestamptz NOT NULL DEFAULT now()
);

-- What a tenant has on the line.
CREATE INDEX uploads_in_flight ON uploads (tenant)
    WHERE state IN ('initiated', 'uploaded', 'verified', 'clean', 'processed');

-- +goose Down
DROP INDEX uploads_in_flight;
DROP TABLE tenant_limits;
