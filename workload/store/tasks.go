package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Tasks keeps the tasks and their insights. All times are PostgreSQL's own, so that clocks of pods do not matter.
// Statements that lock several tasks lock them in the order of their ids, or skip what is locked.
type Tasks struct {
	pool *pgxpool.Pool
}

// NewTasks returns the tasks behind a pool.
func NewTasks(pool *pgxpool.Pool) *Tasks { return &Tasks{pool: pool} }

// insertTasksParams is the number of parameters of insertTasksSQL.
const insertTasksParams = 12

// insertTasksSQL inserts the tasks of one entry version; its parameters are $offset+1 to $offset+insertTasksParams,
// filled by insertTasksArgs. It can stand alone or as a data-modifying CTE beside the insert of its entry: foreign keys
// are checked at the end of the statement. A user's switches are applied here, so that "off" holds for every writer.
func insertTasksSQL(offset int) string {
	if offset == 0 {
		return insertTasksText
	}
	return shiftParams(insertTasksText, offset)
}

const insertTasksText = `
INSERT INTO tasks (id, user_id, entry_id, entry_version, kind, kind_version, priority, state, queued_at, run_at, request_id, trace_parent)
SELECT n.id, u.id, $2::uuid, $3::integer, n.kind, n.kind_version, n.priority, $4::text,
       CASE WHEN $4::text = 'queued' THEN now() END, now() + $5::float8 * interval '1 second', $6::text, $7::text
  FROM users u, unnest($8::uuid[], $9::text[], $10::smallint[], $11::smallint[]) AS n (id, kind, kind_version, priority)
 WHERE u.id = $1::uuid AND $12::boolean
   AND u.ai_enabled AND n.kind <> ALL (u.disabled_tasks)
ON CONFLICT (entry_id, kind, entry_version) DO NOTHING`

// shiftParams adds offset to the number of each parameter of a statement.
func shiftParams(text string, offset int) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		out.WriteByte(text[i])
		if text[i] != '$' {
			continue
		}
		end := i + 1
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		n, _ := strconv.Atoi(text[i+1 : end])
		out.WriteString(strconv.Itoa(n + offset))
		i = end - 1
	}
	return out.String()
}

// insertTasksArgs returns the parameters of insertTasksSQL and the references to kick after the commit.
func insertTasksArgs(t englog.NewTasks) ([]any, []englog.TaskRef, error) {
	refs, err := newRefs(t)
	if err != nil {
		return nil, nil, err
	}
	ids, kinds := make([]uuid.UUID, len(refs)), make([]string, len(refs))
	versions, priorities := make([]int16, len(refs)), make([]int16, len(refs))
	for i, r := range refs {
		ids[i], kinds[i], versions[i], priorities[i] = r.ID, string(r.Kind), r.Version, r.Priority
	}
	state := englog.TaskReady
	if t.Queued && t.Debounce <= 0 {
		state = englog.TaskQueued
	} else {
		refs = nil
	}
	args := []any{t.UserID, t.EntryID, t.EntryVersion, string(state), t.Debounce.Seconds(), clip(t.RequestID, 128),
		clip(t.TraceParent, 128), ids, kinds, versions, priorities, len(ids) > 0}
	return args, refs, nil
}

func newRefs(t englog.NewTasks) ([]englog.TaskRef, error) {
	refs := make([]englog.TaskRef, 0, len(t.Kinds))
	for _, k := range t.Kinds {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("making the id of a task: %w", err)
		}
		priority := t.Priority
		if priority == 0 {
			priority = k.Priority()
		}
		refs = append(refs, englog.TaskRef{ID: id, Kind: k, Version: k.Version(), Priority: priority})
	}
	return refs, nil
}

// InsertTasks inserts the tasks of one entry version within the transaction that writes the version, and returns the
// references to kick once that transaction is committed (none, unless t.Queued).
func InsertTasks(ctx context.Context, tx pgx.Tx, t englog.NewTasks) ([]englog.TaskRef, error) {
	args, refs, err := insertTasksArgs(t)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, insertTasksSQL(0), args...); err != nil {
		return nil, fmt.Errorf("inserting tasks: %w", err)
	}
	return refs, nil
}

// Add inserts tasks of an entry version that exists already, in a transaction of their own, and returns what to kick.
func (s *Tasks) Add(ctx context.Context, t englog.NewTasks) ([]englog.TaskRef, error) {
	args, refs, err := insertTasksArgs(t)
	if err != nil {
		return nil, err
	}
	if _, err := s.pool.Exec(ctx, insertTasksSQL(0), args...); err != nil {
		return nil, fmt.Errorf("inserting tasks: %w", err)
	}
	return refs, nil
}

