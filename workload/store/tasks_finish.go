package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

// One statement is one transaction: a task whose token does not match gets neither its end nor an insight. A summary is
// also kept on its entry, where search finds it; an entry that is being edited is skipped, for it gets a new summary.
// Entries are locked before tasks, as an edit or a deletion of the entry does it, so that the two cannot deadlock.
// The last line answers for a task that an earlier try finished although its answer was lost.
const finishSQL = `
WITH given AS (
    SELECT g.id, g.token, g.insight_id, g.data::jsonb AS data, g.provider, g.model, g.confidence, g.tokens
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::real[], $8::integer[])
        AS g (id, token, insight_id, data, provider, model, confidence, tokens)
), subject AS (
    SELECT e.id FROM entries e
     WHERE e.id IN (SELECT t.entry_id FROM tasks t JOIN given g ON g.id = t.id)
     ORDER BY e.id FOR KEY SHARE OF e
), held AS (
    SELECT t.id FROM tasks t JOIN given g ON g.id = t.id
     WHERE t.lease_token = g.token AND t.state || '' = 'running' AND (SELECT count(subject.id) FROM subject) >= 0
     ORDER BY t.id FOR UPDATE OF t
), ended AS (
    UPDATE tasks t SET state = 'done', finished_at = now(), lease_until = NULL, last_error_code = '', last_error = ''
      FROM held WHERE t.id = held.id
    RETURNING t.id, t.user_id, t.entry_id, t.entry_version, t.period, t.kind
), entry_insight AS (
    INSERT INTO insights (id, user_id, entry_id, entry_version, kind, data, provider, model, confidence, tokens)
    SELECT g.insight_id, e.user_id, e.entry_id, e.entry_version, e.kind, g.data, g.provider, g.model, nullif(g.confidence, 0), g.tokens
      FROM ended e JOIN given g ON g.id = e.id
     WHERE g.data IS NOT NULL AND e.entry_id IS NOT NULL
    ON CONFLICT (entry_id, kind, entry_version) DO UPDATE
       SET data = excluded.data, provider = excluded.provider, model = excluded.model,
           confidence = excluded.confidence, tokens = excluded.tokens, created_at = now()
), week_insight AS (
    INSERT INTO insights (id, user_id, period, kind, data, provider, model, confidence, tokens)
    SELECT g.insight_id, e.user_id, e.period, e.kind, g.data, g.provider, g.model, nullif(g.confidence, 0), g.tokens
      FROM ended e JOIN given g ON g.id = e.id
     WHERE g.data IS NOT NULL AND e.entry_id IS NULL
    ON CONFLICT (user_id, kind, period) WHERE entry_id IS NULL DO UPDATE
       SET data = excluded.data, provider = excluded.provider, model = excluded.model,
           confidence = excluded.confidence, tokens = excluded.tokens, created_at = now()
), summarised AS (
    UPDATE entries x SET summary = left(s.text, 2000)
      FROM (SELECT y.id, g.data ->> 'text' AS text
              FROM ended e JOIN given g ON g.id = e.id
              JOIN entries y ON y.id = e.entry_id AND y.version = e.entry_version
             WHERE e.kind = 'summary' AND g.data ->> 'text' <> ''
               FOR NO KEY UPDATE OF y SKIP LOCKED) s
     WHERE x.id = s.id
)
SELECT id FROM ended
 UNION ALL
SELECT t.id FROM tasks t JOIN given g ON g.id = t.id WHERE t.lease_token = g.token AND t.state = 'done'`

// Finish ends tasks together with their insights, all in one transaction, and returns the ids of those that this call,
// or an earlier one of the same lease, brought to an end. For the others the lease was lost and nothing is written.
func (s *Tasks) Finish(ctx context.Context, done []englog.Finished) ([]uuid.UUID, error) {
	args, err := finishArgs(done)
	if err != nil {
		return nil, err
	}
	ids, err := collectByKey(ctx, s.pool, "finishing tasks", pgx.RowTo[uuid.UUID], finishSQL, args...)
	if err != nil {
		return nil, finishError(err)
	}
	return ids, nil
}

// finishError marks what no repetition can cure: data that PostgreSQL refuses.
func finishError(err error) error {
	if state, _ := sqlState(err); strings.HasPrefix(state, "22") || state == "23514" {
		return englog.Fail(englog.FailurePermanent, "insight_refused", err)
	}
	return err
}

func finishArgs(done []englog.Finished) ([]any, error) {
	n := len(done)
	ids, tokens, insights := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	data, providers, models := make([]*string, n), make([]string, n), make([]string, n)
	confidences, counts := make([]float32, n), make([]int32, n)
	for i, d := range done {
		ids[i], tokens[i] = d.ID, d.Token
		if d.Insight == nil {
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("making the id of an insight: %w", err)
		}
		text := string(d.Insight.Data)
		insights[i], data[i], providers[i], models[i] = id, &text, d.Insight.Provider, d.Insight.Model
		confidences[i], counts[i] = d.Insight.Confidence, d.Insight.Tokens
	}
	return []any{ids, tokens, insights, data, providers, models, confidences, counts}, nil
}
