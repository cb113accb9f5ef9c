package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"strings"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
)

// codeLifetime is how long a login code is good.
const codeLifetime = 5 * time.Minute

// RequestCode mails a login code of six digits. It answers alike whether the
// address is known or not.
func (s *Service) RequestCode(ctx context.Context, email string, _ Client) error {
	if s.Mailer == nil {
		return englog.NotFound("way to log in")
	}
	email, err := englog.NormalizeEmail(email)
	if err != nil {
		return err
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return fmt.Errorf("make a login code: %w", err)
	}
	code, now := fmt.Sprintf("%06d", n), s.Clock.Now()
	allowed, err := s.Store.RequestCode(ctx, email, s.hashCode(email, code), now, now.Add(codeLifetime))
	if err != nil {
		return err
	}
	if !allowed {
		return &englog.Error{Code: englog.CodeRateLimited, Message: "Three codes an hour is the limit.", RetryAfter: time.Hour}
	}
	if err := s.Mailer.SendCode(ctx, email, code, codeLifetime); err != nil {
		return englog.Unavailable("The code could not be mailed. Try again later.", err)
	}
	return nil
}

// hashCode binds a code to its address and to a key: six digits alone could be
// found by trying.
func (s *Service) hashCode(email, code string) []byte {
	_, key := s.Ring.signing()
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("login code:" + email + ":" + code))
	return mac.Sum(nil)
}

// VerifyCode logs in with a mailed code. Where registration is open, an unknown
// address gets its account now.
func (s *Service) VerifyCode(ctx context.Context, email, code string, from Client) (Tokens, error) {
	if s.Mailer == nil {
		return Tokens{}, englog.NotFound("way to log in")
	}
	email, err := englog.NormalizeEmail(email)
	if err != nil {
		return Tokens{}, err
	}
	if err := s.throttle(ctx, "code:"+email); err != nil {
		return Tokens{}, err
	}
	right, err := s.Store.UseCode(ctx, email, s.hashCode(email, strings.TrimSpace(code)), s.Clock.Now())
	if err != nil {
		return Tokens{}, err
	}
	if !right {
		return Tokens{}, englog.Errorf(englog.CodeUnauthenticated, "The code is wrong, used or expired.")
	}
	u, err := s.Store.UserByEmail(ctx, email)
	if englog.CodeOf(err) == englog.CodeNotFound {
		u, err = s.registerByCode(ctx, email, from)
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.enter(ctx, u, "login_by_code", from)
}

func (s *Service) registerByCode(ctx context.Context, email string, from Client) (englog.User, error) {
	if s.Registration != "open" {
		return englog.User{}, englog.Errorf(englog.CodeForbidden, "There is no account with this address, and registration is not open.")
	}
	name, _, _ := strings.Cut(email, "@")
	u := s.newUser(email, name[:min(len(name), englog.MaxNameLength)], "")
	if err := s.Store.CreateUser(ctx, u, nil); err != nil {
		return u, err
	}
	s.audit(ctx, u.ID, "registered", "", from)
	return u, nil
}
