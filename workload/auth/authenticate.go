package auth

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// believe is how long a token that was found good is not checked again. It is
// also the longest time that a revocation on another pod takes to be felt here.
const believe = 5 * time.Second

var errBadToken = englog.Errorf(englog.CodeUnauthenticated, "The access token is missing, wrong or expired.")

// Authenticate says who a bearer token speaks for.
func (s *Service) Authenticate(ctx context.Context, token string) (englog.Actor, error) {
	id := sha256.Sum256([]byte(token))
	if actor, ok := s.seen.get(id); ok {
		return actor, nil
	}
	actor, expires, err := s.check(ctx, token)
	if err != nil {
		return englog.Actor{}, err
	}
	s.seen.put(id, actor, expires)
	return actor, nil
}

func (s *Service) check(ctx context.Context, token string) (englog.Actor, time.Time, error) {
	if strings.HasPrefix(token, patPrefix) {
		return s.checkPersonal(ctx, token)
	}
	v, err := verify(s.parser, s.Ring, token)
	if err != nil {
		return englog.Actor{}, time.Time{}, errBadToken
	}
	standing, err := s.Store.Standing(ctx, v.user, v.session)
	if err != nil {
		return englog.Actor{}, time.Time{}, err
	}
	if standing.Deleted || standing.TokenEpoch != v.epoch || !standing.SessionEnd.After(s.Clock.Now()) {
		return englog.Actor{}, time.Time{}, errBadToken
	}
	return englog.Actor{UserID: v.user, Scopes: englog.Scopes(), SessionID: v.session, Source: "session"}, v.expires, nil
}

func (s *Service) checkPersonal(ctx context.Context, token string) (englog.Actor, time.Time, error) {
	t, err := s.Store.TokenByHash(ctx, hashToken(token))
	if englog.CodeOf(err) == englog.CodeNotFound {
		return englog.Actor{}, time.Time{}, errBadToken
	}
	if err != nil {
		return englog.Actor{}, time.Time{}, err
	}
	now := s.Clock.Now()
	expires := now.Add(time.Hour)
	if !t.ExpiresAt.IsZero() {
		expires = t.ExpiresAt
	}
	if !expires.After(now) {
		return englog.Actor{}, time.Time{}, errBadToken
	}
	if now.Sub(t.LastUsedAt) > time.Minute {
		if err := s.Store.TouchToken(ctx, t.ID, now); err != nil {
			s.Log.Warn("the use of a token was not recorded", "error", err)
		}
	}
	return englog.Actor{UserID: t.UserID, Scopes: t.Scopes, Source: t.Name}, expires, nil
}

// cache remembers good tokens for a few seconds.
type cache struct {
	clock englog.Clock
	mu    sync.RWMutex
	known map[[32]byte]believed
	swept time.Time
}

type believed struct {
	actor englog.Actor
	until time.Time
}

func newCache(clock englog.Clock) *cache {
	return &cache{clock: clock, known: map[[32]byte]believed{}}
}

func (c *cache) get(id [32]byte) (englog.Actor, bool) {
	c.mu.RLock()
	b, ok := c.known[id]
	c.mu.RUnlock()
	return b.actor, ok && c.clock.Now().Before(b.until)
}

func (c *cache) put(id [32]byte, actor englog.Actor, expires time.Time) {
	now := c.clock.Now()
	until := now.Add(believe)
	if expires.Before(until) {
		until = expires
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.swept) > believe {
		for k, b := range c.known {
			if !now.Before(b.until) {
				delete(c.known, k)
			}
		}
		c.swept = now
	}
	c.known[id] = believed{actor, until}
}

// forget drops what is believed of a user: the next request asks the store.
func (c *cache) forget(user uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, b := range c.known {
		if b.actor.UserID == user {
			delete(c.known, k)
		}
	}
}
