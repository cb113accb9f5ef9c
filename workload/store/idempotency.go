package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

const insertKeyPart = `INSERT INTO idempotency_keys (user_id, key, request_hash, status, etag, body, created_at)
VALUES ($%d, $%d, $%d, $%d, $%d, $%d, $%d)`

// keyPart numbers the parameters of insertKeyPart from offset+1.
func keyPart(offset int) string {
	n := make([]any, 7)
	for i := range n {
		n[i] = offset + i + 1
	}
	return fmt.Sprintf(insertKeyPart, n...) //nolint:staticcheck // seven verbs, seven numbers
}

// insertKeySQL stands alone; with it an Idempotency-Key is written before what it stands for.
var insertKeySQL = keyPart(0)

func keyArgs(user englog.UserID, now time.Time, once englog.Once) []any {
	return []any{user, once.Key.Key, once.Key.RequestHash, once.Saved.Status, once.Saved.ETag, once.Saved.Body, now}
}

var errKeyUsed = &englog.Error{Code: englog.CodeConflict, Message: "The Idempotency-Key was used before.", Err: englog.ErrKeyUsed}

func keyWasUsed(err error) bool {
	state, constraint := sqlState(err)
	return state == stateUniqueViolation && constraint == "idempotency_keys_pkey"
}

// keyed runs create in one transaction with the row of an Idempotency-Key, if there is one.
func (s *Store) keyed(ctx context.Context, user englog.UserID, now time.Time, once englog.Once, create func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if once.Key.Key != "" {
			if _, err := tx.Exec(ctx, insertKeySQL, keyArgs(user, now, once)...); err != nil {
				return err
			}
		}
		return create(tx)
	})
	if keyWasUsed(err) {
		return errKeyUsed
	}
	return err
}

const savedAnswerSQL = `SELECT request_hash, status, etag, body FROM idempotency_keys WHERE user_id = $1 AND key = $2`

// SavedAnswer returns the answer that was given to an idempotency key. The same
// key with another request is invalid.
func (s *Store) SavedAnswer(ctx context.Context, user englog.UserID, key englog.IdempotencyKey) (englog.Saved, error) {
	var saved englog.Saved
	var hash []byte
	err := s.pool.QueryRow(ctx, savedAnswerSQL, user, key.Key).Scan(&hash, &saved.Status, &saved.ETag, &saved.Body)
	switch {
	case isNoRows(err):
		return saved, englog.NotFound("idempotency key")
	case err != nil:
		return saved, fmt.Errorf("read the answer of an idempotency key: %w", err)
	case string(hash) != string(key.RequestHash):
		return saved, englog.Invalid("Idempotency-Key", "was used before with another request: use a new key for a new request")
	}
	return saved, nil
}
