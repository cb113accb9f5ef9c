package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

const (
	insertDraftSQL = `
INSERT INTO drafts (id, user_id, prompt, background, request_id, trace_parent) VALUES ($1, $2, $3, $4, $5, $6)`
	claimDraftsSQL = `
UPDATE drafts d SET claimed_until = now() + $2::float8 * interval '1 second'
  FROM (SELECT id FROM drafts WHERE answered_at IS NULL AND claimed_until <= now()
         ORDER BY claimed_until LIMIT $1::integer FOR UPDATE SKIP LOCKED) o
 WHERE d.id = o.id
RETURNING d.id, d.user_id, d.prompt, d.background, d.request_id, d.trace_parent`
	answerDraftSQL = `
UPDATE drafts SET answered_at = now(), data = $2::jsonb, provider = $3, error_code = $4, retry_seconds = $5::integer WHERE id = $1`
	draftSQL       = `SELECT answered_at IS NOT NULL, data, provider, error_code, retry_seconds FROM drafts WHERE id = $1`
	deleteDraftSQL = `DELETE FROM drafts WHERE id = $1`
)

// AskForDraft stores a request, for a worker to find.
func (s *Tasks) AskForDraft(ctx context.Context, r englog.DraftRequest) error {
	_, err := s.pool.Exec(ctx, insertDraftSQL, r.ID, r.UserID, clip(r.Prompt, 20_000), clip(r.Background, 40_000), clip(r.RequestID, 128), clip(r.TraceParent, 128))
	if err != nil {
		return fmt.Errorf("asking for a draft: %w", err)
	}
	return nil
}

// ClaimDrafts takes at most count requests that nobody works on; after the lease another worker may take them.
func (s *Tasks) ClaimDrafts(ctx context.Context, count int, lease time.Duration) ([]englog.DraftRequest, error) {
	return collect(ctx, s.pool, "claiming requests for drafts", func(row pgx.CollectableRow) (r englog.DraftRequest, err error) {
		return r, row.Scan(&r.ID, &r.UserID, &r.Prompt, &r.Background, &r.RequestID, &r.TraceParent)
	}, claimDraftsSQL, int32(count), lease.Seconds())
}

// AnswerDraft stores what became of a request. Nothing happens when nobody waits for it any more.
func (s *Tasks) AnswerDraft(ctx context.Context, id uuid.UUID, a englog.DraftAnswer) error {
	var data *string
	if a.Data != nil {
		text := string(a.Data)
		data = &text
	}
	if _, err := s.pool.Exec(ctx, answerDraftSQL, id, data, a.Provider, clip(a.ErrorCode, 100), int32(min(a.RetryAfter, 24*time.Hour).Seconds())); err != nil {
		return fmt.Errorf("answering a request for a draft: %w", err)
	}
	return nil
}

// DraftAnswer reports whether a request is answered, and how.
func (s *Tasks) DraftAnswer(ctx context.Context, id uuid.UUID) (a englog.DraftAnswer, done bool, err error) {
	var data []byte
	var seconds int32
	if err := s.pool.QueryRow(ctx, draftSQL, id).Scan(&done, &data, &a.Provider, &a.ErrorCode, &seconds); err != nil {
		return a, false, fmt.Errorf("looking for a draft: %w", err)
	}
	a.Data, a.RetryAfter = data, time.Duration(seconds)*time.Second
	return a, done, nil
}

// ForgetDraft removes a request and its answer.
func (s *Tasks) ForgetDraft(ctx context.Context, id uuid.UUID) error {
	if _, err := s.pool.Exec(ctx, deleteDraftSQL, id); err != nil {
		return fmt.Errorf("forgetting a draft: %w", err)
	}
	return nil
}
