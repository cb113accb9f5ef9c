package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// caller sends the requests that are not counted: preparation before and reading back after a run. It may wait and try
// again; the counted requests never do.
type caller struct {
	cfg    Config
	dialer *dialer
	pool   *pool

	revision atomic.Value // of the last answer
}

// patience is how long caller goes on when the service is busy or away.
const patience = 60 * time.Second

func newCaller(cfg Config) *caller {
	d := newDialer(cfg.Address, cfg.Sources, portOffset(time.Now())+portSpan/8)
	return &caller{cfg: cfg, dialer: d, pool: &pool{dialer: d, size: 4}}
}

// statusError is an answer that was not the one wanted.
type statusError struct {
	method, path string
	status       int
	body         string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s answered %d: %s", e.method, e.path, e.status, e.body)
}

// call returns the body of an answer of status want. It waits out 429, 503 and transport errors for a minute.
func (c *caller) call(ctx context.Context, m message, want int) ([]byte, error) {
	m.host = c.cfg.Host
	giveUp := time.Now().Add(patience)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		a, err := c.once(m)
		if err == nil && a.status == want {
			return a.body, nil
		}
		if err == nil {
			err = &statusError{m.method, m.path, a.status, clip(string(a.body), 300)}
			if a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable {
				return nil, err
			}
		}
		if time.Now().After(giveUp) {
			return nil, fmt.Errorf("giving up after %s: %w", patience, err)
		}
		if err := pause(ctx, max(wait, a.retryAfter)); err != nil {
			return nil, err
		}
	}
}

func (c *caller) once(m message) (answer, error) {
	deadline := time.Now().Add(10 * time.Second)
	conn, err := c.pool.get(deadline)
	if err != nil {
		return answer{}, err
	}
	a, err := conn.exchange(m, deadline)
	c.pool.put(conn, err != nil || a.close)
	c.revision.Store(a.revision)
	return a, err
}

func (c *caller) lastRevision() string {
	s, _ := c.revision.Load().(string)
	return s
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// eachBounded calls f for 0 to n-1, at most width at a time, and returns the first error.
func eachBounded(ctx context.Context, n, width int, f func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range width {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
