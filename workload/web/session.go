package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// session is what the cookie holds.
type session struct {
	Access  string    `json:"a"`
	Refresh string    `json:"r"`
	Expires time.Time `json:"e"`
}

const cookieName = "englog_session"

// cookieName is the name that the browser knows. With TLS its prefix makes the
// browser refuse a cookie that another host of the domain has set.
func (s *Site) cookieName() string {
	if s.Secure {
		return "__Host-" + cookieName
	}
	return cookieName
}

var errNoSession = errors.New("nobody is signed in")

// seal encrypts and authenticates a session with AES-256-GCM under a key derived from the shared secret.
func (s *Site) seal(v session) (string, error) {
	box, err := s.box()
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding the session: %w", err)
	}
	nonce := make([]byte, box.NonceSize())
	_, _ = rand.Read(nonce) // never fails, by its contract
	return base64.RawURLEncoding.EncodeToString(box.Seal(nonce, nonce, plain, []byte(cookieName))), nil
}

func (s *Site) open(sealed string) (session, error) {
	var v session
	box, err := s.box()
	if err != nil {
		return v, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(raw) < box.NonceSize() {
		return v, errNoSession
	}
	plain, err := box.Open(nil, raw[:box.NonceSize()], raw[box.NonceSize():], []byte(cookieName))
	if err != nil {
		return v, errNoSession
	}
	if err := json.Unmarshal(plain, &v); err != nil {
		return v, errNoSession
	}
	return v, nil
}

func (s *Site) box() (cipher.AEAD, error) {
	secret, err := s.Key()
	if err != nil {
		return nil, fmt.Errorf("reading SESSION_KEY: %w", err)
	}
	key := sha256.Sum256([]byte("englog session\x00" + secret))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

func (s *Site) keep(w http.ResponseWriter, v session) error {
	sealed, err := s.seal(v)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(sealed, 0))
	return nil
}

func (s *Site) drop(w http.ResponseWriter) { http.SetCookie(w, s.cookie("", -1)) }

func (s *Site) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode}
}

func (s *Site) visitor(r *http.Request) (session, error) {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return session{}, errNoSession
	}
	return s.open(c.Value)
}
