package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/garnizeh/englog-operator/workload/config"
)

// health is the one line that --health-check prints.
type health struct {
	Role   string `json:"role"`
	Status string `json:"status"` // ok or failed
	// Warnings are about what works and is not as it should be; the operator shows them. They come first: a long message is cut at its end.
	Warnings []string          `json:"warnings,omitempty"`
	Checks   map[string]string `json:"checks"` // ok, or what is wrong
}

// healthCheck says whether the role could serve here and now. AI providers are
// reported and never fatal.
func healthCheck(ctx context.Context, c config.Config, stdout io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	h := health{Role: c.Role, Status: "ok", Checks: map[string]string{}}
	switch c.Role {
	case config.RoleFrontend:
		h.note("api", checkAPI(ctx, c.APIURL))
	default:
		h.checkStores(ctx, c, c.Role == config.RoleWorker)
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return exitFailed
	}
	fmt.Fprintf(stdout, "%s\n", raw)
	writeTermination(c.TerminationLog, raw)
	if h.Status != "ok" {
		return exitFailed
	}
	return exitOK
}

func (h *health) note(name string, err error) {
	h.Checks[name] = "ok"
	if err != nil {
		h.Checks[name], h.Status = err.Error(), "failed"
	}
}

func (h *health) warn(about string) {
	if about != "" {
		h.Warnings = append(h.Warnings, about)
	}
}

// checkStores checks the database and its schema; a worker needs Redis too.
func (h *health) checkStores(ctx context.Context, c config.Config, needsRedis bool) {
	s, err := openStore(ctx, c, nil)
	if err == nil {
		err = databaseCheck(s).Probe(ctx)
		s.Close()
	}
	h.note("database", err)
	client, err := openRedis(c)
	if err == nil {
		if err = client.Ping(ctx); err == nil && needsRedis {
			h.note("queue", client.TryStreams(ctx))
			h.warn(client.EvictionRisk(ctx))
		}
		_ = client.Close()
	}
	switch {
	case needsRedis:
		h.note("redis", err)
	case err != nil:
		h.Checks["redis"] = "degraded: " + err.Error()
	default:
		h.Checks["redis"] = "ok"
	}
	if needsRedis {
		h.reportAI(ctx, c)
	}
}

// reportAI says of each provider whether it can be reached, and asks nothing that costs.
func (h *health) reportAI(ctx context.Context, c config.Config) {
	router, err := newRouter(c.AI, nil, nil, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		h.Checks["ai"] = err.Error()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for provider, state := range router.Report(ctx) {
		h.Checks["ai."+provider] = state
	}
}

func checkAPI(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/ready", nil)
	if err != nil {
		return fmt.Errorf("ask the API: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the API: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answers %d", answer.StatusCode)
	}
	return nil
}
