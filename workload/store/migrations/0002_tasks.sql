-- +englog phase=expand
-- +goose Up
-- A task row is both the work and its outbox: it is written in the transaction of the entry version it belongs to.
-- Redis carries only ids of rows that stand here. A weekly task has a period (the Monday of its week) instead of an entry.
-- The user is not a foreign key: an entry's tasks go with the entry, a weekly one without a user is cancelled when it runs,
-- and the check would be paid six times for each entry.
CREATE TABLE tasks (
    id              uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL,
    entry_id        uuid                 REFERENCES entries (id) ON DELETE CASCADE,
    entry_version   integer     NOT NULL DEFAULT 0,
    period          date,
    kind            text        NOT NULL,
    kind_version    smallint    NOT NULL DEFAULT 1,
    priority        smallint    NOT NULL DEFAULT 5,
    state           text        NOT NULL DEFAULT 'ready'
                                CHECK (state IN ('ready', 'queued', 'running', 'done', 'dead', 'cancelled')),
    attempt         smallint    NOT NULL DEFAULT 0,
    max_attempts    smallint    NOT NULL DEFAULT 5,
    crashes         smallint    NOT NULL DEFAULT 0,
    runs            integer     NOT NULL DEFAULT 0,
    run_at          timestamptz NOT NULL DEFAULT now(),
    queued_at       timestamptz,
    lease_until     timestamptz,
    lease_token     uuid,
    lease_owner     text        NOT NULL DEFAULT '',
    last_error_code text        NOT NULL DEFAULT '',
    last_error      text        NOT NULL DEFAULT '',
    request_id      text        NOT NULL DEFAULT '',
    trace_parent    text        NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    CONSTRAINT tasks_subject CHECK ((entry_id IS NULL) <> (period IS NULL)),
    CONSTRAINT tasks_entry_kind_version UNIQUE (entry_id, kind, entry_version)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);

CREATE UNIQUE INDEX tasks_period ON tasks (user_id, kind, period) WHERE entry_id IS NULL;
CREATE INDEX tasks_ready ON tasks (kind, kind_version, priority DESC, run_at) WHERE state = 'ready';
CREATE INDEX tasks_running ON tasks (lease_until) WHERE state = 'running';
CREATE INDEX tasks_queued ON tasks (queued_at) WHERE state = 'queued';
CREATE INDEX tasks_dead ON tasks (user_id, finished_at DESC) WHERE state = 'dead';

-- What a task found out. At most one row for each entry version and kind, written in the transaction that ends the task.
CREATE TABLE insights (
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    entry_id      uuid                 REFERENCES entries (id) ON DELETE CASCADE,
    entry_version integer     NOT NULL DEFAULT 0,
    period        date,
    kind          text        NOT NULL,
    data          jsonb       NOT NULL,
    provider      text        NOT NULL,
    model         text        NOT NULL DEFAULT '',
    confidence    real,
    tokens        integer     NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT insights_entry_kind_version UNIQUE (entry_id, kind, entry_version)
);

CREATE UNIQUE INDEX insights_period ON insights (user_id, kind, period) WHERE entry_id IS NULL;
CREATE INDEX insights_user ON insights (user_id, kind, created_at DESC);

-- What a user's tasks asked of paid providers on one UTC day: the budget is checked against it before each request.
CREATE TABLE ai_usage (
    user_id  uuid    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    day      date    NOT NULL,
    requests integer NOT NULL DEFAULT 0,
    tokens   bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, day)
);

-- +goose Down
DROP TABLE ai_usage;
DROP TABLE insights;
DROP TABLE tasks;
