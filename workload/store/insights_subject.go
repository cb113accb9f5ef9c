package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

const subjectSQL = `
SELECT e.title, e.body, e.kind, e.project, e.mood, e.tags, e.occurred_at,
       u.ai_enabled AND u.deleted_at IS NULL AND $3::text <> ALL (u.disabled_tasks)
  FROM entries e JOIN users u ON u.id = e.user_id
 WHERE e.id = $1::uuid AND e.version = $2::integer`

const weekSQL = `
SELECT e.title, left(e.body, 4000), e.kind, e.project, e.impact, e.mood, e.tags, e.duration_minutes, e.occurred_at
  FROM entries e JOIN users u ON u.id = e.user_id
 WHERE e.user_id = $1::uuid AND e.occurred_at >= $2::date AND e.occurred_at < $2::date + 7
   AND u.ai_enabled AND u.deleted_at IS NULL AND $3::text <> ALL (u.disabled_tasks)
 ORDER BY e.occurred_at, e.id LIMIT 500`

// Subject reads the text that a claimed task is about. It reports false when the task is no longer wanted: its entry has a
// newer version or is gone, the user switched the kind off or deleted the account, or the week is empty.
func (s *Tasks) Subject(ctx context.Context, c englog.Claimed) (englog.Subject, bool, error) {
	if c.EntryID == uuid.Nil {
		return s.weekSubject(ctx, c)
	}
	subject := englog.Subject{UserID: c.UserID}
	var wanted bool
	err := s.pool.QueryRow(ctx, subjectSQL, c.EntryID, c.EntryVersion, string(c.Kind)).Scan(&subject.Title, &subject.Body,
		&subject.Kind, &subject.Project, &subject.Mood, &subject.Tags, &subject.At, &wanted)
	if isNoRows(err) {
		return englog.Subject{}, false, nil
	}
	if err != nil {
		return englog.Subject{}, false, fmt.Errorf("reading what a task is about: %w", err)
	}
	return subject, wanted, nil
}

func (s *Tasks) weekSubject(ctx context.Context, c englog.Claimed) (englog.Subject, bool, error) {
	week, err := collect(ctx, s.pool, "reading a week", scanSubjectEntry, weekSQL, c.UserID, c.Period, string(c.Kind))
	return englog.Subject{UserID: c.UserID, At: c.Period, Week: week}, len(week) > 0, err
}

func scanSubjectEntry(row pgx.CollectableRow) (e englog.SubjectEntry, err error) {
	var minutes int32
	err = row.Scan(&e.Title, &e.Body, &e.Kind, &e.Project, &e.Impact, &e.Mood, &e.Tags, &minutes, &e.At)
	e.Duration = time.Duration(minutes) * time.Minute
	return e, err
}

const aiUsageSQL = `
SELECT requests, tokens FROM ai_usage WHERE user_id = $1::uuid AND day = (now() AT TIME ZONE 'UTC')::date`

// AIUsage returns what a user asked of paid providers today (UTC).
func (s *Tasks) AIUsage(ctx context.Context, userID uuid.UUID) (englog.AIUsage, error) {
	var u englog.AIUsage
	err := s.pool.QueryRow(ctx, aiUsageSQL, userID).Scan(&u.Requests, &u.Tokens)
	if err != nil && !isNoRows(err) {
		return u, fmt.Errorf("reading the AI budget: %w", err)
	}
	return u, nil
}

const addAIUsageSQL = `
INSERT INTO ai_usage AS a (user_id, day, requests, tokens)
VALUES ($1::uuid, (now() AT TIME ZONE 'UTC')::date, $2::integer, $3::bigint)
ON CONFLICT (user_id, day) DO UPDATE SET requests = a.requests + excluded.requests, tokens = a.tokens + excluded.tokens`

// AddAIUsage adds to today's use of paid providers.
func (s *Tasks) AddAIUsage(ctx context.Context, userID uuid.UUID, u englog.AIUsage) error {
	if _, err := s.pool.Exec(ctx, addAIUsageSQL, userID, u.Requests, u.Tokens); err != nil {
		return fmt.Errorf("recording use of AI: %w", err)
	}
	return nil
}

const providerUsageSQL = `
SELECT requests, tokens FROM ai_provider_usage WHERE provider = $1 AND day = (now() AT TIME ZONE 'UTC')::date`

// ProviderUsage returns what all users together asked of a provider today (UTC).
func (s *Tasks) ProviderUsage(ctx context.Context, provider string) (englog.AIUsage, error) {
	var u englog.AIUsage
	err := s.pool.QueryRow(ctx, providerUsageSQL, provider).Scan(&u.Requests, &u.Tokens)
	if err != nil && !isNoRows(err) {
		return u, fmt.Errorf("reading the budget of a provider: %w", err)
	}
	return u, nil
}

const addProviderUsageSQL = `
INSERT INTO ai_provider_usage AS a (provider, day, requests, tokens) VALUES ($1, (now() AT TIME ZONE 'UTC')::date, $2::integer, $3::bigint)
ON CONFLICT (provider, day) DO UPDATE SET requests = a.requests + excluded.requests, tokens = a.tokens + excluded.tokens`

// AddProviderUsage adds to what was asked of a provider today.
func (s *Tasks) AddProviderUsage(ctx context.Context, provider string, u englog.AIUsage) error {
	if _, err := s.pool.Exec(ctx, addProviderUsageSQL, provider, u.Requests, u.Tokens); err != nil {
		return fmt.Errorf("recording use of a provider: %w", err)
	}
	return nil
}
