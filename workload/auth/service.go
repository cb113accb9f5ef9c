package auth

import (
	"context"
	"log/slog"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Store keeps accounts, sessions and tokens. Package store's Store is one.
type Store interface {
	User(ctx context.Context, id englog.UserID) (englog.User, error)
	UserByEmail(ctx context.Context, email string) (englog.User, error)
	CreateUser(ctx context.Context, u englog.User, inviteHash []byte) error
	UpdateUser(ctx context.Context, u englog.User, before time.Time) error
	SetPassword(ctx context.Context, id englog.UserID, hash string, epoch int32, now time.Time) error
	UpgradeHash(ctx context.Context, id englog.UserID, hash, old string) error
	DeleteUser(ctx context.Context, id englog.UserID, now time.Time) error
	RestoreUser(ctx context.Context, id englog.UserID) error
	CreateSession(ctx context.Context, s englog.Session, refreshHash []byte) error
	RotateRefresh(ctx context.Context, r englog.Rotation) (englog.Session, int32, error)
	Standing(ctx context.Context, user englog.UserID, session uuid.UUID) (englog.Standing, error)
	Sessions(ctx context.Context, user englog.UserID, now time.Time) ([]englog.Session, error)
	RevokeSession(ctx context.Context, user englog.UserID, id uuid.UUID, why string, now time.Time) error
	RevokeSessions(ctx context.Context, user englog.UserID, keep uuid.UUID, now time.Time) error
	CreateToken(ctx context.Context, t englog.AccessToken, once englog.Once) error
	Tokens(ctx context.Context, user englog.UserID) ([]englog.AccessToken, error)
	TokenByHash(ctx context.Context, hash []byte) (englog.AccessToken, error)
	TouchToken(ctx context.Context, id uuid.UUID, now time.Time) error
	DeleteToken(ctx context.Context, user englog.UserID, id uuid.UUID) error
	RequestCode(ctx context.Context, email string, hash []byte, now, expires time.Time) (bool, error)
	UseCode(ctx context.Context, email string, hash []byte, now time.Time) (bool, error)
	CreateInvite(ctx context.Context, hash []byte, by englog.UserID, now, expires time.Time, once englog.Once) error
	HasUsers(ctx context.Context) (bool, error)
	Record(ctx context.Context, a englog.Audit) error
}

// Mailer sends a login code.
type Mailer interface {
	SendCode(ctx context.Context, to, code string, valid time.Duration) error
}

// Limiter counts attempts for all pods. Package redisx's Limiter is one.
type Limiter interface {
	Allow(ctx context.Context, key string, perSecond, burst int) (allowed bool, retryAfter time.Duration, degraded bool)
}

// Options of a Service; all but Throttle and Mailer are required.
type Options struct {
	Store     Store
	Ring      *Ring
	Passwords *Passwords
	Clock     englog.Clock
	Mailer    Mailer // nil: login codes are off
	// Throttle slows down guessing; nil for none.
	Throttle Limiter
	// SessionTimeout ends a session that is not used.
	SessionTimeout time.Duration
	// AccessTTL is the lifetime of an access token, RefreshTTL the absolute end of
	// a session; 0: 15 minutes and 7 days.
	AccessTTL, RefreshTTL time.Duration
	// Registration is open, invite or closed.
	Registration string
	// BootstrapInvite lets the first account in; empty for none.
	BootstrapInvite Source
	Log             *slog.Logger
}

// Service does everything about accounts.
type Service struct {
	Options
	seen   *cache
	parser *jwt.Parser
}

// New makes a service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.AccessTTL == 0 {
		o.AccessTTL = AccessLifetime
	}
	if o.RefreshTTL == 0 {
		o.RefreshTTL = RefreshLifetime
	}
	return &Service{Options: o, seen: newCache(o.Clock), parser: newParser(o.Clock)}
}

// Client is where a request comes from.
type Client struct {
	IP        string
	UserAgent string
}

// Tokens is what a login yields. Session ends are handled by the store.
type Tokens struct {
	User      englog.User
	Access    string
	Refresh   string
	ExpiresIn time.Duration
}

// Registration is what a new account needs.
type Registration struct {
	Email, Name, Password, Invite string
}

// Register makes an account and logs it in.
func (s *Service) Register(ctx context.Context, in Registration, from Client) (Tokens, error) {
	email, err1 := englog.NormalizeEmail(in.Email)
	name, err2 := englog.CheckName(in.Name)
	if err := joinFields(err1, err2, checkNewPassword("password", in.Password, email)); err != nil {
		return Tokens{}, err
	}
	invite, err := s.admit(ctx, in.Invite)
	if err != nil {
		return Tokens{}, err
	}
	hash, err := s.Passwords.Hash(ctx, in.Password)
	if err != nil {
		return Tokens{}, err
	}
	u := s.newUser(email, name, hash)
	if err := s.Store.CreateUser(ctx, u, invite); err != nil {
		return Tokens{}, err
	}
	s.audit(ctx, u.ID, "registered", "", from)
	return s.start(ctx, u, from)
}

func (s *Service) newUser(email, name, hash string) englog.User {
	now := s.Clock.Now()
	return englog.User{ID: uuid.Must(uuid.NewV7()), Email: email, Name: name, PasswordHash: hash, TokenEpoch: 1,
		Preferences: englog.DefaultPreferences(), CreatedAt: now, UpdatedAt: now}
}

// admit decides whether a new account may be made; the hash is of the invite
// that it uses up.
func (s *Service) admit(ctx context.Context, invite string) ([]byte, error) {
	if s.Registration == "open" {
		return nil, nil
	}
	if ok, err := s.isFirst(ctx, invite); ok || err != nil {
		return nil, err
	}
	if s.Registration == "closed" {
		return nil, englog.Errorf(englog.CodeForbidden, "Registration is closed.")
	}
	if invite == "" {
		return nil, englog.Invalid("invite", "is required here: ask an existing user for an invite")
	}
	return hashToken(invite), nil
}

