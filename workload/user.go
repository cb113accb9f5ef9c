package englog

import (
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// UserID identifies a user; a UUID of version 7.
type UserID = uuid.UUID

// Limits of an account's fields, in characters.
const (
	MaxEmailLength    = 254
	MaxNameLength     = 100
	MinPasswordLength = 12
	MaxPasswordLength = 128
	MaxBioLength      = 500
)

// Status of an account.
const (
	UserActive  = "active"
	UserDeleted = "deleted" // within the grace period; logging in again restores it
)

// DeletionGrace is how long a deleted account can still be restored.
const DeletionGrace = 30 * 24 * time.Hour

// User is an account.
type User struct {
	ID    UserID
	Email string
	Name  string
	Bio   string
	// PasswordHash is in PHC string format; empty if the account has no password.
	PasswordHash string
	// TokenEpoch is part of every access token; raising it kills them all.
	TokenEpoch  int32
	Preferences Preferences
	CreatedAt   time.Time
	UpdatedAt   time.Time
	// DeletedAt is when deletion was asked for; zero for a live account.
	DeletedAt time.Time
}

// Preferences are a user's own switches. The zero value is not the default;
// DefaultPreferences is.
type Preferences struct {
	Timezone string `json:"timezone"`
	Language string `json:"language"`
	Theme    string `json:"theme"`
	// AIEnabled off means that no entry of the user is ever sent to any model.
	AIEnabled bool `json:"ai_enabled"`
	// DisabledTasks are the task kinds that are off for this user.
	DisabledTasks []string `json:"disabled_tasks"`
}

// DefaultPreferences returns what a new account starts with.
func DefaultPreferences() Preferences {
	return Preferences{Timezone: "UTC", Language: "en", Theme: "system", AIEnabled: true, DisabledTasks: []string{}}
}

// Validate reports every field that is out of its range.
func (p Preferences) Validate() error {
	var bad []FieldError
	if _, err := time.LoadLocation(p.Timezone); err != nil || p.Timezone == "" || p.Timezone == "Local" {
		bad = append(bad, FieldError{"timezone", "must be an IANA zone name such as Europe/Berlin"})
	}
	if !oneOf(p.Language, "en", "es", "fr", "de", "it", "pt", "ru", "ja", "ko", "zh") {
		bad = append(bad, FieldError{"language", "must be one of en, es, fr, de, it, pt, ru, ja, ko, zh"})
	}
	if !oneOf(p.Theme, "system", "light", "dark") {
		bad = append(bad, FieldError{"theme", "must be system, light or dark"})
	}
	if len(p.DisabledTasks) > 20 {
		bad = append(bad, FieldError{"disabled_tasks", "must have at most 20 items"})
	}
	if len(bad) > 0 {
		return InvalidFields(bad)
	}
	return nil
}

// Scopes of a token. A session has all of them; a personal access token has
// those that it was made with.
const (
	ScopeRead    = "entries:read"
	ScopeWrite   = "entries:write"
	ScopeAccount = "account"
)

// Scopes lists every scope.
func Scopes() []string { return []string{ScopeRead, ScopeWrite, ScopeAccount} }

// Actor is who asks: a user, and what the presented token allows.
type Actor struct {
	UserID UserID
	Scopes []string
	// SessionID is the session that the access token belongs to; zero for a
	// personal access token.
	SessionID uuid.UUID
	// Source names the personal access token, and is recorded on the entries it
	// makes; "session" otherwise.
	Source string
}

// May reports whether the actor holds a scope.
func (a Actor) May(scope string) bool { return oneOf(scope, a.Scopes...) }

// NormalizeEmail checks an address and returns it in the form that is stored:
// trimmed and in lower case.
func NormalizeEmail(raw string) (string, error) {
	email := strings.ToLower(strings.TrimSpace(raw))
	addr, err := mail.ParseAddress(email)
	if err != nil || addr.Address != email || len(email) > MaxEmailLength || strings.ContainsAny(email, "\r\n\x00") {
		return "", Invalid("email", "must be one e-mail address of at most 254 characters")
	}
	return email, nil
}

// CheckName checks a display name and returns it trimmed.
func CheckName(raw string) (string, error) {
	name := strings.TrimSpace(raw)
	if name == "" || utf8.RuneCountInString(name) > MaxNameLength || hasControl(name) {
		return "", Invalid("name", "must have 1 to 100 characters and no control characters")
	}
	return name, nil
}

// CheckPassword applies the length rule of OWASP ASVS 5 (6.2.1, 6.2.9) and no
// rule of composition (6.2.5).
func CheckPassword(field, password string) error {
	if n := utf8.RuneCountInString(password); n < MinPasswordLength || n > MaxPasswordLength {
		return Invalid(field, "must have 12 to 128 characters")
	}
	return nil
}

func oneOf(s string, options ...string) bool {
	for _, o := range options {
		if s == o {
			return true
		}
	}
	return false
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
