package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

const insertSessionSQL = `
WITH session AS (
    INSERT INTO sessions (id, user_id, user_agent, ip, created_at, last_used_at, expires_at) VALUES ($1, $2, $3, $4, $5, $5, $6)
)
INSERT INTO refresh_tokens (hash, session_id, created_at) VALUES ($7, $1, $5)`

// CreateSession stores a session with its first refresh token.
func (s *Store) CreateSession(ctx context.Context, v englog.Session, refreshHash []byte) error {
	return s.exec(ctx, "create a session", insertSessionSQL, v.ID, v.UserID, clip(v.UserAgent, 200), v.IP, v.CreatedAt, v.ExpiresAt, refreshHash)
}

const refreshSQL = `
SELECT r.used_at, s.id, s.user_id, s.created_at, s.expires_at, s.revoked_at, u.token_epoch, u.deleted_at IS NOT NULL,
       EXISTS (SELECT 1 FROM refresh_tokens n WHERE n.hash = $2 AND n.used_at IS NULL)
  FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id JOIN users u ON u.id = s.user_id
 WHERE r.hash = $1 FOR UPDATE OF r`

const (
	useRefreshSQL    = `UPDATE refresh_tokens SET used_at = $2 WHERE hash = $1`
	insertRefreshSQL = `INSERT INTO refresh_tokens (hash, session_id, created_at) VALUES ($1, $2, $3)`
	touchSessionSQL  = `UPDATE sessions SET last_used_at = $2, expires_at = $3 WHERE id = $1`
	revokeSessionSQL = `UPDATE sessions SET revoked_at = $3, revoked_why = $4 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL`
)

// RotateRefresh uses a refresh token up and stores its successor. The same token
// again within the grace time changes nothing, so that a lost answer does no
// harm; later it revokes the whole session, for two parties hold the token (RFC
// 9700, section 4.14.2).
func (s *Store) RotateRefresh(ctx context.Context, r englog.Rotation) (session englog.Session, epoch int32, err error) {
	reused := false
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var used, revoked *time.Time
		var deleted, successorIsFresh bool
		err := tx.QueryRow(ctx, refreshSQL, r.Hash, r.Successor).Scan(&used, &session.ID, &session.UserID, &session.CreatedAt,
			&session.ExpiresAt, &revoked, &epoch, &deleted, &successorIsFresh)
		switch {
		case isNoRows(err):
			return errUnknownRefresh
		case err != nil:
			return err
		case revoked != nil || deleted || !session.ExpiresAt.After(r.Now):
			return errUnknownRefresh
		case used != nil && successorIsFresh && r.Now.Sub(*used) <= r.Grace:
			return nil
		case used != nil:
			reused = true
			_, err := tx.Exec(ctx, revokeSessionSQL, session.ID, session.UserID, r.Now, "refresh_reuse")
			return err
		}
		return rotate(ctx, tx, r, &session)
	})
	if err == nil && reused {
		return session, 0, errReusedRefresh
	}
	if err != nil {
		return session, 0, fmt.Errorf("rotate a refresh token: %w", err)
	}
	return session, epoch, nil
}

func rotate(ctx context.Context, tx pgx.Tx, r englog.Rotation, session *englog.Session) error {
	session.LastUsedAt = r.Now
	session.ExpiresAt = r.Now.Add(r.Idle)
	if end := session.CreatedAt.Add(r.Absolute); session.ExpiresAt.After(end) {
		session.ExpiresAt = end
	}
	batch := &pgx.Batch{}
	batch.Queue(useRefreshSQL, r.Hash, r.Now)
	batch.Queue(insertRefreshSQL, r.Successor, session.ID, r.Now)
	batch.Queue(touchSessionSQL, session.ID, r.Now, session.ExpiresAt)
	return tx.SendBatch(ctx, batch).Close()
}

var (
	errUnknownRefresh = englog.Errorf(englog.CodeUnauthenticated, "The refresh token is not valid. Log in again.")
	errReusedRefresh  = englog.Errorf(englog.CodeUnauthenticated, "The refresh token was used before. The session is ended; log in again.")
)

