package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/auth"
)

func (s *Server) logout(c *call) error {
	if err := s.Accounts.Logout(c.ctx, c.actor); err != nil {
		return err
	}
	return c.empty()
}

// sessionOutput is one device that is logged in.
type sessionOutput struct {
	ID         uuid.UUID `json:"id"`
	Current    bool      `json:"current"`
	UserAgent  string    `json:"user_agent"`
	IP         string    `json:"ip"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

func (s *Server) listSessions(c *call) error {
	list, err := s.Accounts.Sessions(c.ctx, c.actor)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showAll(list, func(v englog.Session) sessionOutput {
		return sessionOutput{v.ID, v.ID == c.actor.SessionID, v.UserAgent, v.IP, v.CreatedAt.UTC(), v.LastUsedAt.UTC(), v.ExpiresAt.UTC()}
	}))
}

func (s *Server) revokeSession(c *call) error {
	id, err := c.pathID("id", "session")
	if err != nil {
		return err
	}
	if err := s.Accounts.RevokeSession(c.ctx, c.actor, id); err != nil {
		return err
	}
	return c.empty()
}

func (s *Server) revokeSessions(c *call) error {
	if err := s.Accounts.RevokeOthers(c.ctx, c.actor); err != nil {
		return err
	}
	return c.empty()
}

func (s *Server) changePassword(c *call) error {
	var in struct {
		Old string `json:"old_password"`
		New string `json:"new_password"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := s.Accounts.ChangePassword(c.ctx, c.actor, in.Old, in.New, s.client(c)); err != nil {
		return err
	}
	return c.empty()
}

func (s *Server) deleteAccount(c *call) error {
	var in struct {
		Password string `json:"password"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := s.Accounts.DeleteAccount(c.ctx, c.actor, in.Password, s.client(c)); err != nil {
		return err
	}
	return c.empty()
}

func (s *Server) readProfile(c *call) error {
	u, err := s.Accounts.Profile(c.ctx, c.actor)
	if err != nil {
		return err
	}
	c.w.Header()["Etag"] = []string{profileTag(u)}
	return c.json(http.StatusOK, showUser(u))
}

// profileTag is the ETag of a profile, whose version is the moment of its last change.
func profileTag(u englog.User) string { return etag(u.UpdatedAt.UnixMicro()) }

func (s *Server) changeProfile(c *call) error {
	version, err := c.ifMatch(64)
	if err != nil {
		return err
	}
	var in struct {
		Name        *string             `json:"name"`
		Bio         *string             `json:"bio"`
		Preferences *englog.Preferences `json:"preferences"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	u, err := s.Accounts.ChangeProfile(c.ctx, c.actor, auth.ProfileChange{BasedOn: version, Name: in.Name, Bio: in.Bio, Preferences: in.Preferences})
	if err == nil || englog.CodeOf(err) == englog.CodeStale {
		c.w.Header()["Etag"] = []string{profileTag(u)}
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showUser(u))
}

// tokenOutput is a personal access token; the secret is there only once.
type tokenOutput struct {
	ID         uuid.UUID  `json:"id"`
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
	Token      string     `json:"token,omitempty"`
}

func showToken(t englog.AccessToken) tokenOutput {
	return tokenOutput{ID: t.ID, Name: t.Name, Scopes: t.Scopes, CreatedAt: t.CreatedAt.UTC(), ExpiresAt: known(t.ExpiresAt), LastUsedAt: known(t.LastUsedAt)}
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *Server) listTokens(c *call) error {
	list, err := s.Accounts.Tokens(c.ctx, c.actor)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showAll(list, showToken))
}

func (s *Server) createToken(c *call) error {
	var in struct {
		Name      string    `json:"name"`
		Scopes    []string  `json:"scopes"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	raw, err := c.read()
	if err != nil {
		return err
	}
	key, err := c.idempotencyKey(raw)
	if err != nil {
		return err
	}
	if err := decodeStrict(raw, &in); err != nil {
		return err
	}
	t, secret, err := s.Accounts.CreateToken(c.ctx, c.actor, auth.NewToken{Name: in.Name, Scopes: in.Scopes, ExpiresAt: in.ExpiresAt}, s.client(c),
		func(t englog.AccessToken, secret string) (englog.Once, error) {
			return s.secretOnce(key, http.StatusCreated, showNewToken(t, secret))
		})
	if errors.Is(err, englog.ErrKeyUsed) {
		return s.replay(c, key)
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, showNewToken(t, secret))
}

func showNewToken(t englog.AccessToken, secret string) tokenOutput {
	out := showToken(t)
	out.Token = secret
	return out
}

func (s *Server) deleteToken(c *call) error {
	id, err := c.pathID("id", "access token")
	if err != nil {
		return err
	}
	if err := s.Accounts.DeleteToken(c.ctx, c.actor, id, s.client(c)); err != nil {
		return err
	}
	return c.empty()
}

func (s *Server) requestCode(c *call) error {
	var in struct {
		Email string `json:"email"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := s.Accounts.RequestCode(c.ctx, in.Email, s.client(c)); err != nil {
		return err
	}
	return c.json(http.StatusAccepted, map[string]string{"status": "sent"})
}

func (s *Server) verifyCode(c *call) error {
	var in struct {
		Email string `json:"email"`
		Code  string `json:"code"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	t, err := s.Accounts.VerifyCode(c.ctx, in.Email, in.Code, s.client(c))
	if err != nil {
		return err
	}
	return c.tokens(http.StatusOK, t)
}

func (s *Server) createInvite(c *call) error {
	key, err := c.idempotencyKey(nil)
	if err != nil {
		return err
	}
	show := func(expires time.Time, invite string) map[string]any {
		return map[string]any{"invite": invite, "expires_at": expires}
	}
	invite, expires, err := s.Accounts.CreateInvite(c.ctx, c.actor, s.client(c), func(expires time.Time, invite string) (englog.Once, error) {
		return s.secretOnce(key, http.StatusCreated, show(expires, invite))
	})
	if errors.Is(err, englog.ErrKeyUsed) {
		return s.replay(c, key)
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, show(expires, invite))
}

// mailbox shows the codes of the development mailbox; elsewhere there is no
// such address.
func (s *Server) mailbox(c *call) error {
	if s.Mailbox == nil {
		return englog.Errorf(englog.CodeNotFound, "There is no such address.")
	}
	return c.json(http.StatusOK, map[string]any{"items": s.Mailbox.Messages()})
}
