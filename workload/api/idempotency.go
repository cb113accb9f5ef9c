package api

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	englog "github.com/garnizeh/englog-operator/workload"
)

// idempotencyKey reads the header and remembers what the request was.
func (c *call) idempotencyKey(raw []byte) (englog.IdempotencyKey, error) {
	key := c.r.Header.Get("Idempotency-Key")
	if key == "" {
		return englog.IdempotencyKey{}, nil
	}
	if len(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return englog.IdempotencyKey{}, englog.Invalid("Idempotency-Key", "must have 1 to 255 printable ASCII characters")
	}
	sum := sha256.Sum256(append([]byte(c.r.Method+" "+c.r.URL.Path+"\n"), raw...))
	return englog.IdempotencyKey{Key: key, RequestHash: sum[:]}, nil
}

// replay gives the answer that the first request with the key got.
func (s *Server) replay(c *call, key englog.IdempotencyKey) error {
	saved, err := s.Entries.SavedAnswer(c.ctx, c.actor.UserID, key)
	if englog.CodeOf(err) == englog.CodeInvalid {
		return &statusError{http.StatusUnprocessableEntity, toError(err)}
	}
	if err != nil {
		return err
	}
	body, err := s.Accounts.Ring.Open(saved.Body)
	if err != nil {
		return err
	}
	c.w.Header().Set("Idempotent-Replayed", "true")
	if saved.ETag != "" {
		c.w.Header().Set("ETag", saved.ETag)
	}
	return c.send(saved.Status, body)
}

// secretOnce keeps an answer that shows a secret: sealed, for what lies in the
// database must not log anybody in.
func (s *Server) secretOnce(key englog.IdempotencyKey, status int, answer any) (englog.Once, error) {
	if key.Key == "" {
		return englog.Once{}, nil
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		return englog.Once{}, fmt.Errorf("encode an answer: %w", err)
	}
	body, err := s.Accounts.Ring.Seal(raw)
	return englog.Once{Key: key, Saved: englog.Saved{Status: status, Body: body}}, err
}
