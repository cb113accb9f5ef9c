package scenario_test

import (
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/testrig"
	. "github.com/garnizeh/englog-operator/workload/testrig/scenario"
)

// Without Redis everything a user does still works; what was to be analysed is
// analysed once Redis is back, though it comes back empty.
func TestWithoutRedisTheJournalGoesOn(t *testing.T) {
	redis := testrig.NewRedis(t)
	s := Start(t, Options{Redis: redis})
	u := s.Register(t)
	if err := redis.Stop(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	other := s.Register(t)
	id := s.Write(t, other.Access, map[string]any{"body": "Written while Redis was away, which was fine."})
	s.Want(t, 200, Request{Method: "GET", Path: "/entries", Token: u.Access})
	s.Want(t, 200, Request{Method: "POST", Path: "/auth/refresh", Body: map[string]any{"refresh_token": u.Refresh}})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	Await(t, "the analysis", func() bool {
		return len(s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/insights", Token: other.Access}).Items()) == 6
	})
}