const standingSQL = `
SELECT u.token_epoch, u.deleted_at IS NOT NULL, CASE WHEN s.revoked_at IS NULL THEN s.expires_at END
  FROM users u JOIN sessions s ON s.user_id = u.id WHERE u.id = $1 AND s.id = $2`

// Standing reads what the bearer of an access token may count on now.
func (s *Store) Standing(ctx context.Context, user englog.UserID, session uuid.UUID) (englog.Standing, error) {
	v, err := once(func() (v englog.Standing, err error) {
		var end *time.Time
		err = s.pool.QueryRow(ctx, standingSQL, user, session).Scan(&v.TokenEpoch, &v.Deleted, &end)
		v.SessionEnd = orZero(end)
		return v, err
	})
	if isNoRows(err) {
		return englog.Standing{Deleted: true}, nil
	}
	if err != nil {
		return v, fmt.Errorf("read the standing of a session: %w", err)
	}
	return v, nil
}

const sessionsSQL = `
SELECT id, user_agent, ip, created_at, last_used_at, expires_at FROM sessions
 WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY last_used_at DESC LIMIT 100`

// Sessions lists the live sessions of a user, the last used first.
func (s *Store) Sessions(ctx context.Context, user englog.UserID, now time.Time) ([]englog.Session, error) {
	rows, err := s.pool.Query(ctx, sessionsSQL, user, now)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v englog.Session, err error) {
		return v, row.Scan(&v.ID, &v.UserAgent, &v.IP, &v.CreatedAt, &v.LastUsedAt, &v.ExpiresAt)
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

// RevokeSession ends one session of a user.
func (s *Store) RevokeSession(ctx context.Context, user englog.UserID, id uuid.UUID, why string, now time.Time) error {
	tag, err := s.pool.Exec(ctx, revokeSessionSQL, id, user, now, why)
	if err != nil {
		return fmt.Errorf("revoke a session: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return englog.NotFound("session")
	}
	return nil
}

const revokeSessionsSQL = `
UPDATE sessions SET revoked_at = $2, revoked_why = 'revoked_all' WHERE user_id = $1 AND revoked_at IS NULL AND id <> $3`

// RevokeSessions ends all sessions of a user but one.
func (s *Store) RevokeSessions(ctx context.Context, user englog.UserID, keep uuid.UUID, now time.Time) error {
	return s.exec(ctx, "revoke sessions", revokeSessionsSQL, user, now, keep)
}

const insertTokenSQL = `
INSERT INTO access_tokens (id, user_id, name, hash, scopes, created_at, expires_at)
SELECT $1, $2, $3, $4, $5, $6, $7 WHERE (SELECT count(id) FROM access_tokens WHERE user_id = $2) < 100`

// CreateToken stores a personal access token; a user may have 100.
func (s *Store) CreateToken(ctx context.Context, t englog.AccessToken, once englog.Once) error {
	err := s.keyed(ctx, t.UserID, t.CreatedAt, once, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, insertTokenSQL, t.ID, t.UserID, t.Name, t.Hash, t.Scopes, t.CreatedAt, orNull(t.ExpiresAt))
		if err == nil && tag.RowsAffected() == 0 {
			err = englog.Errorf(englog.CodeConflict, "There are 100 tokens already. Delete one first.")
		}
		return err
	})
	if state, constraint := sqlState(err); state == stateUniqueViolation && constraint == "access_tokens_name" {
		return englog.Errorf(englog.CodeConflict, "A token of this name exists.")
	}
	if err != nil {
		return fmt.Errorf("create an access token: %w", err)
	}
	return nil
}

const (
	tokensSQL = `SELECT id, name, scopes, created_at, expires_at, last_used_at FROM access_tokens WHERE user_id = $1 ORDER BY created_at, id`
	tokenSQL  = `
SELECT t.id, t.user_id, t.name, t.scopes, t.created_at, t.expires_at, t.last_used_at
  FROM access_tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1 AND u.deleted_at IS NULL`
	deleteTokenSQL = `DELETE FROM access_tokens WHERE id = $1 AND user_id = $2`
	touchTokenSQL  = `UPDATE access_tokens SET last_used_at = $2 WHERE id = $1`
)

