package api

import (
	"net/http"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/auth"
)

// userOutput is an account as its owner sees it.
type userOutput struct {
	ID          englog.UserID      `json:"id"`
	Email       string             `json:"email"`
	Name        string             `json:"name"`
	Bio         string             `json:"bio"`
	Preferences englog.Preferences `json:"preferences"`
	CreatedAt   time.Time          `json:"created_at"`
	UpdatedAt   time.Time          `json:"updated_at"`
}

func showUser(u englog.User) userOutput {
	return userOutput{u.ID, u.Email, u.Name, u.Bio, u.Preferences, u.CreatedAt, u.UpdatedAt}
}

// tokensOutput is the answer to every way of logging in.
type tokensOutput struct {
	User         userOutput `json:"user"`
	AccessToken  string     `json:"access_token"`
	RefreshToken string     `json:"refresh_token"`
	TokenType    string     `json:"token_type"`
	ExpiresIn    int        `json:"expires_in"`
}

func (c *call) tokens(status int, t auth.Tokens) error {
	return c.json(status, tokensOutput{showUser(t.User), t.Access, t.Refresh, "Bearer", int(t.ExpiresIn.Seconds())})
}

func (s *Server) register(c *call) error {
	var in struct {
		Email    string `json:"email"`
		Name     string `json:"name"`
		Password string `json:"password"`
		Invite   string `json:"invite"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	t, err := s.Accounts.Register(c.ctx, auth.Registration{Email: in.Email, Name: in.Name, Password: in.Password, Invite: in.Invite}, s.client(c))
	if err != nil {
		return err
	}
	return c.tokens(http.StatusCreated, t)
}

func (s *Server) login(c *call) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	t, err := s.Accounts.Login(c.ctx, in.Email, in.Password, s.client(c))
	if err != nil {
		return err
	}
	return c.tokens(http.StatusOK, t)
}

func (s *Server) refresh(c *call) error {
	var in struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	t, err := s.Accounts.Refresh(c.ctx, in.RefreshToken, s.client(c))
	if err != nil {
		return err
	}
	return c.tokens(http.StatusOK, t)
}
