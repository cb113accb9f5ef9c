package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Journey is what one new user met: an entry written and the insights that the worker made of it.
type Journey struct {
	User      string          `json:"user"`
	Password  string          `json:"password"` // of a throw-away user, so that a person can sign in with it
	EntryID   string          `json:"entry_id"`
	Revision  string          `json:"revision"` // that acknowledged the entry
	Insight   string          `json:"insight"`  // kind of the first insight
	Data      json.RawMessage `json:"data"`
	InsightMs float64         `json:"insight_ms"` // from the acknowledged entry to its first insight
}

// insight is one item of GET /entries/{id}/insights.
type insight struct {
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// Travel registers a user, writes an entry and waits at most a minute for its first insight.
func Travel(ctx context.Context, cfg Config) (*Journey, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := newCaller(cfg)
	defer c.pool.closeAll()
	u := &account{email: emailPrefix(time.Now()) + "@example.com", password: "demo-Passw0rd!"}
	if err := c.enter(ctx, u, "/api/v1/auth/register", http.StatusCreated); err != nil {
		return nil, fmt.Errorf("registering a user: %w", err)
	}
	body, err := c.call(ctx, message{
		method: http.MethodPost, path: "/api/v1/entries", token: u.bearer(), body: entryBody(1, 1),
	}, http.StatusCreated)
	if err != nil {
		return nil, fmt.Errorf("writing an entry: %w", err)
	}
	e, err := parseEntry(body)
	if err != nil {
		return nil, err
	}
	j := &Journey{User: u.email, Password: u.password, EntryID: e.ID, Revision: c.lastRevision()}
	return j, c.awaitInsight(ctx, u, j)
}

func (c *caller) awaitInsight(ctx context.Context, u *account, j *Journey) error {
	start := time.Now()
	for time.Since(start) < time.Minute {
		body, err := c.call(ctx, message{
			method: http.MethodGet, path: "/api/v1/entries/" + j.EntryID + "/insights", token: u.bearer(),
		}, http.StatusOK)
		if err != nil {
			return fmt.Errorf("reading the entry's insights: %w", err)
		}
		var page struct {
			Items []insight `json:"items"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return fmt.Errorf("reading the entry's insights: %w", err)
		}
		if len(page.Items) > 0 {
			j.Insight, j.Data, j.InsightMs = page.Items[0].Kind, page.Items[0].Data, ms(time.Since(start))
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("entry %s has no insight after a minute: look at the worker's log and at GET /api/v1/entries/%s/tasks",
		j.EntryID, j.EntryID)
}
