-- +englog phase=expand
-- +goose Up
-- What all users together asked of one AI provider on one UTC day; written only for providers that have a limit.
CREATE TABLE ai_provider_usage (
    provider text    NOT NULL,
    day      date    NOT NULL,
    requests integer NOT NULL DEFAULT 0,
    tokens   bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (provider, day)
);

-- A request for a draft on its way from the API, which waits, to a worker, which alone holds the keys of providers. The API removes the row
-- when it has the answer or gives up, so no prompt stays.
CREATE TABLE drafts (
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    prompt        text        NOT NULL,
    background    text        NOT NULL,
    request_id    text        NOT NULL DEFAULT '',
    trace_parent  text        NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz NOT NULL DEFAULT now(),
    answered_at   timestamptz,
    data          jsonb,
    provider      text        NOT NULL DEFAULT '',
    error_code    text        NOT NULL DEFAULT '',
    retry_seconds integer     NOT NULL DEFAULT 0
);
CREATE INDEX drafts_open ON drafts (claimed_until) WHERE answered_at IS NULL;

-- +goose Down
DROP TABLE drafts;
DROP TABLE ai_provider_usage;
