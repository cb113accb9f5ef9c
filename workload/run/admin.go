package run

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// adminHandler serves the port that only the platform reaches.
func (a *App) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /status", a.status)
	mux.HandleFunc("POST /retire", a.retire(true))
	mux.HandleFunc("DELETE /retire", a.retire(false))
	if a.Config.MetricsEnabled && a.Registry != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(a.Registry, promhttp.HandlerOpts{}))
	}
	return mux
}

func (a *App) readyz(w http.ResponseWriter, _ *http.Request) {
	reasons := a.state.reasons()
	slices.Sort(reasons)
	status, word := http.StatusOK, "ready"
	if len(reasons) > 0 {
		status, word = http.StatusServiceUnavailable, "not_ready"
	}
	writeJSON(w, status, map[string]any{"status": word, "reasons": reasons, "revision": a.Config.Identity.Revision})
}

// retire leads keep-alive clients away with their next request, or stops doing so.
func (a *App) retire(on bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if a.state.retired.Swap(on) != on {
			a.Log.Info("retirement changed", "retired", on)
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// Status is the answer of /status.
type Status struct {
	Role        string   `json:"role"`
	Revision    string   `json:"revision"`
	Color       string   `json:"color"`
	Version     string   `json:"version"`
	InFlight    int64    `json:"inFlight"`
	Draining    bool     `json:"draining"`
	Retired     bool     `json:"retired"`
	Connections int64    `json:"connections"`
	Schema      Levels   `json:"schema"`
	JWTKeyIDs   []string `json:"jwtKeyIds"`
}

func (a *App) status(w http.ResponseWriter, r *http.Request) {
	c := a.Config
	s := Status{Role: c.Role, Revision: c.Identity.Revision, Color: c.Identity.Color, Version: Version,
		InFlight: a.state.inFlight.Load(), Draining: a.state.draining.Load(), Retired: a.state.retired.Load(),
		Connections: a.state.conns.Load(), JWTKeyIDs: []string{}}
	if c.Identity.Version != "" {
		s.Version = c.Identity.Version
	}
	if a.Levels != nil {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		s.Schema, _ = a.Levels(ctx) // zero says that it is not known
	}
	if a.KeyIDs != nil {
		s.JWTKeyIDs = a.KeyIDs()
	}
	writeJSON(w, http.StatusOK, s)
}

// publicHandler adds /health and /ready, and wraps everything in the edge.
func (a *App) publicHandler() http.Handler {
	mux := http.NewServeMux()
	health := &healthCache{app: a}
	mux.HandleFunc("GET /health", health.health)
	mux.HandleFunc("GET /ready", a.publicReady)
	mux.Handle("/", a.Handler)
	return a.state.edge(a.Config.Identity.Revision, mux)
}

// publicReady answers without saying why.
func (a *App) publicReady(w http.ResponseWriter, _ *http.Request) {
	if len(a.state.reasons()) > 0 {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "not_ready"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// healthCache answers /health at most once a second from the checks: anyone may
// ask, and must not load the stores by it.
type healthCache struct {
	app    *App
	mu     sync.Mutex
	at     time.Time
	status string
	checks map[string]publicCheck
}

// publicCheck tells no error text, version or host.
type publicCheck struct {
	Status     string `json:"status"`
	DurationMS int64  `json:"duration_ms"`
}

func (h *healthCache) health(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.at) > time.Second {
		h.refresh(context.WithoutCancel(r.Context()))
	}
	status := http.StatusOK
	if h.status == "unhealthy" {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, map[string]any{"status": h.status, "timestamp": h.at.UTC(), "checks": h.checks})
}

func (h *healthCache) refresh(ctx context.Context) {
	h.at, h.status, h.checks = time.Now(), "healthy", map[string]publicCheck{}
	for _, r := range h.app.runChecks(ctx) {
		word := "healthy"
		switch {
		case r.err != nil && r.check.Reported:
			word = "unhealthy"
			if h.status == "healthy" {
				h.status = "degraded"
			}
		case r.err != nil:
			word, h.status = "unhealthy", "unhealthy"
		}
		h.checks[strings.ToLower(r.check.Name)] = publicCheck{word, r.took.Milliseconds()}
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
