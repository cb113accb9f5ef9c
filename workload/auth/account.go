package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Profile reads the account of the caller.
func (s *Service) Profile(ctx context.Context, by englog.Actor) (englog.User, error) {
	return s.Store.User(ctx, by.UserID)
}

// ProfileChange holds what is to change; nil stays.
type ProfileChange struct {
	// BasedOn is UpdatedAt of the account that the change was made to, in microseconds since 1970.
	BasedOn     int64
	Name, Bio   *string
	Preferences *englog.Preferences
}

// ChangeProfile stores name, bio and preferences. A change that was based on an older state is stale; the account as it is comes with that error.
func (s *Service) ChangeProfile(ctx context.Context, by englog.Actor, change ProfileChange) (englog.User, error) {
	u, err := s.Store.User(ctx, by.UserID)
	if err != nil {
		return u, err
	}
	if u.UpdatedAt.UnixMicro() != change.BasedOn {
		return u, englog.StaleProfile()
	}
	var errs []error
	if change.Name != nil {
		u.Name, err = englog.CheckName(*change.Name)
		errs = append(errs, err)
	}
	if change.Bio != nil {
		u.Bio = strings.TrimSpace(*change.Bio)
		if utf8.RuneCountInString(u.Bio) > englog.MaxBioLength || strings.ContainsRune(u.Bio, 0) {
			errs = append(errs, englog.Invalid("bio", "must have at most 500 characters"))
		}
	}
	if change.Preferences != nil {
		errs = append(errs, change.Preferences.Validate(), checkDisabled(change.Preferences.DisabledTasks, u.Preferences.DisabledTasks))
		u.Preferences = *change.Preferences
		u.Preferences.DisabledTasks = append([]string{}, u.Preferences.DisabledTasks...) // never null
	}
	if err := joinFields(errs...); err != nil {
		return u, err
	}
	before := u.UpdatedAt
	u.UpdatedAt = s.Clock.Now()
	err = s.Store.UpdateUser(ctx, u, before)
	if englog.CodeOf(err) == englog.CodeStale {
		return s.ChangeProfile(ctx, by, change) // somebody was quicker, and is seen now
	}
	return u, err
}

// checkDisabled refuses a kind that nobody knows: a switch with a slip of the pen
// would be off in the profile and on in the service. What another release has
// stored stays.
func checkDisabled(kinds, before []string) error {
	for _, name := range kinds {
		if _, err := englog.ParseKind(name); err != nil && !slices.Contains(before, name) {
			return englog.Invalid("disabled_tasks", "must list kinds of tasks: "+fmt.Sprint(englog.TaskKinds()))
		}
	}
	return nil
}

// ChangePassword sets a new password and kills every session and token.
func (s *Service) ChangePassword(ctx context.Context, by englog.Actor, old, fresh string, from Client) error {
	u, err := s.confirm(ctx, by, old)
	if err != nil {
		return err
	}
	if err := checkNewPassword("new_password", fresh, u.Email); err != nil {
		return err
	}
	hash, err := s.Passwords.Hash(ctx, fresh)
	if err != nil {
		return err
	}
	if err := s.Store.SetPassword(ctx, u.ID, hash, u.TokenEpoch, s.Clock.Now()); err != nil {
		return err
	}
	s.seen.forget(u.ID)
	s.audit(ctx, u.ID, "password_changed", "", from)
	return nil
}

// confirm checks the password of a caller who is logged in. An account without
// one (it logs in by code) confirms with an empty password.
func (s *Service) confirm(ctx context.Context, by englog.Actor, password string) (englog.User, error) {
	if err := s.throttle(ctx, "confirm:"+by.UserID.String()); err != nil {
		return englog.User{}, err
	}
	u, err := s.Store.User(ctx, by.UserID)
	if err != nil {
		return u, err
	}
	if u.PasswordHash == "" && password == "" {
		return u, nil
	}
	right, _, err := s.Passwords.Check(ctx, clipPassword(password), u.PasswordHash)
	if err == nil && !right {
		err = englog.Errorf(englog.CodeForbidden, "The password is wrong.")
	}
	return u, err
}

// DeleteAccount starts the grace period: all tokens die, and logging in within
// 30 days takes the deletion back.
func (s *Service) DeleteAccount(ctx context.Context, by englog.Actor, password string, from Client) error {
	u, err := s.confirm(ctx, by, password)
	if err != nil {
		return err
	}
	if err := s.Store.DeleteUser(ctx, u.ID, s.Clock.Now()); err != nil {
		return err
	}
	s.seen.forget(u.ID)
	s.audit(ctx, u.ID, "account_deleted", "", from)
	return nil
}

