package main

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/store"
)

var variable = regexp.MustCompile(`(^|[^:]):([a-z_]+)`)

// A parameter that is left in a script is one that pgbench would send as text; a variable that is not set fails there.
func TestScriptsAreComplete(t *testing.T) {
	given := []string{"run", "s", "client_id"} // by -D and by pgbench itself
	for _, op := range operations(100_000) {
		for _, script := range []string{op.script, op.reference} {
			if placeholder.MatchString(script) {
				t.Errorf("%s: a parameter is left: %s", op.name, script)
			}
			for _, found := range variable.FindAllStringSubmatch(script, -1) {
				if name := found[2]; !slices.Contains(given, name) && !strings.Contains(script, `\set `+name+" ") {
					t.Errorf("%s: the variable %s is never set", op.name, name)
				}
			}
		}
	}
	if got, want := len(createArgs("u")), store.ReferenceArgs(); got != want {
		t.Errorf("the create statement has %d parameters, the script fills %d", want, got)
	}
}

// The reference queries read the same columns, else their ratio would compare two different things.
func TestReferenceQueriesReadWhatTheStoreReads(t *testing.T) {
	columns := func(sql string) string {
		list, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(sql), "SELECT "), " FROM ")
		return strings.Join(strings.Fields(list), " ")
	}
	for name, reference := range map[string]string{"get": referenceGet, "list": referenceList} {
		if got, want := columns(reference), columns(store.ReferenceQueries()[name]); got != want {
			t.Errorf("%s: the reference reads %s, the store %s", name, got, want)
		}
	}
}

func TestAnswersAreReadToTheirEnd(t *testing.T) {
	for name, c := range map[string]struct {
		raw                     string
		complete, closes, fails bool
	}{
		"length":   {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true, false, false},
		"half":     {"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabc", false, false, false},
		"header":   {"HTTP/1.1 200 OK\r\nContent-Le", false, false, false},
		"too long": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", false, false, true},
		"chunks":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true, false, false},
		"chunk":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false, false, false},
		"last":     {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", true, true, false},
		"refused":  {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", false, false, true},
	} {
		complete, closes, err := parseAnswer([]byte(c.raw), []byte("200"))
		if complete != c.complete || (closes != c.closes && err == nil && complete) || (err != nil) != c.fails {
			t.Errorf("%s: complete %v, closes %v, error %v", name, complete, closes, err)
		}
	}
}

// Half of the requests are due while the server does not answer: their times must show it.
func TestARateCountsFromWhenRequestsAreDue(t *testing.T) {
	stalled := time.Now().Add(200 * time.Millisecond)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Until(stalled)) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	number, _ := strconv.Atoi(port)
	l, err := send(number, traffic{status: 200, connections: 2, rate: 100, last: 400 * time.Millisecond,
		request: func(b []byte, _ *rand.Rand) []byte { return endGet(append(b, "GET /"...), "x") }})
	if err != nil || len(l.took) != 40 {
		t.Fatalf("%d requests, want 40: %v", len(l.took), err)
	}
	if l.percentile(25) > 50*time.Millisecond || l.percentile(75) < 50*time.Millisecond {
		t.Errorf("a quarter took less than %s, a quarter more than %s", l.percentile(25), l.percentile(75))
	}
}

func TestBarsAreJudged(t *testing.T) {
	r := result{"get_ratio": 0.30, "list_ratio": 0.2399, "login_2_p50_ms": 60.0, "login_8_p50_ms": 180.001, "queue_flushed_lost": 1.0, "idle_rss_mb": 39.0}
	if n := r.judge(); n != 3 {
		t.Errorf("%d are missed, want 3", n)
	}
	if got := r["missed"]; !slices.Equal(got.([]string), []string{"list_ratio", "login_8_p50_ms", "queue_flushed_lost"}) {
		t.Errorf("missed: %v", got)
	}
	if got := r["short_of_aim"]; !slices.Equal(got.([]string), []string{"get_ratio"}) {
		t.Errorf("short of the aim: %v", got)
	}
}

func TestFiguresOfTheQueueAreTakenOver(t *testing.T) {
	r := result{}
	err := r.takeQueue([]byte("noise\n" + `{"englog":{"per_second":2500,"pickup_p50_ms":1.5},"safety":{"flushed_lost":0,"backlog_depth_max":600,"window":512}}` + "\n"))
	if err != nil || r["queue_per_second"] != 2500.0 || r["queue_backlog_over_window"] != 88.0 || r["queue_flushed_lost"] != 0.0 {
		t.Errorf("got %v, %v", r, err)
	}
	if err := (result{}).takeQueue([]byte(`{"asynq":{"per_second":1}}`)); err == nil {
		t.Error("figures without our own were taken")
	}
}
