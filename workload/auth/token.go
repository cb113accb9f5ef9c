package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Lifetimes of tokens, unless set otherwise.
const (
	AccessLifetime  = 15 * time.Minute
	RefreshLifetime = 7 * 24 * time.Hour // absolute end of a session
	refreshGrace    = 10 * time.Second
)

// Prefixes tell the kinds of token apart, and help scanners for leaked secrets.
const (
	refreshPrefix = "englog_rt_"
	patPrefix     = "englog_pat_"
	invitePrefix  = "englog_inv_"
)

// claims of an access token. Epoch kills all tokens of a user at once.
type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
	Epoch   int32  `json:"epoch"`
}

// newParser checks what an access token must say, at the clock's time.
func newParser(clock englog.Clock) *jwt.Parser {
	return jwt.NewParser(jwt.WithTimeFunc(clock.Now), jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithIssuer("englog"),
		jwt.WithAudience("englog_api"), jwt.WithLeeway(5*time.Second), jwt.WithIssuedAt())
}

// sign makes an access token of a session.
func sign(ring *Ring, session englog.Session, epoch int32, now time.Time, lifetime time.Duration) (string, error) {
	id, key := ring.signing()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: "englog", Audience: jwt.ClaimStrings{"englog_api"}, Subject: session.UserID.String(), ID: uuid.NewString(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
		},
		Session: session.ID.String(), Epoch: epoch,
	})
	token.Header["kid"] = id
	signed, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign an access token: %w", err)
	}
	return signed, nil
}

// verified is what an access token says, once its signature holds.
type verified struct {
	user, session uuid.UUID
	epoch         int32
	expires       time.Time
}

func verify(parser *jwt.Parser, ring *Ring, raw string) (verified, error) {
	var c claims
	_, err := parser.ParseWithClaims(raw, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, ok := ring.key(id)
		if !ok {
			return nil, fmt.Errorf("the key %q is not known", id)
		}
		return key, nil
	})
	if err != nil {
		return verified{}, fmt.Errorf("verify an access token: %w", err)
	}
	v := verified{epoch: c.Epoch, expires: c.ExpiresAt.Time}
	if v.user, err = uuid.Parse(c.Subject); err != nil {
		return v, fmt.Errorf("verify an access token: %w", err)
	}
	if v.session, err = uuid.Parse(c.Session); err != nil {
		return v, fmt.Errorf("verify an access token: %w", err)
	}
	return v, nil
}

// randomToken returns 256 random bits with a prefix.
func randomToken(prefix string) string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(raw[:])
}

// hashToken is how an opaque token is stored. Its 256 random bits need no salt.
func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// successor derives the next refresh token from the one that is used, so that
// the same token within the grace time yields the same successor although only
// hashes are stored. Without the key nobody can compute it.
func successor(ring *Ring, token string) string {
	_, key := ring.signing()
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("refresh successor:" + token))
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
