package englog

import (
	"time"

	"github.com/google/uuid"
)

// Session is one device that logged in.
type Session struct {
	ID         uuid.UUID
	UserID     UserID
	UserAgent  string
	IP         string
	CreatedAt  time.Time
	LastUsedAt time.Time
	// ExpiresAt moves with use, up to an absolute end.
	ExpiresAt time.Time
	RevokedAt time.Time
}

// AccessToken is a personal access token; its secret is shown once and only its
// hash is kept.
type AccessToken struct {
	ID         uuid.UUID
	UserID     UserID
	Name       string
	Hash       []byte
	Scopes     []string
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // zero: never used
}

// Standing is what the database says about the bearer of a token right now.
type Standing struct {
	TokenEpoch int32
	Deleted    bool
	// SessionEnd is when the session ends; zero if it is revoked.
	SessionEnd time.Time
}

// Audit is one act upon an account.
type Audit struct {
	UserID  UserID
	Action  string
	Subject string
	IP      string
	At      time.Time
}

// Rotation is one use of a refresh token: its hash, the hash of the successor,
// and the rules of the session.
type Rotation struct {
	Hash, Successor []byte
	Now             time.Time
	// Grace is how long the same token may come again without harm.
	Grace time.Duration
	// Idle and Absolute bound a session since its last use and since its start.
	Idle, Absolute time.Duration
}
