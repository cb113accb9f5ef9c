package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Accounts are the users of one or several runs. Passwords are hashed with argon2id, so making them is expensive:
// prepare once, run often.
type Accounts struct {
	users []*account
}

type account struct {
	email, password string

	mu      sync.Mutex
	token   string
	renewAt time.Time
	entries []string // ids, newest last; at most rememberedEntries
}

const rememberedEntries = 32

// registering at once more than this many users would only queue argon2 work in front of the probes of the service.
const registrations = 2

// session is the part of a login answer that the generator needs.
type session struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"` // seconds
}

// Ready is the number of users.
func (a *Accounts) Ready() int { return len(a.users) }

// Prepare registers the users of cfg, logs them in and writes one entry for each, so that there is something to read.
// Answers 429 and 503 are waited out. progress may be nil; it hears of each user.
func Prepare(ctx context.Context, cfg Config, progress func(done, total int)) (*Accounts, []Entry, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, nil, err
	}
	p := &preparation{cfg: cfg, client: newCaller(cfg), progress: progress, prefix: emailPrefix(time.Now())}
	return p.run(ctx)
}

func emailPrefix(now time.Time) string { return fmt.Sprintf("load-%x", now.UnixNano()) }

type preparation struct {
	cfg      Config
	client   *caller
	progress func(done, total int)
	prefix   string
	done     atomic.Int64
	mu       sync.Mutex
	entries  []Entry
}

func (p *preparation) run(ctx context.Context) (*Accounts, []Entry, error) {
	users := make([]*account, p.cfg.Users)
	err := eachBounded(ctx, len(users), registrations, func(ctx context.Context, i int) error {
		u := &account{email: fmt.Sprintf("%s-%d@example.com", p.prefix, i), password: p.prefix + "-Passw0rd!"}
		users[i] = u
		return p.prepare(ctx, u, i)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("preparing users: %w", err)
	}
	return &Accounts{users: users}, p.entries, nil
}

func (p *preparation) prepare(ctx context.Context, u *account, i int) error {
	if err := p.client.enter(ctx, u, "/api/v1/auth/register", http.StatusCreated); err != nil {
		return err
	}
	body, err := p.client.call(ctx, message{
		method: http.MethodPost, path: "/api/v1/entries", token: u.bearer(), body: entryBody(i, 0),
	}, http.StatusCreated)
	if err != nil {
		return err
	}
	e, err := parseEntry(body)
	if err != nil {
		return err
	}
	e.user = u
	u.remember(e.ID)
	p.mu.Lock()
	p.entries = append(p.entries, e)
	p.mu.Unlock()
	if p.progress != nil {
		p.progress(int(p.done.Add(1)), p.cfg.Users)
	}
	return nil
}

// enter registers or logs in and stores the token.
func (c *caller) enter(ctx context.Context, u *account, path string, want int) error {
	name := strings.SplitN(u.email, "@", 2)[0]
	fields := map[string]string{"email": u.email, "password": u.password}
	if want == http.StatusCreated {
		fields["name"] = name
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	got, err := c.call(ctx, message{method: http.MethodPost, path: path, body: body}, want)
	if err != nil {
		return err
	}
	var s session
	if err := json.Unmarshal(got, &s); err != nil || s.AccessToken == "" {
		return errors.Join(fmt.Errorf("%s answered without an access_token", path), err)
	}
	u.login(s, time.Now())
	return nil
}

// login stores a session; it is renewed after two thirds of its life.
func (u *account) login(s session, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.token = s.AccessToken
	u.renewAt = now.Add(time.Duration(max(s.ExpiresIn, 60)) * time.Second * 2 / 3)
}

func (u *account) bearer() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.token
}

func (u *account) expiring(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return now.After(u.renewAt)
}

func (u *account) remember(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.entries) >= rememberedEntries {
		u.entries = u.entries[1:]
	}
	u.entries = append(u.entries, id)
}

// pick returns one of the remembered entries.
func (u *account) pick(n uint64) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.entries[n%uint64(len(u.entries))]
}

// renewExpiring logs users in again, one at a time, beside the counted requests. It returns the number of failures.
func (a *Accounts) renewExpiring(ctx context.Context, c *caller) int {
	failures := 0
	for _, u := range a.users {
		if ctx.Err() != nil {
			return failures
		}
		if u.expiring(time.Now()) && c.enter(ctx, u, "/api/v1/auth/login", http.StatusOK) != nil {
			failures++
		}
	}
	return failures
}
