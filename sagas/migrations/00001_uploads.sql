-- +goose Up
CREATE TABLE uploads (
    id              uuid PRIMARY KEY,
    tenant          text NOT NULL,
    owner           text NOT NULL,
    state           text NOT NULL CHECK (state IN (
                        'initiated', 'uploaded', 'verified', 'clean', 'processed', 'ready',
                        'rejected', 'infected', 'unscannable', 'failed', 'expired', 'aborted', 'deleted')),
    version         bigint NOT NULL DEFAULT 1,
    method          text NOT NULL CHECK (method IN ('put', 'post', 'multipart')),
    filename        text NOT NULL,
    bucket          text NOT NULL,
    key             text NOT NULL,
    declared_type   text NOT NULL,
    declared_size   bigint CHECK (declared_size > 0),
    declared_sha256 bytea CHECK (length(declared_sha256) = 32),
    observed_type   text,
    observed_size   bigint,
    observed_sha256 bytea CHECK (length(observed_sha256) = 32),
    etag            text,
    version_id      text,
    width           integer,
    height          integer,
    variants        jsonb NOT NULL DEFAULT '[]',
    reason_code     text,
    reason_detail   text,
    metadata        jsonb NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    notified_at     timestamptz,
    swept_at        timestamptz,
    UNIQUE (bucket, key)
);

-- What is still on its way, oldest first: the sweeper and the gauges read only this.
CREATE INDEX uploads_unsettled ON uploads (state, updated_at)
    WHERE state IN ('initiated', 'uploaded', 'verified', 'clean', 'processed') OR notified_at IS NULL;

CREATE TABLE upload_transitions (
    upload_id     uuid NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    seq           bigint NOT NULL,
    stage         text NOT NULL,
    from_state    text,
    to_state      text NOT NULL,
    attempt       integer NOT NULL,
    worker        text NOT NULL,
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz NOT NULL,
    reason_code   text,
    reason_detail text,
    PRIMARY KEY (upload_id, seq)
);

-- +goose Down
DROP TABLE upload_transitions;
DROP TABLE uploads;