// cancelSupersededSQL cancels what is unfinished of older versions ($2: the version that now counts) of entry $1.
const cancelSupersededSQL = `
UPDATE tasks t SET state = 'cancelled', finished_at = now(), lease_until = NULL
  FROM (SELECT id FROM tasks
         WHERE entry_id = $1::uuid AND entry_version < $2::integer AND state IN ('ready', 'queued', 'running')
         ORDER BY id FOR UPDATE) o
 WHERE t.id = o.id`

// CancelSuperseded cancels the unfinished tasks of versions older than version; a worker that runs one loses its lease.
func CancelSuperseded(ctx context.Context, tx pgx.Tx, entryID uuid.UUID, version int32) error {
	if _, err := tx.Exec(ctx, cancelSupersededSQL, entryID, version); err != nil {
		return fmt.Errorf("cancelling superseded tasks: %w", err)
	}
	return nil
}

const dueSQL = `
UPDATE tasks t SET state = 'queued', queued_at = now()
  FROM unnest($1::text[], $2::smallint[], $3::integer[]) AS k (kind, version, room)
 CROSS JOIN LATERAL (
       SELECT id FROM tasks
        WHERE state = 'ready' AND kind = k.kind AND kind_version = k.version AND run_at <= now()
        ORDER BY priority DESC, run_at LIMIT k.room FOR UPDATE SKIP LOCKED) d
 WHERE t.id = d.id
RETURNING t.id, t.kind, t.kind_version, t.priority`

// Due flips due tasks from ready to queued, at most Room of each kind, and returns them for publishing.
func (s *Tasks) Due(ctx context.Context, room []englog.KindRoom) ([]englog.TaskRef, error) {
	kinds, versions, rooms := make([]string, len(room)), make([]int16, len(room)), make([]int32, len(room))
	for i, r := range room {
		kinds[i], versions[i], rooms[i] = string(r.Kind), r.Version, int32(r.Room)
	}
	return collectByKey(ctx, s.pool, "finding due tasks", scanRef, dueSQL, kinds, versions, rooms)
}

func scanRef(row pgx.CollectableRow) (r englog.TaskRef, err error) {
	return r, row.Scan(&r.ID, &r.Kind, &r.Version, &r.Priority)
}

// Statements over several tasks find each row by its primary key. Left to itself the planner prefers a scan of the whole table
// while its statistics say that the table is small, and keeps that plan while a backlog grows: measured, 40 ms instead of
// 3 for a batch of 36. With keys alone there is nothing to choose by the values, so one plan serves all calls: planning anew
// costs more than a small batch. The settings last until the end of the statement's own transaction.
const byKeySQL = `
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true)`

