package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

const userColumns = `id, email, name, bio, password_hash, token_epoch, timezone, language, theme, ai_enabled, disabled_tasks,
       created_at, updated_at, deleted_at`

const (
	userByIDSQL    = `SELECT ` + userColumns + ` FROM users WHERE id = $1`
	userByEmailSQL = `SELECT ` + userColumns + ` FROM users WHERE email = $1`
)

func scanUser(row pgx.Row) (u englog.User, err error) {
	var deleted *time.Time
	p := &u.Preferences
	err = row.Scan(&u.ID, &u.Email, &u.Name, &u.Bio, &u.PasswordHash, &u.TokenEpoch, &p.Timezone, &p.Language, &p.Theme,
		&p.AIEnabled, &p.DisabledTasks, &u.CreatedAt, &u.UpdatedAt, &deleted)
	u.CreatedAt, u.UpdatedAt, u.DeletedAt = u.CreatedAt.UTC(), u.UpdatedAt.UTC(), orZero(deleted)
	return u, err
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// orEmpty never returns nil, which would be stored as NULL.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// User reads an account.
func (s *Store) User(ctx context.Context, id englog.UserID) (englog.User, error) {
	return s.user(ctx, userByIDSQL, id)
}

// UserByEmail reads an account by its normalised address.
func (s *Store) UserByEmail(ctx context.Context, email string) (englog.User, error) {
	return s.user(ctx, userByEmailSQL, email)
}

func (s *Store) user(ctx context.Context, sql string, key any) (englog.User, error) {
	u, err := once(func() (englog.User, error) { return scanUser(s.pool.QueryRow(ctx, sql, key)) })
	if isNoRows(err) {
		return u, englog.NotFound("user")
	}
	if err != nil {
		return u, fmt.Errorf("read a user: %w", err)
	}
	return u, nil
}

const insertUserSQL = `
INSERT INTO users (id, email, name, bio, password_hash, token_epoch, timezone, language, theme, ai_enabled, disabled_tasks,
       created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

const useInviteSQL = `UPDATE invites SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2`

// CreateUser stores a new account, and uses up the invite that it came with
// (nil: none is needed). A taken address is a conflict.
func (s *Store) CreateUser(ctx context.Context, u englog.User, inviteHash []byte) error {
	p := u.Preferences
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if inviteHash != nil {
			tag, err := tx.Exec(ctx, useInviteSQL, inviteHash, u.CreatedAt)
			if err == nil && tag.RowsAffected() == 0 {
				err = englog.Errorf(englog.CodeForbidden, "The invite is not valid, expired or used.")
			}
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, insertUserSQL, u.ID, u.Email, u.Name, u.Bio, u.PasswordHash, u.TokenEpoch, p.Timezone, p.Language,
			p.Theme, p.AIEnabled, orEmpty(p.DisabledTasks), u.CreatedAt, u.UpdatedAt)
		return err
	})
	if state, constraint := sqlState(err); state == stateUniqueViolation && constraint == "users_email" {
		return englog.Errorf(englog.CodeConflict, "An account with this e-mail address exists.")
	}
	if err != nil {
		return fmt.Errorf("create a user: %w", err)
	}
	return nil
}

const updateUserSQL = `
UPDATE users SET name = $2, bio = $3, timezone = $4, language = $5, theme = $6, ai_enabled = $7, disabled_tasks = $8, updated_at = $9
 WHERE id = $1 AND updated_at = $10`

// UpdateUser stores name, bio and preferences of a user that was last updated at before: of two changes at once the later one is stale.
func (s *Store) UpdateUser(ctx context.Context, u englog.User, before time.Time) error {
	p := u.Preferences
	tag, err := s.pool.Exec(ctx, updateUserSQL, u.ID, u.Name, u.Bio, p.Timezone, p.Language, p.Theme, p.AIEnabled, orEmpty(p.DisabledTasks), u.UpdatedAt, before)
	if err != nil {
		return fmt.Errorf("update a user: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return englog.StaleProfile()
	}
	return nil
}

const setPasswordSQL = `
WITH ended AS (UPDATE sessions SET revoked_at = $4, revoked_why = 'password_changed' WHERE user_id = $1 AND revoked_at IS NULL),
     gone AS (DELETE FROM access_tokens WHERE user_id = $1)
UPDATE users SET password_hash = $2, token_epoch = token_epoch + 1, updated_at = $4 WHERE id = $1 AND token_epoch = $3`

// SetPassword stores a new hash and kills every session and token of the user.
// epoch is the epoch that the caller read: two changes at once cannot both win.
func (s *Store) SetPassword(ctx context.Context, id englog.UserID, hash string, epoch int32, now time.Time) error {
	tag, err := s.pool.Exec(ctx, setPasswordSQL, id, hash, epoch, now)
	if err != nil {
		return fmt.Errorf("set a password: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return englog.Errorf(englog.CodeConflict, "The password was changed at the same time. Try again.")
	}
	return nil
}

const upgradeHashSQL = `UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3`

// UpgradeHash replaces a hash of an older algorithm by a new one of the same password.
func (s *Store) UpgradeHash(ctx context.Context, id englog.UserID, hash, old string) error {
	return s.exec(ctx, "upgrade a password hash", upgradeHashSQL, id, hash, old)
}

const deleteUserSQL = `
WITH ended AS (UPDATE sessions SET revoked_at = $2, revoked_why = 'account_deleted' WHERE user_id = $1 AND revoked_at IS NULL),
     gone AS (DELETE FROM access_tokens WHERE user_id = $1)
UPDATE users SET deleted_at = $2, token_epoch = token_epoch + 1 WHERE id = $1`

// DeleteUser starts the grace period of an account and kills its tokens.
func (s *Store) DeleteUser(ctx context.Context, id englog.UserID, now time.Time) error {
	return s.exec(ctx, "delete a user", deleteUserSQL, id, now)
}

const restoreUserSQL = `UPDATE users SET deleted_at = NULL WHERE id = $1`

// RestoreUser ends the grace period: the account lives again.
func (s *Store) RestoreUser(ctx context.Context, id englog.UserID) error {
	return s.exec(ctx, "restore a user", restoreUserSQL, id)
}

// Housekeeping, each statement bounded by what is expired.
const (
	purgeUsersSQL    = `DELETE FROM users WHERE deleted_at < $1`
	purgeSessionsSQL = `DELETE FROM sessions WHERE expires_at < $1`
	purgeKeysSQL     = `DELETE FROM idempotency_keys WHERE created_at < $1`
	purgeCodesSQL    = `DELETE FROM login_codes WHERE expires_at < $1`
	purgeInvitesSQL  = `DELETE FROM invites WHERE expires_at < $1`
	purgeDraftsSQL   = `DELETE FROM drafts WHERE created_at < $1`
	purgeUsageSQL    = `DELETE FROM ai_usage WHERE day < $1::timestamptz::date`
	purgeLimitsSQL   = `DELETE FROM ai_provider_usage WHERE day < $1::timestamptz::date`
	purgeAuditSQL    = `DELETE FROM audit_log WHERE at < $1 AND id < (SELECT min(b.id) + 10000 FROM audit_log b)`
)

// For how long things are kept that nobody needs to go on with.
const (
	keepDone  = 30 * 24 * time.Hour      // tasks that are done or cancelled
	keepDead  = 90 * 24 * time.Hour      // tasks that were given up, which their users may run again
	keepUsage = 400 * 24 * time.Hour     // what was asked of AI providers
	keepAudit = 7 * 365 * 24 * time.Hour // the audit log
)

// purgeTasksSQL removes finished tasks, at most $4 in one go. Ids are UUIDs of version 7, which begin with the time of creation: those
// below $3 are old, and the primary key finds them. (A weekly task's id is random; few of them are found, and few there are.) An insight
// stays as long as its entry.
const purgeTasksSQL = `
DELETE FROM tasks WHERE id IN (
       SELECT t.id FROM tasks t
        WHERE t.id < $3::uuid AND ((t.state IN ('done', 'cancelled') AND t.finished_at < $1) OR (t.state = 'dead' AND t.finished_at < $2))
        ORDER BY t.id LIMIT $4::integer FOR UPDATE SKIP LOCKED)`

// firstID is the lowest UUID of version 7 that is made at a time.
func firstID(t time.Time) (id uuid.UUID) {
	ms := uint64(t.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

// PurgeTasks removes tasks that were finished long ago, in bounded steps, and returns how many went.
func (s *Store) PurgeTasks(ctx context.Context, now time.Time) (int64, error) {
	const step = 5000
	var gone int64
	for {
		tag, err := s.pool.Exec(ctx, purgeTasksSQL, now.Add(-keepDone), now.Add(-keepDead), firstID(now.Add(-keepDone)), int32(step))
		if err != nil {
			return gone, fmt.Errorf("purge finished tasks: %w", err)
		}
		gone += tag.RowsAffected()
		if tag.RowsAffected() < step {
			return gone, nil
		}
	}
}

// Purge removes what is past its time: accounts after their grace period with
// everything they own, ended sessions, old idempotency keys, codes, invites,
// prompts, finished tasks, counts and records.
func (s *Store) Purge(ctx context.Context, now time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue(purgeUsersSQL, now.Add(-englog.DeletionGrace))
	batch.Queue(purgeSessionsSQL, now.Add(-24*time.Hour))
	batch.Queue(purgeKeysSQL, now.Add(-24*time.Hour))
	batch.Queue(purgeCodesSQL, now.Add(-24*time.Hour))
	batch.Queue(purgeInvitesSQL, now.Add(-30*24*time.Hour))
	batch.Queue(purgeDraftsSQL, now.Add(-time.Hour))
	batch.Queue(purgeUsageSQL, now.Add(-keepUsage))
	batch.Queue(purgeLimitsSQL, now.Add(-keepUsage))
	batch.Queue(purgeAuditSQL, now.Add(-keepAudit))
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("purge what is past its time: %w", err)
	}
	_, err := s.PurgeTasks(ctx, now)
	return err
}

const insertInviteSQL = `INSERT INTO invites (hash, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`

// CreateInvite stores an invite of a user.
func (s *Store) CreateInvite(ctx context.Context, hash []byte, by englog.UserID, now, expires time.Time, once englog.Once) error {
	err := s.keyed(ctx, by, now, once, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertInviteSQL, hash, by, now, expires)
		return err
	})
	if err != nil {
		return fmt.Errorf("create an invite: %w", err)
	}
	return nil
}

const anyUserSQL = `SELECT EXISTS (SELECT 1 FROM users)`

// HasUsers reports whether any account exists.
func (s *Store) HasUsers(ctx context.Context) (bool, error) {
	var any bool
	if err := s.pool.QueryRow(ctx, anyUserSQL).Scan(&any); err != nil {
		return false, fmt.Errorf("look for any user: %w", err)
	}
	return any, nil
}

const auditSQL = `INSERT INTO audit_log (user_id, action, subject, ip, at) VALUES ($1, $2, $3, $4, $5)`

// Record writes one act to the audit log.
func (s *Store) Record(ctx context.Context, a englog.Audit) error {
	return s.exec(ctx, "write the audit log", auditSQL, a.UserID, a.Action, a.Subject, a.IP, a.At)
}

// exec runs a statement whose answer does not matter.
func (s *Store) exec(ctx context.Context, what, sql string, args ...any) error {
	if _, err := s.pool.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
