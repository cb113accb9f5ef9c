package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

const taskColumns = `t.id, t.user_id, coalesce(t.entry_id, '00000000-0000-0000-0000-000000000000'), t.entry_version,
       coalesce(t.period, '0001-01-01'), t.kind, t.state, t.attempt, t.max_attempts, t.crashes, t.runs, t.run_at,
       t.last_error_code, t.last_error, t.created_at, coalesce(t.finished_at, '0001-01-01')`

const entryTasksSQL = `
SELECT ` + taskColumns + `
  FROM tasks t WHERE t.entry_id = $2::uuid AND t.user_id = $1::uuid ORDER BY t.entry_version DESC, t.kind LIMIT 200`

// OfEntry returns the tasks of a user's entry, those of the newest version first.
func (s *Tasks) OfEntry(ctx context.Context, userID, entryID uuid.UUID) ([]englog.Task, error) {
	return collect(ctx, s.pool, "listing tasks", scanTask, entryTasksSQL, userID, entryID)
}

const failedTasksSQL = `
SELECT ` + taskColumns + `
  FROM tasks t WHERE t.user_id = $1::uuid AND t.state = 'dead' ORDER BY t.finished_at DESC LIMIT $2::integer`

// Failed returns a user's dead tasks with their causes, the latest first.
func (s *Tasks) Failed(ctx context.Context, userID uuid.UUID, limit int) ([]englog.Task, error) {
	return collect(ctx, s.pool, "listing failed tasks", scanTask, failedTasksSQL, userID, int32(limit))
}

func scanTask(row pgx.CollectableRow) (t englog.Task, err error) {
	return t, row.Scan(&t.ID, &t.UserID, &t.EntryID, &t.EntryVersion, &t.Period, &t.Kind, &t.State, &t.Attempt,
		&t.MaxAttempts, &t.Crashes, &t.Runs, &t.RunAt, &t.LastErrorCode, &t.LastError, &t.CreatedAt, &t.FinishedAt)
}

const insightColumns = `i.id, i.user_id, coalesce(i.entry_id, '00000000-0000-0000-0000-000000000000'), i.entry_version,
       coalesce(i.period, '0001-01-01'), i.kind, i.data, i.provider, i.model, coalesce(i.confidence, 0), i.tokens, i.created_at`

const entryInsightsSQL = `
SELECT DISTINCT ON (i.kind) ` + insightColumns + `
  FROM insights i WHERE i.entry_id = $2::uuid AND i.user_id = $1::uuid ORDER BY i.kind, i.entry_version DESC`

// InsightsOfEntry returns the newest insight of each kind about a user's entry. EntryVersion tells which version it is about.
func (s *Tasks) InsightsOfEntry(ctx context.Context, userID, entryID uuid.UUID) ([]englog.Insight, error) {
	return collect(ctx, s.pool, "listing insights", scanInsight, entryInsightsSQL, userID, entryID)
}

const userInsightsSQL = `
SELECT ` + insightColumns + `
  FROM insights i
 WHERE i.user_id = $1::uuid AND i.kind = $2::text AND i.created_at >= $3::timestamptz
 ORDER BY i.created_at DESC LIMIT $4::integer`

// InsightsOfUser returns a user's insights of one kind written since a time, the latest first.
func (s *Tasks) InsightsOfUser(ctx context.Context, userID uuid.UUID, kind englog.Kind, since time.Time, limit int) ([]englog.Insight, error) {
	return collect(ctx, s.pool, "listing insights", scanInsight, userInsightsSQL, userID, string(kind), since, int32(limit))
}

func scanInsight(row pgx.CollectableRow) (i englog.Insight, err error) {
	var data []byte
	err = row.Scan(&i.ID, &i.UserID, &i.EntryID, &i.EntryVersion, &i.Period, &i.Kind, &data, &i.Provider, &i.Model,
		&i.Confidence, &i.Tokens, &i.CreatedAt)
	i.Data = data
	return i, err
}

