package run

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// healthBody is all that /health tells the world.
type healthBody struct {
	Status    string                    `json:"status"`
	Timestamp time.Time                 `json:"timestamp"`
	Checks    map[string]map[string]any `json:"checks"`
}

func answering(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// healthOf starts an App with checks of the database, of Redis and of AI providers, and asks /health.
func healthOf(t *testing.T, database, redis, ai error) (*running, int, healthBody) {
	t.Helper()
	ready := make(chan struct{})
	r := start(t, func(a *App) {
		a.Checks = []Check{
			{Name: "database", Probe: func(context.Context) error {
				select {
				case <-ready:
					return database
				default:
					return nil
				}
			}},
			{Name: "redis", Reported: true, Probe: answering(redis)}, {Name: "ai_services", Reported: true, Probe: answering(ai)},
		}
	})
	close(ready)
	response, text := r.get(t, r.public+"/health")
	var body healthBody
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if strings.Contains(text, "10.0.0.7") {
		t.Errorf("/health tells an address: %s", text)
	}
	return r, response.StatusCode, body
}

func TestHealth(t *testing.T) {
	down := errors.New("dial tcp 10.0.0.7:5432: refused")
	for _, c := range []struct {
		name                string
		database, redis, ai error
		code                int
		status              string
	}{
		{"K1 K4 healthy", nil, nil, nil, 200, "healthy"},
		{"K6 K8 X21 without a database", down, nil, nil, 503, "unhealthy"},
		{"K6 K9 X20 without Redis", nil, down, nil, 200, "degraded"},
		{"K6 K10 X20 X24 without AI", nil, nil, down, 200, "degraded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, code, body := healthOf(t, c.database, c.redis, c.ai)
			if code != c.code || body.Status != c.status {
				t.Errorf("%d %s, not %d %s", code, body.Status, c.code, c.status)
			}
		})
	}
	t.Run("K2 K3 X26 what a body tells", func(t *testing.T) {
		_, _, body := healthOf(t, nil, errors.New("dial tcp 10.0.0.7:6379: refused"), nil)
		if time.Since(body.Timestamp).Abs() > time.Minute || len(body.Checks) != 3 {
			t.Errorf("the body is %v", body)
		}
		for name, check := range body.Checks {
			if keys := slices.Sorted(maps.Keys(check)); !slices.Equal(keys, []string{"duration_ms", "status"}) {
				t.Errorf("check %s tells %v", name, keys)
			}
		}
	})
	t.Run("K11 X16 the version is for operators", func(t *testing.T) {
		r := start(t, func(a *App) { a.Config.Identity.Version = "1.8.0" })
		if v := r.status(t).Version; v != "1.8.0" {
			t.Errorf("/status says version %s", v)
		}
	})
}

func TestReadiness(t *testing.T) {
	t.Run("K5 K7 X22 follows what a request needs", func(t *testing.T) {
		r, _, _ := healthOf(t, errors.New("down"), nil, nil)
		r.await(t, http.StatusServiceUnavailable)
		if response, _ := r.get(t, r.public+"/ready"); response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("/ready gives %d without a database", response.StatusCode)
		}
	})
	t.Run("K12 X21 each path on its port", func(t *testing.T) {
		r, _, _ := healthOf(t, nil, nil, nil)
		for _, url := range []string{r.public + "/health", r.public + "/ready", r.admin + "/livez", r.admin + "/readyz"} {
			if response, _ := r.get(t, url); response.StatusCode != http.StatusOK {
				t.Errorf("%s gives %d", url, response.StatusCode)
			}
		}
	})
	t.Run("K8 K9 X23 checks run side by side", func(t *testing.T) {
		slow := func(ctx context.Context) error {
			select {
			case <-time.After(400 * time.Millisecond):
			case <-ctx.Done():
			}
			return nil
		}
		r := start(t, func(a *App) {
			for _, name := range []string{"database", "redis", "ai_services"} {
				a.Checks = append(a.Checks, Check{Name: name, Probe: slow, Reported: true})
			}
		})
		begun := time.Now()
		r.get(t, r.public+"/health")
		if took := time.Since(begun); took > 900*time.Millisecond {
			t.Errorf("three checks of 400 ms took %s", took)
		}
	})
}