// Logout ends the session of the token.
func (s *Service) Logout(ctx context.Context, by englog.Actor) error {
	if by.SessionID == uuid.Nil {
		return englog.Errorf(englog.CodeForbidden, "A personal access token has no session: delete the token instead.")
	}
	return s.RevokeSession(ctx, by, by.SessionID)
}

// Sessions lists the caller's live sessions.
func (s *Service) Sessions(ctx context.Context, by englog.Actor) ([]englog.Session, error) {
	return s.Store.Sessions(ctx, by.UserID, s.Clock.Now())
}

// RevokeSession ends one of the caller's sessions.
func (s *Service) RevokeSession(ctx context.Context, by englog.Actor, id uuid.UUID) error {
	err := s.Store.RevokeSession(ctx, by.UserID, id, "revoked", s.Clock.Now())
	s.seen.forget(by.UserID)
	return err
}

// RevokeOthers ends all of the caller's sessions but the present one.
func (s *Service) RevokeOthers(ctx context.Context, by englog.Actor) error {
	err := s.Store.RevokeSessions(ctx, by.UserID, by.SessionID, s.Clock.Now())
	s.seen.forget(by.UserID)
	return err
}

// NewToken is what a personal access token is made from.
type NewToken struct {
	Name      string
	Scopes    []string
	ExpiresAt time.Time // zero: never
}

// Keep says what is stored with an Idempotency-Key when a thing with a secret is
// made; nil: there is no key.
type Keep[T any] func(made T, secret string) (englog.Once, error)

func (k Keep[T]) once(made T, secret string) (englog.Once, error) {
	if k == nil {
		return englog.Once{}, nil
	}
	return k(made, secret)
}

// CreateToken makes a personal access token; the secret is shown once.
func (s *Service) CreateToken(ctx context.Context, by englog.Actor, in NewToken, from Client, keep Keep[englog.AccessToken]) (englog.AccessToken, string, error) {
	now := s.Clock.Now()
	t := englog.AccessToken{ID: uuid.Must(uuid.NewV7()), UserID: by.UserID, Scopes: in.Scopes, CreatedAt: now, ExpiresAt: in.ExpiresAt}
	var err error
	t.Name, err = englog.CheckName(in.Name)
	if err := joinFields(err, checkScopes(in.Scopes), checkExpiry(in.ExpiresAt, now)); err != nil {
		return t, "", err
	}
	secret := randomToken(patPrefix)
	t.Hash = hashToken(secret)
	once, err := keep.once(t, secret)
	if err != nil {
		return t, "", err
	}
	if err := s.Store.CreateToken(ctx, t, once); err != nil {
		return t, "", err
	}
	s.audit(ctx, by.UserID, "token_created", t.ID.String(), from)
	return t, secret, nil
}

// checkScopes allows any mix of scopes but the one over the account itself,
// which only a login gives.
func checkScopes(scopes []string) error {
	if len(scopes) == 0 || len(scopes) > 2 {
		return englog.Invalid("scopes", "must list entries:read, entries:write or both")
	}
	for _, scope := range scopes {
		if scope != englog.ScopeRead && scope != englog.ScopeWrite {
			return englog.Invalid("scopes", "must list entries:read, entries:write or both")
		}
	}
	return nil
}

func checkExpiry(at, now time.Time) error {
	if !at.IsZero() && (at.Before(now) || at.After(now.AddDate(5, 0, 0))) {
		return englog.Invalid("expires_at", "must lie in the future, at most five years ahead")
	}
	return nil
}

// Tokens lists the caller's personal access tokens.
func (s *Service) Tokens(ctx context.Context, by englog.Actor) ([]englog.AccessToken, error) {
	return s.Store.Tokens(ctx, by.UserID)
}

// DeleteToken revokes a personal access token.
func (s *Service) DeleteToken(ctx context.Context, by englog.Actor, id uuid.UUID, from Client) error {
	err := s.Store.DeleteToken(ctx, by.UserID, id)
	s.seen.forget(by.UserID)
	if err == nil {
		s.audit(ctx, by.UserID, "token_deleted", id.String(), from)
	}
	return err
}

const inviteLifetime = 14 * 24 * time.Hour

// CreateInvite makes an invite for one new account, good until the time that keep
// is told.
func (s *Service) CreateInvite(ctx context.Context, by englog.Actor, from Client, keep Keep[time.Time]) (invite string, expires time.Time, err error) {
	now := s.Clock.Now()
	invite, expires = randomToken(invitePrefix), now.Add(inviteLifetime)
	once, err := keep.once(expires, invite)
	if err != nil {
		return "", expires, err
	}
	if err := s.Store.CreateInvite(ctx, hashToken(invite), by.UserID, now, expires, once); err != nil {
		return "", expires, err
	}
	s.audit(ctx, by.UserID, "invite_created", "", from)
	return invite, expires, nil
}