// The tasks of the entry's present version are made ready anew, with all their attempts; those that never were are made.
// A running task is left alone: it is about to answer. Switches that are off stay off.
const rerunSQL = `
INSERT INTO tasks AS t (id, user_id, entry_id, entry_version, kind, kind_version, priority, state, queued_at, request_id)
SELECT n.id, e.user_id, e.id, e.version, n.kind, n.kind_version, $6::smallint, 'queued', now(), $7::text
  FROM entries e
  JOIN users u ON u.id = e.user_id
 CROSS JOIN unnest($3::uuid[], $4::text[], $5::smallint[]) AS n (id, kind, kind_version)
 WHERE e.id = $2::uuid AND e.user_id = $1::uuid AND u.ai_enabled AND n.kind <> ALL (u.disabled_tasks)
ON CONFLICT (entry_id, kind, entry_version) DO UPDATE
   SET state = 'queued', queued_at = now(), run_at = now(), priority = excluded.priority, kind_version = excluded.kind_version,
       attempt = 0, crashes = 0, lease_until = NULL, lease_token = NULL, finished_at = NULL,
       last_error_code = '', last_error = '', request_id = excluded.request_id
 WHERE t.state <> 'running'
RETURNING t.id, t.kind, t.kind_version, t.priority`

// Rerun runs kinds again for the present version of a user's entry, ahead of other work. It returns what to kick; empty
// if there is no such entry, or if everything is running or switched off.
func (s *Tasks) Rerun(ctx context.Context, userID, entryID uuid.UUID, kinds []englog.Kind, requestID string) ([]englog.TaskRef, error) {
	ids, names, versions := make([]uuid.UUID, len(kinds)), make([]string, len(kinds)), make([]int16, len(kinds))
	for i, k := range kinds {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("making the id of a task: %w", err)
		}
		ids[i], names[i], versions[i] = id, string(k), k.Version()
	}
	return collect(ctx, s.pool, "running tasks again", scanRef, rerunSQL, userID, entryID, ids, names, versions,
		englog.PriorityHigh, clip(requestID, 128))
}

const rerunTaskSQL = `
UPDATE tasks t SET state = 'queued', queued_at = now(), run_at = now(), priority = $3::smallint, attempt = 0, crashes = 0,
       lease_until = NULL, lease_token = NULL, finished_at = NULL, last_error_code = '', last_error = ''
  FROM users u
 WHERE t.id = $2::uuid AND t.user_id = $1::uuid AND t.state IN ('dead', 'done', 'ready') AND u.id = t.user_id
   AND u.ai_enabled AND t.kind <> ALL (u.disabled_tasks)
RETURNING t.id, t.kind, t.kind_version, t.priority`

// RerunTask runs one of a user's tasks again. It returns what to kick; empty if there is no such task, or if it is queued,
// running, cancelled or switched off.
func (s *Tasks) RerunTask(ctx context.Context, userID, taskID uuid.UUID) ([]englog.TaskRef, error) {
	return collect(ctx, s.pool, "running a task again", scanRef, rerunTaskSQL, userID, taskID, englog.PriorityHigh)
}

const weeklySQL = `
INSERT INTO tasks (id, user_id, period, kind, kind_version, priority)
SELECT gen_random_uuid(), u.id, $1::date, $2::text, $3::smallint, $4::smallint
  FROM users u
 WHERE u.deleted_at IS NULL AND u.ai_enabled AND $2::text <> ALL (u.disabled_tasks)
   AND EXISTS (SELECT 1 FROM entries e WHERE e.user_id = u.id
                  AND e.occurred_at >= $1::date AND e.occurred_at < $1::date + 7)
   AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.user_id = u.id AND t.kind = $2::text AND t.period = $1::date)
ON CONFLICT (user_id, kind, period) WHERE entry_id IS NULL DO NOTHING`

// EnsureWeekly makes the weekly task of the week that starts on monday for every user who wrote in it, once. It returns how
// many it made.
func (s *Tasks) EnsureWeekly(ctx context.Context, monday time.Time) (int, error) {
	k := englog.KindWeeklyInsight
	tag, err := s.pool.Exec(ctx, weeklySQL, monday, string(k), k.Version(), k.Priority())
	if err != nil {
		return 0, fmt.Errorf("making weekly tasks: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