// Tokens lists the personal access tokens of a user, without their hashes.
func (s *Store) Tokens(ctx context.Context, user englog.UserID) ([]englog.AccessToken, error) {
	rows, err := s.pool.Query(ctx, tokensSQL, user)
	if err != nil {
		return nil, fmt.Errorf("list access tokens: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t englog.AccessToken, err error) {
		var expires, used *time.Time
		err = row.Scan(&t.ID, &t.Name, &t.Scopes, &t.CreatedAt, &expires, &used)
		t.ExpiresAt, t.LastUsedAt = orZero(expires), orZero(used)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("list access tokens: %w", err)
	}
	return list, nil
}

// TokenByHash finds a personal access token of a live account.
func (s *Store) TokenByHash(ctx context.Context, hash []byte) (englog.AccessToken, error) {
	t, err := once(func() (t englog.AccessToken, err error) {
		var expires, used *time.Time
		err = s.pool.QueryRow(ctx, tokenSQL, hash).Scan(&t.ID, &t.UserID, &t.Name, &t.Scopes, &t.CreatedAt, &expires, &used)
		t.ExpiresAt, t.LastUsedAt = orZero(expires), orZero(used)
		return t, err
	})
	if isNoRows(err) {
		return t, englog.NotFound("access token")
	}
	if err != nil {
		return t, fmt.Errorf("find an access token: %w", err)
	}
	return t, nil
}

// TouchToken records that a token was used.
func (s *Store) TouchToken(ctx context.Context, id uuid.UUID, now time.Time) error {
	return s.exec(ctx, "record the use of an access token", touchTokenSQL, id, now)
}

// DeleteToken revokes a personal access token.
func (s *Store) DeleteToken(ctx context.Context, user englog.UserID, id uuid.UUID) error {
	tag, err := s.pool.Exec(ctx, deleteTokenSQL, id, user)
	if err != nil {
		return fmt.Errorf("delete an access token: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return englog.NotFound("access token")
	}
	return nil
}

// requestCodeSQL stores a new code, unless three were asked for within the hour.
const requestCodeSQL = `
INSERT INTO login_codes AS c (email, code_hash, attempts, expires_at, requests, window_start) VALUES ($1, $2, 0, $3, 1, $4)
ON CONFLICT (email) DO UPDATE SET code_hash = excluded.code_hash, attempts = 0, expires_at = excluded.expires_at,
    requests = CASE WHEN c.window_start <= $4 - interval '1 hour' THEN 1 ELSE c.requests + 1 END,
    window_start = CASE WHEN c.window_start <= $4 - interval '1 hour' THEN $4 ELSE c.window_start END
 WHERE c.requests < 3 OR c.window_start <= $4 - interval '1 hour'`

// RequestCode stores a login code for an address and reports whether it may be
// sent: three are allowed in an hour.
func (s *Store) RequestCode(ctx context.Context, email string, hash []byte, now, expires time.Time) (bool, error) {
	tag, err := s.pool.Exec(ctx, requestCodeSQL, email, hash, expires, now)
	if err != nil {
		return false, fmt.Errorf("store a login code: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// useCodeSQL counts the attempt first; the code dies with its third wrong one.
const useCodeSQL = `
UPDATE login_codes SET attempts = attempts + 1, expires_at = CASE WHEN code_hash = $2 THEN $3 ELSE expires_at END
 WHERE email = $1 AND expires_at > $3 AND attempts < 3 RETURNING code_hash = $2`

// UseCode reports whether a code is right, and uses it up.
func (s *Store) UseCode(ctx context.Context, email string, hash []byte, now time.Time) (bool, error) {
	var right bool
	err := s.pool.QueryRow(ctx, useCodeSQL, email, hash, now).Scan(&right)
	if err != nil && !isNoRows(err) {
		return false, fmt.Errorf("use a login code: %w", err)
	}
	return right, nil
}
