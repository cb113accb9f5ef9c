-- +englog phase=expand
-- +goose Up
-- btree_gin lets one GIN index lead with the user; it is a trusted extension, so the database's owner may create it.
CREATE EXTENSION IF NOT EXISTS btree_gin;

CREATE TABLE users (
    id             uuid        PRIMARY KEY,
    email          text        NOT NULL CONSTRAINT users_email UNIQUE,
    name           text        NOT NULL,
    bio            text        NOT NULL DEFAULT '',
    password_hash  text        NOT NULL DEFAULT '',
    token_epoch    integer     NOT NULL DEFAULT 1,
    timezone       text        NOT NULL DEFAULT 'UTC',
    language       text        NOT NULL DEFAULT 'en',
    theme          text        NOT NULL DEFAULT 'system',
    ai_enabled     boolean     NOT NULL DEFAULT true,
    disabled_tasks text[]      NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    deleted_at     timestamptz
);
CREATE INDEX users_deleted ON users (deleted_at) WHERE deleted_at IS NOT NULL;

-- A session is one device that logged in; its refresh tokens are one family.
CREATE TABLE sessions (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_agent   text        NOT NULL DEFAULT '',
    ip           text        NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    revoked_why  text        NOT NULL DEFAULT ''
);
CREATE INDEX sessions_user ON sessions (user_id, last_used_at DESC);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- Only the SHA-256 of a refresh token is stored. A used row stays until the session ends: it is how reuse is noticed.
CREATE TABLE refresh_tokens (
    hash       bytea       PRIMARY KEY,
    session_id uuid        NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

CREATE TABLE access_tokens (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         text        NOT NULL,
    hash         bytea       NOT NULL CONSTRAINT access_tokens_hash UNIQUE,
    scopes       text[]      NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    CONSTRAINT access_tokens_name UNIQUE (user_id, name)
);

-- One pending code for each address; requests and window_start bound how often one may be asked for.
CREATE TABLE login_codes (
    email        text        PRIMARY KEY,
    code_hash    bytea       NOT NULL,
    attempts     smallint    NOT NULL DEFAULT 0,
    expires_at   timestamptz NOT NULL,
    requests     smallint    NOT NULL DEFAULT 1,
    window_start timestamptz NOT NULL
);

CREATE TABLE invites (
    hash       bytea       PRIMARY KEY,
    created_by uuid        REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

-- Who did what to an account and when; never what was written.
CREATE TABLE audit_log (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid,
    action  text        NOT NULL,
    subject text        NOT NULL DEFAULT '',
    ip      text        NOT NULL DEFAULT '',
    at      timestamptz NOT NULL
);
CREATE INDEX audit_log_user ON audit_log (user_id, at DESC);

CREATE TABLE entries (
    id               uuid        PRIMARY KEY,
    user_id          uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    version          integer     NOT NULL,
    title            text        NOT NULL,
    body             text        NOT NULL,
    kind             text        NOT NULL,
    project          text        NOT NULL,
    impact           text        NOT NULL,
    duration_minutes integer     NOT NULL,
    mood             smallint    NOT NULL,
    tags             text[]      NOT NULL,
    metadata         jsonb,
    summary          text        NOT NULL DEFAULT '',
    source           text        NOT NULL,
    word_count       integer     NOT NULL,
    occurred_at      timestamptz NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    -- A tsvector holds at most 1 MB: of a longer body the beginning is searched.
    search           tsvector    GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A') ||
        setweight(to_tsvector('english', summary), 'B') ||
        setweight(to_tsvector('english', left(body, 200000)), 'C')) STORED
);
CREATE INDEX entries_newest ON entries (user_id, occurred_at DESC, id DESC);
CREATE INDEX entries_search ON entries USING gin (user_id, search, tags);

-- The answer of a create that carried an Idempotency-Key, written in the same transaction as what it created.
CREATE TABLE idempotency_keys (
    user_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key          text        NOT NULL,
    request_hash bytea       NOT NULL,
    status       smallint    NOT NULL,
    etag         text        NOT NULL DEFAULT '',
    body         bytea       NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- Every serving process reports itself here: a contract migration waits for those that could not bear it.
CREATE TABLE app_instances (
    id        text        PRIMARY KEY,
    role      text        NOT NULL,
    color     text        NOT NULL,
    revision  text        NOT NULL,
    version   text        NOT NULL,
    level     integer     NOT NULL,
    last_seen timestamptz NOT NULL
);

-- +goose Down
DROP TABLE app_instances, idempotency_keys, entries, audit_log, invites, login_codes, access_tokens, refresh_tokens, sessions, users;
