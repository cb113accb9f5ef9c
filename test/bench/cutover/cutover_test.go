package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/test/load"
)

func TestSeenTellsOldFromNew(t *testing.T) {
	applied := time.Now()
	switched := applied.Add(3 * time.Second)
	moves := route{moved: []time.Time{switched}, converged: switched.Add(20 * time.Millisecond)}
	span := func(first, last time.Duration) load.Span {
		return load.Span{Answers: 1, First: applied.Add(first), Last: applied.Add(last)}
	}
	rep := &load.Report{By: map[string]map[string]load.Span{
		"a": {"fresh": span(-time.Second, 3500*time.Millisecond), "keep_alive": span(-time.Second, 37*time.Second)},
		"b": {"fresh": span(3250*time.Millisecond, 40*time.Second)},
	}}
	var s sample
	s.seen(rep, map[string]int{"a": 9}, applied, moves)
	if s.FirstNew != 3.25 || s.Endpoints != 20 || s.LastOld != 500 || s.LastOldKeepAlive != 34000 || s.Mixed != .25 {
		t.Errorf("seen %+v", s)
	}
	s = sample{}
	delete(rep.By, "b")
	if s.seen(rep, map[string]int{"a": 9}, applied, route{}); s.FirstNew != 0 || s.LastOldKeepAlive != 0 {
		t.Errorf("a release that never served was seen: %+v", s)
	}
}

func TestWritesAreThoseOfTheActorThatSucceeded(t *testing.T) {
	const at = `"requestReceivedTimestamp":"2026-01-01T00:00:05.000000Z"}`
	lines := `{"verb":"patch","user":{"username":"admin"},"impersonatedUser":{"username":"peer"},"objectRef":{"resource":"services"},"responseStatus":{"code":200},` + at + `
{"verb":"create","user":{"username":"peer"},"objectRef":{"resource":"replicasets"},"responseStatus":{"code":201},` + at + `
{"verb":"update","user":{"username":"peer"},"objectRef":{"resource":"replicasets"},"responseStatus":{"code":409},` + at + `
{"verb":"create","user":{"username":"peer"},"objectRef":{"resource":"events"},"responseStatus":{"code":201},` + at + `
{"verb":"get","user":{"username":"peer"},"objectRef":{"resource":"pods"},"responseStatus":{"code":200},` + at + `
{"verb":"patch","user":{"username":"admin"},"objectRef":{"resource":"services"},"responseStatus":{"code":200},` + at + `
{"verb":"patch","user":{"username":"peer"},"objectRef":{"resource":"services"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-01T00:01:05.000000Z"}
not json
`
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	n, err := countWrites(path, start, start.Add(10*time.Second), func(u string) bool { return u == "peer" })
	if err != nil || n != 2 {
		t.Errorf("%d writes, %v; want 2", n, err)
	}
}

func TestResultSeparatesGoodFromBad(t *testing.T) {
	r := resultOf([]sample{
		{System: "englog", Requests: 10, FirstNew: 3, Writes: 30}, {System: "englog", Requests: 20, Failed: 1, FirstNew: 5, Writes: 33},
		{System: "englog", Requests: 99, Failed: 7, Fault: foundLate}, {System: "script", Failed: 100},
	}, "englog")
	if r.Requests != 30 || r.Failed != 1 || r.FirstNew != 4 || r.Writes != 32 || r.BadErrors != 7 || r.BadByKind[foundLate] != 7 || r.Cutovers != 2 {
		t.Errorf("result %+v", r)
	}
}
