package auth

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	englog "github.com/garnizeh/englog-operator/workload"
)

const (
	keyA = "key a, which has at least 32 bytes in it"
	keyB = "key b, which has at least 32 bytes in it"
)

func fixed(s string) Source { return func() (string, error) { return s, nil } }

func TestPasswordsOfBothKindsAreAccepted(t *testing.T) {
	p, err := NewPasswords(2, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	argon, err := p.Hash(ctx, "correct horse battery")
	if err != nil || !strings.HasPrefix(argon, "$argon2id$v=19$m=7168,t=5,p=1$") {
		t.Fatalf("hash %s, %v", argon, err)
	}
	old, err := bcrypt.GenerateFromPassword([]byte("correct horse battery"), 4)
	if err != nil {
		t.Fatal(err)
	}
	encode, salt := base64.RawStdEncoding.EncodeToString, []byte("salt of sixteen.")
	weaker := "$argon2id$v=19$m=64,t=1,p=1$" + encode(salt) + "$" + encode(argon2.IDKey([]byte("correct horse battery"), salt, 1, 64, 1, 32))
	for name, c := range map[string]struct {
		password, hash string
		right, renew   bool
	}{
		"other cost":     {"correct horse battery", weaker, true, true},
		"argon2id":       {"correct horse battery", argon, true, false},
		"argon2id wrong": {"correct horse batterz", argon, false, false},
		"bcrypt":         {"correct horse battery", string(old), true, true},
		"bcrypt wrong":   {"wrong", string(old), false, false},
		"no account":     {"correct horse battery", "", false, false},
		"damaged hash":   {"correct horse battery", "$argon2id$v=19$m=999999999,t=2,p=1$aa$bb", false, false},
	} {
		right, renew, err := p.Check(ctx, c.password, c.hash)
		if err != nil || right != c.right || renew != c.renew {
			t.Errorf("%s: got %v %v %v, want %v %v", name, right, renew, err, c.right, c.renew)
		}
	}
}

// A new key verifies first (next), then signs (current), then goes (previous):
// at no point is a token refused that somebody rightly holds.
func TestAKeyIsRotatedWithoutARefusedToken(t *testing.T) {
	parser := newParser(englog.SystemClock{})
	session := englog.Session{ID: uuid.New(), UserID: uuid.New()}
	ring := func(current, previous, next string) *Ring {
		r, err := NewRing(fixed(current), fixed(previous), fixed(next))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	steps := []*Ring{ring(keyA, "", ""), ring(keyA, "", keyB), ring(keyB, keyA, ""), ring(keyB, "", "")}
	for i := 0; i+1 < len(steps); i++ {
		for _, pair := range [][2]*Ring{{steps[i], steps[i+1]}, {steps[i+1], steps[i]}} {
			if i == 2 && pair[0] == steps[2] {
				continue // steps 2 and 3 sign with the same key
			}
			token, err := sign(pair[0], session, 3, time.Now(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if v, err := verify(parser, pair[1], token); err != nil || v.user != session.UserID || v.epoch != 3 {
				t.Errorf("between step %d and %d: %+v, %v", i, i+1, v, err)
			}
		}
	}
	token, _ := sign(steps[0], session, 1, time.Now(), time.Minute)
	if _, err := verify(parser, steps[3], token); err == nil {
		t.Error("a token of a key that is gone was accepted")
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	ring, err := NewRing(fixed(keyA), fixed(""), fixed(""))
	if err != nil {
		t.Fatal(err)
	}
	parser, now := newParser(englog.SystemClock{}), time.Now()
	good := claims{RegisteredClaims: jwt.RegisteredClaims{Issuer: "englog", Audience: jwt.ClaimStrings{"englog_api"}, Subject: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute))}, Session: uuid.NewString()}
	make := func(method jwt.SigningMethod, key any, kid string, change func(*claims)) string {
		c := good
		if change != nil {
			change(&c)
		}
		token := jwt.NewWithClaims(method, c)
		token.Header["kid"] = kid
		raw, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if _, err := verify(parser, ring, make(jwt.SigningMethodHS256, []byte(keyA), KeyID(keyA), nil)); err != nil {
		t.Fatalf("the good token is refused: %v", err)
	}
	for name, token := range map[string]string{
		"no signature":   make(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, KeyID(keyA), nil),
		"another key":    make(jwt.SigningMethodHS256, []byte(keyB), KeyID(keyA), nil),
		"unknown key id": make(jwt.SigningMethodHS256, []byte(keyA), "00000000", nil),
		"another method": make(jwt.SigningMethodHS512, []byte(keyA), KeyID(keyA), nil),
		"expired":        make(jwt.SigningMethodHS256, []byte(keyA), KeyID(keyA), func(c *claims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(-time.Minute)) }),
		"no expiry":      make(jwt.SigningMethodHS256, []byte(keyA), KeyID(keyA), func(c *claims) { c.ExpiresAt = nil }),
		"another issuer": make(jwt.SigningMethodHS256, []byte(keyA), KeyID(keyA), func(c *claims) { c.Issuer = "x" }),
		"for others":     make(jwt.SigningMethodHS256, []byte(keyA), KeyID(keyA), func(c *claims) { c.Audience = jwt.ClaimStrings{"x"} }),
		"no session":     make(jwt.SigningMethodHS256, []byte(keyA), KeyID(keyA), func(c *claims) { c.Session = "" }),
		"garbage":        "a.b.c",
	} {
		if _, err := verify(parser, ring, token); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAKeyFileIsReadAgain(t *testing.T) {
	current := keyA
	ring, err := NewRing(func() (string, error) { return current, nil }, fixed(""), fixed(""))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ring.now = func() time.Time { return now }
	current = keyB
	if ids := ring.KeyIDs(); ids[0] != KeyID(keyA) {
		t.Errorf("read again at once: %v", ids)
	}
	now = now.Add(3 * time.Second)
	if ids := ring.KeyIDs(); ids[0] != KeyID(keyB) {
		t.Errorf("not read again: %v", ids)
	}
	current, now = "", now.Add(3*time.Second)
	if ids := ring.KeyIDs(); ids[0] != KeyID(keyB) {
		t.Errorf("a missing file made the known key forgotten: %v", ids)
	}
}
