package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	englog "github.com/garnizeh/englog-operator/workload"
)

// The last of the parameter sets that OWASP's password storage cheat sheet lists
// for argon2id as equally strong: 7 MiB, five passes, one lane. It is the one
// that leaves most of a processor's cache to others, and the quickest to check:
// 16 ms of one core, where 19 MiB and two passes take 20.
const (
	argonMemory  = 7 * 1024 // KiB
	argonPasses  = 5
	argonLanes   = 1
	argonKeySize = 32
	argonSalt    = 16
)

// Passwords hashes and checks passwords, a few at a time: each takes 7 MiB and a
// whole core, and a burst of logins must not starve everything else.
type Passwords struct {
	slots chan struct{}
	// bcryptCost is used for new hashes when it is not 0.
	bcryptCost int
	dummy      string
	hashers    *hashers // nil: this process hashes
}

// NewPasswords allows so many hashes at once. With a cost of bcrypt, new
// passwords are hashed with bcrypt; hashes of either kind are always accepted.
func NewPasswords(atOnce, bcryptCost int) (*Passwords, error) {
	p := &Passwords{slots: make(chan struct{}, max(1, atOnce)), bcryptCost: bcryptCost}
	if bcryptCost == 0 {
		p.dummy = noPassword
		return p, nil
	}
	var err error
	p.dummy, err = newHash("a password that nobody has", bcryptCost)
	return p, err
}

// UseHashers has passwords hashed by processes that a command starts and that call ServeHasher.
func (p *Passwords) UseHashers(command ...string) {
	p.hashers = &hashers{command: command, idle: hasherIdle}
}

// argonPrefix is what hashes of ours begin with.
var argonPrefix = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonPasses, argonLanes)

// noPassword takes as long to check as any hash of ours, and no password fits it.
var noPassword = argonPrefix + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43)

// Hash returns the hash of a new password, in PHC string format or bcrypt's own.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	defer p.leave()
	out, err := p.do(ctx, order{Password: password, BcryptCost: p.bcryptCost})
	if err == nil && out.Fail != "" {
		err = errors.New(out.Fail)
	}
	return out.Hash, err
}

// do hands an order to a hasher. Where none can be started, this process does it: slower for others, but done.
func (p *Passwords) do(ctx context.Context, o order) (outcome, error) {
	if p.hashers == nil {
		return o.do(), nil
	}
	out, err := p.hashers.do(ctx, o)
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return out, englog.Unavailable("The server is busy. Try again.", err)
	}
	return o.do(), nil
}

func (p *Passwords) outdated(hash string) bool {
	if p.bcryptCost > 0 {
		return strings.HasPrefix(hash, "$argon2id$")
	}
	return !strings.HasPrefix(hash, argonPrefix)
}

func (p *Passwords) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return englog.Unavailable("The server is busy. Try again.", ctx.Err())
	}
}

func (p *Passwords) leave() { <-p.slots }

func newHash(password string, bcryptCost int) (string, error) {
	if bcryptCost > 0 {
		raw, err := bcrypt.GenerateFromPassword(bcryptInput(password), bcryptCost)
		if err != nil {
			return "", fmt.Errorf("hash a password: %w", err)
		}
		return string(raw), nil
	}
	salt := make([]byte, argonSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	key := argon2.IDKey([]byte(password), salt, argonPasses, argonMemory, argonLanes, argonKeySize)
	encode := base64.RawStdEncoding.EncodeToString
	return argonPrefix + encode(salt) + "$" + encode(key), nil
}

// bcryptInput cuts at 72 bytes, all that bcrypt looks at.
func bcryptInput(password string) []byte {
	raw := []byte(password)
	return raw[:min(len(raw), 72)]
}

// Check reports whether the password fits the hash, and whether the hash should
// be renewed because it is of another kind than new ones, or has other
// parameters. An empty hash takes as long as any other, so that nobody learns
// which accounts exist.
func (p *Passwords) Check(ctx context.Context, password, hash string) (right, renew bool, err error) {
	if err := p.enter(ctx); err != nil {
		return false, false, err
	}
	defer p.leave()
	none := hash == ""
	if none {
		hash = p.dummy
	}
	out, err := p.do(ctx, order{Password: password, Hash: hash})
	if err != nil || none {
		return false, false, err
	}
	return out.Right, out.Right && p.outdated(hash), nil
}

func matches(password, hash string) bool {
	if strings.HasPrefix(hash, "$2") {
		return bcrypt.CompareHashAndPassword([]byte(hash), bcryptInput(password)) == nil
	}
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	var version, memory, passes, lanes int
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil ||
		version != argon2.Version || memory < 8 || memory > 1<<20 || passes < 1 || passes > 16 || lanes < 1 || lanes > 16 {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, uint32(passes), uint32(memory), uint8(lanes), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}
