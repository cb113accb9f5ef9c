package run

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxConnAge is how long a client may keep a connection: a change of the
// Service behind it moves only new connections.
const maxConnAge = 30 * time.Second

// state is what a process knows about itself while it serves.
type state struct {
	draining atomic.Bool
	retired  atomic.Bool
	inFlight atomic.Int64
	conns    atomic.Int64
	now      func() time.Time

	mu     sync.Mutex
	gone   chan struct{} // closed and replaced whenever the last connection goes
	checks map[string]string
	ready  bool
}

func newState() *state {
	return &state{now: time.Now, gone: make(chan struct{}), checks: map[string]string{"start": "starting: the checks have not run yet"}}
}

// track follows the connections of a listener.
func (s *state) track(_ net.Conn, to http.ConnState) {
	switch to {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		if s.conns.Add(-1) == 0 {
			s.mu.Lock()
			close(s.gone)
			s.gone = make(chan struct{})
			s.mu.Unlock()
		}
	default: // active or idle: it is counted
	}
}

// awaitNoConns waits until no connection is left or ctx ends.
func (s *state) awaitNoConns(ctx context.Context) {
	for {
		s.mu.Lock()
		gone := s.gone
		s.mu.Unlock()
		if s.conns.Load() <= 0 {
			return
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return
		}
	}
}

// setChecks records the reasons of not being ready; none means ready.
func (s *state) setChecks(reasons map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks, s.ready = reasons, len(reasons) == 0
}

// reasons lists why the process must not get traffic now.
func (s *state) reasons() []string {
	list := []string{}
	if neverReady {
		list = append(list, "release: this release never gets ready")
	}
	if s.draining.Load() {
		list = append(list, "draining: the process shuts down")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, reason := range s.checks {
		list = append(list, name+": "+reason)
	}
	return list
}

type connKey struct{}

// stamp remembers when a connection began.
func (s *state) stamp(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, s.now())
}

// mustClose reports whether the connection of a request ends with its answer.
func (s *state) mustClose(r *http.Request) bool {
	if s.draining.Load() || s.retired.Load() {
		return true
	}
	since, ok := r.Context().Value(connKey{}).(time.Time)
	return ok && s.now().Sub(since) > maxConnAge
}

// edge wraps the public handler: every answer names its revision, and leads the
// client away when it should leave.
func (s *state) edge(revision string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.inFlight.Add(1)
		defer s.inFlight.Add(-1)
		h := w.Header()
		h["X-Englog-Revision"] = []string{revision}
		if s.mustClose(r) {
			h["Connection"] = []string{"close"}
		}
		if alwaysFail && len(r.URL.Path) > 8 && r.URL.Path[:8] == "/api/v1/" {
			http.Error(w, "this release fails on purpose", http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}