// collectByKey runs one statement in a transaction of its own, in one round trip, with plans that use primary keys.
func collectByKey[T any](ctx context.Context, pool *pgxpool.Pool, what string, scan pgx.RowToFunc[T], query string, args ...any) ([]T, error) {
	out, err := once(func() (out []T, err error) {
		batch := &pgx.Batch{}
		batch.Queue(byKeySQL)
		batch.Queue(query, args...)
		results := pool.SendBatch(ctx, batch)
		defer func() { err = errors.Join(err, results.Close()) }()
		if _, err := results.Exec(); err != nil {
			return nil, err
		}
		rows, err := results.Query()
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scan)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return out, nil
}

// collect runs one statement outside any transaction and reads its rows.
func collect[T any](ctx context.Context, pool *pgxpool.Pool, what string, scan pgx.RowToFunc[T], query string, args ...any) ([]T, error) {
	out, err := once(func() ([]T, error) {
		rows, err := pool.Query(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scan)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return out, nil
}

const unqueueSQL = `
UPDATE tasks t SET state = 'ready', queued_at = NULL
  FROM (SELECT id FROM tasks WHERE id = ANY ($1::uuid[]) AND state || '' = 'queued' FOR UPDATE SKIP LOCKED) o
 WHERE t.id = o.id
RETURNING t.id`

// Unqueue makes tasks ready again whose messages could not be sent.
func (s *Tasks) Unqueue(ctx context.Context, ids []uuid.UUID) error {
	_, err := collectByKey(ctx, s.pool, "taking tasks back", pgx.RowTo[uuid.UUID], unqueueSQL, ids)
	return err
}

// The state is spelt so that no partial index offers itself instead of the primary key. A message for a task that was swept back to ready is still good once the task is due; one for a task that waits
// for a retry is not.
const claimSQL = `
UPDATE tasks t SET state = 'running', attempt = attempt + 1, runs = runs + 1, queued_at = NULL,
       lease_token = c.token, lease_owner = $5::text, lease_until = now() + $6::float8 * interval '1 second'
  FROM (SELECT o.id, g.token
          FROM tasks o
          JOIN unnest($1::uuid[], $2::uuid[]) AS g (id, token) ON g.id = o.id
          JOIN unnest($3::text[], $4::smallint[]) AS k (kind, version) ON k.kind = o.kind AND k.version = o.kind_version
         WHERE o.state || '' = 'queued' OR (o.state || '' = 'ready' AND o.run_at <= now())
           FOR UPDATE OF o SKIP LOCKED) c
 WHERE t.id = c.id
RETURNING t.id, t.user_id, t.entry_id, t.entry_version, t.period, t.kind, t.kind_version, t.priority,
          t.attempt, t.max_attempts, t.crashes, t.lease_token, t.request_id, t.trace_parent, t.created_at`

// Claim takes those of the tasks that are free and of a known kind. What is missing from the answer is a stale or
// duplicate message, or work for a worker of another release.
func (s *Tasks) Claim(ctx context.Context, ids []uuid.UUID, known []englog.KindVersion, owner string, lease time.Duration) ([]englog.Claimed, error) {
	tokens := make([]uuid.UUID, len(ids))
	for i := range tokens {
		tokens[i] = uuid.New()
	}
	kinds, versions := splitKinds(known)
	return collectByKey(ctx, s.pool, "claiming tasks", scanClaimed, claimSQL, ids, tokens, kinds, versions, owner, lease.Seconds())
}

func scanClaimed(row pgx.CollectableRow) (c englog.Claimed, err error) {
	var entry *uuid.UUID
	var period *time.Time
	err = row.Scan(&c.ID, &c.UserID, &entry, &c.EntryVersion, &period, &c.Kind, &c.Version, &c.Priority,
		&c.Attempt, &c.MaxAttempts, &c.Crashes, &c.Token, &c.RequestID, &c.TraceParent, &c.CreatedAt)
	if entry != nil {
		c.EntryID = *entry
	}
	if period != nil {
		c.Period = *period
	}
	return c, err
}

func splitKinds(known []englog.KindVersion) ([]string, []int16) {
	kinds, versions := make([]string, len(known)), make([]int16, len(known))
	for i, k := range known {
		kinds[i], versions[i] = string(k.Kind), k.Version
	}
	return kinds, versions
}

const extendSQL = `
UPDATE tasks t SET lease_until = now() + $3::float8 * interval '1 second'
  FROM unnest($1::uuid[], $2::uuid[]) AS g (id, token)
 WHERE t.id = g.id AND t.lease_token = g.token AND t.state || '' = 'running'
RETURNING t.id`

// Extend prolongs leases and returns the ids of those that still hold.
func (s *Tasks) Extend(ctx context.Context, held []englog.Claimed, lease time.Duration) ([]uuid.UUID, error) {
	ids, tokens := splitClaims(held)
	return collectByKey(ctx, s.pool, "extending leases", pgx.RowTo[uuid.UUID], extendSQL, ids, tokens, lease.Seconds())
}

func splitClaims(held []englog.Claimed) ([]uuid.UUID, []uuid.UUID) {
	ids, tokens := make([]uuid.UUID, len(held)), make([]uuid.UUID, len(held))
	for i, c := range held {
		ids[i], tokens[i] = c.ID, c.Token
	}
	return ids, tokens
}

const retrySQL = `
UPDATE tasks SET state = 'ready', run_at = now() + $3::float8 * interval '1 second', lease_until = NULL,
       attempt = CASE WHEN $4::boolean THEN attempt ELSE greatest(attempt - 1, 0) END,
       last_error_code = $5::text, last_error = $6::text
 WHERE id = $1::uuid AND lease_token = $2::uuid AND state = 'running'`

// Retry gives a task back for another run after a delay. Unless counts, the run costs no attempt.
func (s *Tasks) Retry(ctx context.Context, c englog.Claimed, after time.Duration, cause englog.Cause, counts bool) error {
	return s.fenced(ctx, "retrying a task", retrySQL, c.ID, c.Token, after.Seconds(), counts, cause.Code, clip(cause.Text, 1000))
}

const endSQL = `
UPDATE tasks SET state = $3::text, finished_at = now(), lease_until = NULL, last_error_code = $4::text, last_error = $5::text
 WHERE id = $1::uuid AND lease_token = $2::uuid AND state = 'running'`

// Kill gives a task up: it is dead, with its cause, until someone re-runs it.
func (s *Tasks) Kill(ctx context.Context, c englog.Claimed, cause englog.Cause) error {
	return s.fenced(ctx, "giving a task up", endSQL, c.ID, c.Token, string(englog.TaskDead), cause.Code, clip(cause.Text, 1000))
}

// Cancel ends a task that is no longer wanted.
func (s *Tasks) Cancel(ctx context.Context, c englog.Claimed, cause englog.Cause) error {
	return s.fenced(ctx, "cancelling a task", endSQL, c.ID, c.Token, string(englog.TaskCancelled), cause.Code, clip(cause.Text, 1000))
}

func (s *Tasks) fenced(ctx context.Context, what, query string, args ...any) error {
	tag, err := once(func() (pgconn.CommandTag, error) { return s.pool.Exec(ctx, query, args...) })
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("%s: %w", what, englog.ErrLeaseLost)
	}
	return nil
}

const releaseSQL = `
UPDATE tasks t SET state = 'ready', run_at = now(), attempt = greatest(attempt - 1, 0), lease_until = NULL
  FROM unnest($1::uuid[], $2::uuid[]) AS g (id, token)
 WHERE t.id = g.id AND t.lease_token = g.token AND t.state || '' = 'running'
RETURNING t.id`

// Release hands tasks back at once and without cost: their worker shuts down.
func (s *Tasks) Release(ctx context.Context, held []englog.Claimed) error {
	ids, tokens := splitClaims(held)
	_, err := collectByKey(ctx, s.pool, "handing tasks back", pgx.RowTo[uuid.UUID], releaseSQL, ids, tokens)
	return err
}

const sweepQueuedSQL = `
UPDATE tasks t SET state = 'ready', queued_at = NULL
  FROM (SELECT id FROM tasks WHERE state = 'queued' AND queued_at < now() - $1::float8 * interval '1 second'
         ORDER BY queued_at LIMIT 1000 FOR UPDATE SKIP LOCKED) o
 WHERE t.id = o.id
RETURNING t.id`

const sweepRunningSQL = `
UPDATE tasks t SET crashes = crashes + 1, attempt = greatest(attempt - 1, 0), lease_until = NULL,
       state = CASE WHEN crashes + 1 >= $1::smallint THEN 'dead' ELSE 'ready' END,
       run_at = CASE WHEN crashes + 1 >= $1::smallint THEN run_at ELSE now() END,
       finished_at = CASE WHEN crashes + 1 >= $1::smallint THEN now() END,
       last_error_code = 'worker_lost',
       last_error = 'the worker ' || lease_owner || ' was lost while it ran the task'
  FROM (SELECT id FROM tasks WHERE state = 'running' AND lease_until < now()
         ORDER BY lease_until LIMIT 1000 FOR UPDATE SKIP LOCKED) o
 WHERE t.id = o.id
RETURNING t.state`

// Sweep makes ready again what lost its message (queued longer than stale) or its worker (lease ended); a task that lost
// maxCrashes workers is dead.
func (s *Tasks) Sweep(ctx context.Context, stale time.Duration, maxCrashes int) (englog.Swept, error) {
	var swept englog.Swept
	requeued, err := collectByKey(ctx, s.pool, "sweeping queued tasks", pgx.RowTo[uuid.UUID], sweepQueuedSQL, stale.Seconds())
	if err != nil {
		return swept, err
	}
	swept.Requeued = len(requeued)
	states, err := collectByKey(ctx, s.pool, "sweeping running tasks", pgx.RowTo[string], sweepRunningSQL, int16(maxCrashes))
	for _, state := range states {
		if state == string(englog.TaskDead) {
			swept.Poisoned++
		} else {
			swept.Crashed++
		}
	}
	return swept, err
}

const countsSQL = `
SELECT kind, state, count(id)::bigint FROM tasks WHERE state = 'ready' GROUP BY kind, state
UNION ALL SELECT kind, state, count(id)::bigint FROM tasks WHERE state = 'queued' GROUP BY kind, state
UNION ALL SELECT kind, state, count(id)::bigint FROM tasks WHERE state = 'running' GROUP BY kind, state
UNION ALL SELECT kind, state, count(id)::bigint FROM tasks WHERE state = 'dead' GROUP BY kind, state`

// Counts returns how many tasks are in each state that is not done or cancelled.
func (s *Tasks) Counts(ctx context.Context) ([]englog.TaskCount, error) {
	scan := func(row pgx.CollectableRow) (c englog.TaskCount, err error) {
		return c, row.Scan(&c.Kind, &c.State, &c.Count)
	}
	return collect(ctx, s.pool, "counting tasks", scan, countsSQL)
}

const oldestReadySQL = `
SELECT coalesce(extract(epoch FROM max(now() - run_at)), 0)::float8 FROM tasks WHERE state = 'ready' AND run_at <= now()`

// OldestReady returns how long the oldest due task has waited; 0 if none waits.
func (s *Tasks) OldestReady(ctx context.Context) (time.Duration, error) {
	var seconds float64
	if err := s.pool.QueryRow(ctx, oldestReadySQL).Scan(&seconds); err != nil {
		return 0, fmt.Errorf("finding the oldest ready task: %w", err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// clip shortens text to at most n bytes at a rune boundary and drops what PostgreSQL's text cannot hold.
func clip(text string, n int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	if len(text) <= n {
		return text
	}
	cut := n
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut]
}

// isNoRows reports that a query of one row found none, by pgx or through database/sql.
func isNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) || errors.Is(err, pgx.ErrNoRows) }