// isFirst reports whether the bootstrap invite is presented and nobody is here yet.
func (s *Service) isFirst(ctx context.Context, invite string) (bool, error) {
	if s.BootstrapInvite == nil || invite == "" {
		return false, nil
	}
	want, err := s.BootstrapInvite()
	if err != nil || want == "" || !sameSecret(want, invite) {
		return false, err
	}
	any, err := s.Store.HasUsers(ctx)
	return !any, err
}

var errWrongLogin = englog.Errorf(englog.CodeUnauthenticated, "E-mail address or password is wrong.")

// Login checks a password. An unknown address takes as long and says the same
// as a wrong password.
func (s *Service) Login(ctx context.Context, email, password string, from Client) (Tokens, error) {
	email, err := englog.NormalizeEmail(email)
	if err != nil {
		return Tokens{}, err
	}
	if err := s.throttle(ctx, "login:"+email); err != nil {
		return Tokens{}, err
	}
	u, err := s.Store.UserByEmail(ctx, email)
	if err != nil && englog.CodeOf(err) != englog.CodeNotFound {
		return Tokens{}, err
	}
	right, renew, err := s.Passwords.Check(ctx, clipPassword(password), u.PasswordHash)
	if err != nil {
		return Tokens{}, err
	}
	if !right {
		s.audit(ctx, u.ID, "login_failed", "", from)
		return Tokens{}, errWrongLogin
	}
	if renew {
		s.renewHash(ctx, u, password)
	}
	return s.enter(ctx, u, "login", from)
}

// clipPassword bounds the work of a wrong password.
func clipPassword(p string) string { return p[:min(len(p), 4*englog.MaxPasswordLength)] }

// renewHash is best effort: the old hash stays good.
func (s *Service) renewHash(ctx context.Context, u englog.User, password string) {
	hash, err := s.Passwords.Hash(ctx, password)
	if err == nil {
		err = s.Store.UpgradeHash(ctx, u.ID, hash, u.PasswordHash)
	}
	if err != nil {
		s.Log.Warn("a password hash was not renewed", "error", err)
	}
}

// enter lets a user in who proved who they are; within the grace period that
// takes back a deletion.
func (s *Service) enter(ctx context.Context, u englog.User, how string, from Client) (Tokens, error) {
	if !u.DeletedAt.IsZero() {
		if err := s.Store.RestoreUser(ctx, u.ID); err != nil {
			return Tokens{}, err
		}
		s.audit(ctx, u.ID, "account_restored", "", from)
		u.DeletedAt = time.Time{}
	}
	s.audit(ctx, u.ID, how, "", from)
	return s.start(ctx, u, from)
}

// start opens a session.
func (s *Service) start(ctx context.Context, u englog.User, from Client) (Tokens, error) {
	now := s.Clock.Now()
	session := englog.Session{ID: uuid.Must(uuid.NewV7()), UserID: u.ID, UserAgent: from.UserAgent, IP: from.IP, CreatedAt: now,
		LastUsedAt: now, ExpiresAt: now.Add(min(s.SessionTimeout, s.RefreshTTL))}
	refresh := randomToken(refreshPrefix)
	if err := s.Store.CreateSession(ctx, session, hashToken(refresh)); err != nil {
		return Tokens{}, err
	}
	access, err := sign(s.Ring, session, u.TokenEpoch, now, s.AccessTTL)
	return Tokens{User: u, Access: access, Refresh: refresh, ExpiresIn: s.AccessTTL}, err
}

// Refresh uses a refresh token up and returns its successor with a new access
// token. The same token within ten seconds yields the same successor.
func (s *Service) Refresh(ctx context.Context, token string, from Client) (Tokens, error) {
	now, next := s.Clock.Now(), successor(s.Ring, token)
	session, epoch, err := s.Store.RotateRefresh(ctx, englog.Rotation{Hash: hashToken(token), Successor: hashToken(next), Now: now,
		Grace: refreshGrace, Idle: s.SessionTimeout, Absolute: s.RefreshTTL})
	if err != nil {
		if session.ID != uuid.Nil && englog.CodeOf(err) == englog.CodeUnauthenticated {
			s.seen.forget(session.UserID)
			s.audit(ctx, session.UserID, "refresh_refused", session.ID.String(), from)
		}
		return Tokens{}, err
	}
	access, err := sign(s.Ring, session, epoch, now, s.AccessTTL)
	if err != nil {
		return Tokens{}, err
	}
	u, err := s.Store.User(ctx, session.UserID)
	return Tokens{User: u, Access: access, Refresh: next, ExpiresIn: s.AccessTTL}, err
}

// throttle slows down attempts on one account: five at once, then one a second.
func (s *Service) throttle(ctx context.Context, key string) error {
	if s.Throttle == nil {
		return nil
	}
	ok, after, _ := s.Throttle.Allow(ctx, key, 1, 5)
	if ok {
		return nil
	}
	return &englog.Error{Code: englog.CodeRateLimited, Message: "Too many attempts. Wait a little and try again.", RetryAfter: after}
}

// audit is best effort: an act does not fail because its record does.
func (s *Service) audit(ctx context.Context, user englog.UserID, action, subject string, from Client) {
	err := s.Store.Record(ctx, englog.Audit{UserID: user, Action: action, Subject: subject, IP: from.IP, At: s.Clock.Now()})
	if err != nil {
		s.Log.Warn("an act was not recorded", "action", action, "error", err)
	}
}
