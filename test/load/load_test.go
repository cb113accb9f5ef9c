package load

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func sources() []netip.Addr {
	var out []netip.Addr
	for _, s := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// rig is a run against a fake service with its users prepared.
type rig struct {
	*fakeService
	cfg      Config
	accounts *Accounts
	entries  []Entry
}

func newRig(t *testing.T, rate int) *rig {
	t.Helper()
	r := &rig{fakeService: newFakeService(t)}
	r.cfg = Config{Address: r.address(), Rate: rate, Sources: sources()}
	var err error
	if r.accounts, r.entries, err = Prepare(t.Context(), r.cfg, nil); err != nil {
		t.Fatal(err)
	}
	r.counted.Store(0)
	return r
}

// run sends load for d; during is called once half of it is over.
func (r *rig) run(t *testing.T, d time.Duration, during func()) (*Run, *Report) {
	t.Helper()
	run, err := Start(t.Context(), r.cfg, r.accounts)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(d / 2) // the load is a function of time
	if during != nil {
		during()
	}
	time.Sleep(d / 2)
	run.Stop()
	rep := run.Report()
	return run, rep
}

func TestMixIsSixtyTwentyTwentyAndHalfFresh(t *testing.T) {
	type key struct {
		op    Op
		class Class
	}
	got := map[key]int{}
	for _, s := range mix(7) {
		got[key(s)]++
	}
	want := map[key]int{
		{Get, Fresh}: 6, {Get, KeepAlive}: 6, {List, Fresh}: 2, {List, KeepAlive}: 2, {Create, Fresh}: 2, {Create, KeepAlive}: 2,
	}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%v over %v: %d of 20, want %d", k.op, k.class, got[k], n)
		}
	}
}

func TestMixHasOneOrderForEachSeed(t *testing.T) {
	a, b, other := mix(7), mix(7), mix(8)
	same := true
	for i := range a {
		if a[i] != b[i] {
			t.Fatal("one seed gave two orders")
		}
		same = same && a[i] == other[i]
	}
	if same {
		t.Error("two seeds gave one order")
	}
}

func TestDueTimesDoNotDrift(t *testing.T) {
	start := time.Now()
	for _, rate := range []int{1, 7, 200, 333, 1000} {
		if got := dueAt(start, rate*3600, rate).Sub(start); got != time.Hour {
			t.Errorf("request %d at %d/s is due after %s, want one hour", rate*3600, rate, got)
		}
	}
}

func TestQuantilesAreWithinTwoPercent(t *testing.T) {
	var h histogram
	for i := 1; i <= 10000; i++ {
		h.add(time.Duration(i) * 37 * time.Microsecond)
	}
	for q, want := range map[float64]float64{.5: 185000, .99: 366300, .999: 369630, 1: 370000} {
		got := float64(h.quantile(q) / time.Microsecond)
		if got < want*.98 || got > want*1.02 {
			t.Errorf("quantile %v = %v µs, want %v ± 2 %%", q, got, want)
		}
	}
}

func TestBadConfigurationNamesFieldAndRemedy(t *testing.T) {
	good := Config{Address: "x:1"}.withDefaults()
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no address":  {func(c *Config) { c.Address = "" }, "address: missing; give host:port"},
		"no rate":     {func(c *Config) { c.Rate = -1 }, "rate: -1 is outside 1 to 20000"},
		"few users":   {func(c *Config) { c.Users = 49 }, "users: 49 are too few"},
		"few sources": {func(c *Config) { c.Sources = sources()[:3] }, "sources: 3 address(es) given"},
	} {
		cfg := good
		c.change(&cfg)
		if err := cfg.validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestRateIsHeldFromFourAddressesAndNothingIsSentTwice(t *testing.T) {
	r := newRig(t, 400)
	run, rep := r.run(t, 2*time.Second, nil)
	if err := rep.Void(); err != nil {
		t.Fatal(err)
	}
	if rep.Failed != 0 {
		t.Fatalf("failed: %v %+v", rep.FailedByKind, rep.Failures)
	}
	if rep.Due < 780 || rep.Due > 1000 {
		t.Errorf("%d requests due in 2 s at 400/s", rep.Due)
	}
	if got := r.counted.Load(); got != int64(rep.Sent) {
		t.Errorf("the service got %d requests, the generator says %d", got, rep.Sent)
	}
	if len(r.peers) != 4 {
		t.Errorf("requests came from %d addresses, want 4: %v", len(r.peers), r.peers)
	}
	if created := len(run.Created()); created < rep.Sent/5-5 || created > rep.Sent/5+5 || created != rep.Created {
		t.Errorf("%d entries created (report: %d) of %d requests, want a fifth", created, rep.Created, rep.Sent)
	}
	spans := rep.By["blue"]
	if d := spans["fresh"].Answers - spans["keep_alive"].Answers; d < -10 || d > 10 {
		t.Errorf("fresh %d, keep-alive %d answers: want half and half", spans["fresh"].Answers, spans["keep_alive"].Answers)
	}
	if fresh := uint64(spans["fresh"].Answers); rep.Dialed != fresh+50 {
		t.Errorf("%d connections were opened, want one for each of %d fresh requests and 50 kept", rep.Dialed, fresh)
	}
}

// dropKeptConnections closes, without an answer, every n-th request that comes on a used connection.
func dropKeptConnections(n int64, dropped *atomic.Int64) func(http.ResponseWriter, *http.Request) bool {
	var seen sync.Map
	var used atomic.Int64
	return func(w http.ResponseWriter, req *http.Request) bool {
		if _, again := seen.LoadOrStore(req.RemoteAddr, true); !again || used.Add(1)%n != 0 {
			return false
		}
		dropped.Add(1)
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = c.Close()
		}
		return true
	}
}

// A transport that repeats requests would show no failure here, and the service would see more requests than were due.
func TestEveryDroppedKeepAliveConnectionIsOneFailure(t *testing.T) {
	r := newRig(t, 400)
	var dropped atomic.Int64
	r.set(dropKeptConnections(5, &dropped))
	_, rep := r.run(t, 2*time.Second, nil)
	if dropped.Load() == 0 {
		t.Fatal("the service dropped nothing: the test proves nothing")
	}
	if int64(rep.Failed) != dropped.Load() {
		t.Errorf("%d connections were dropped, %d failures counted: %v", dropped.Load(), rep.Failed, rep.FailedByKind)
	}
	if got := r.counted.Load(); got != int64(rep.Sent) {
		t.Errorf("the service got %d requests, %d were sent: something was repeated", got, rep.Sent)
	}
	if last := slices.MaxFunc(rep.Failures, func(a, b Failure) int { return a.Time.Compare(b.Time) }); !rep.LastFailed.KeepAlive.Equal(last.Time) ||
		!rep.LastFailed.Fresh.IsZero() || !rep.LastFailed.Any().Equal(last.Time) {
		t.Errorf("the last failure was at %s, said to be %+v", last.Time, rep.LastFailed)
	}
	for _, f := range rep.Failures {
		if f.Class != "keep_alive" || (f.Kind != "eof" && f.Kind != "reset") || f.Revision != "blue" {
			t.Errorf("unexpected failure %+v", f)
		}
	}
}

func TestConnectionCloseIsHonoured(t *testing.T) {
	r := newRig(t, 400)
	var used sync.Map
	var reused atomic.Int64
	r.set(func(w http.ResponseWriter, req *http.Request) bool {
		if _, again := used.LoadOrStore(req.RemoteAddr, true); again {
			reused.Add(1)
		}
		w.Header().Set("Connection", "close")
		return false
	})
	_, rep := r.run(t, time.Second, nil)
	if rep.Failed != 0 || reused.Load() != 0 {
		t.Errorf("%d failures %v, %d connections used after Connection: close", rep.Failed, rep.FailedByKind, reused.Load())
	}
}

func TestFailuresAreKeptWithKindAndRevision(t *testing.T) {
	for name, c := range map[string]struct {
		misbehave func(http.ResponseWriter, *http.Request) bool
		kind      string
	}{
		"status": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}, "status_500"},
		"late": {func(_ http.ResponseWriter, req *http.Request) bool {
			select {
			case <-time.After(3 * time.Second):
			case <-req.Context().Done():
			}
			return false
		}, "timeout"},
		"someone else's entry": {func(w http.ResponseWriter, req *http.Request) bool {
			if req.Method == http.MethodGet {
				_, _ = w.Write([]byte(`{"id":"another","version":1}`))
			}
			return req.Method == http.MethodGet && strings.Contains(req.URL.Path, "entry-")
		}, "wrong_body"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 100)
			r.cfg.Timeout = 200 * time.Millisecond
			r.set(c.misbehave)
			_, rep := r.run(t, 500*time.Millisecond, nil)
			if rep.Failed == 0 || len(rep.Failures) != rep.Failed {
				t.Fatalf("failed %d, kept %d", rep.Failed, len(rep.Failures))
			}
			for _, f := range rep.Failures {
				if f.Kind != c.kind || f.Time.IsZero() || (c.kind != "timeout" && f.Revision != "blue") {
					t.Errorf("unexpected failure %+v", f)
				}
			}
		})
	}
}

func TestAServiceThatIsGoneIsADialFailure(t *testing.T) {
	r := newRig(t, 100)
	_, rep := r.run(t, time.Second, r.Close)
	if rep.FailedByKind["fresh dial_refused"] == 0 || rep.FailedByKind["keep_alive dial_refused"] == 0 {
		t.Errorf("failures: %v", rep.FailedByKind)
	}
}

func TestLastOldAnswerIsKnownForEachClass(t *testing.T) {
	r := newRig(t, 200)
	var switched time.Time
	_, rep := r.run(t, time.Second, func() { r.revision.Store("green"); switched = time.Now() })
	for _, class := range []Class{Fresh, KeepAlive} {
		if last := rep.LastAnswer("blue", class); last.After(switched.Add(100*time.Millisecond)) || last.IsZero() {
			t.Errorf("last blue answer on %s connections %s after the switch", class, last.Sub(switched))
		}
	}
	if first := rep.FirstAnswer("green"); first.Before(switched.Add(-10 * time.Millisecond)) {
		t.Errorf("first green answer %s before the switch", switched.Sub(first))
	}
	if !rep.FirstAnswer("red").IsZero() {
		t.Error("a revision that never answered has a first answer")
	}
}

func TestARunThatLagsIsVoid(t *testing.T) {
	for name, c := range map[string]struct {
		rep  Report
		void bool
	}{
		"all sent":          {Report{Due: 1000, Sent: 1000}, false},
		"99 % sent":         {Report{Due: 1000, Sent: 990}, false},
		"less than 99 %":    {Report{Due: 1000, Sent: 989}, true},
		"nothing due":       {Report{}, true},
		"no port":           {Report{Due: 9, Sent: 9, FailedByKind: map[string]int{"fresh no_port": 1}}, true},
		"failures are fine": {Report{Due: 9, Sent: 9, Failed: 9, FailedByKind: map[string]int{"fresh eof": 9}}, false},
	} {
		if err := c.rep.Void(); (err != nil) != c.void {
			t.Errorf("%s: void = %v", name, err)
		}
	}
}

func TestLostEntriesAndTasksAreFound(t *testing.T) {
	r := newRig(t, 200)
	run, _ := r.run(t, 500*time.Millisecond, nil)
	all := slices.Concat(r.entries, run.Created())
	check := func() *Check {
		c, err := CheckEntries(t.Context(), r.cfg, CheckConfig{Kinds: []string{"mood"}}, all, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := check(); c.Entries != len(all) || c.LostEntries+c.LostTasks != 0 || c.Tasks != len(all) {
		t.Fatalf("a sound service: %+v", c)
	}
	r.lose(all[3].ID)
	if c := check(); c.LostEntries != 1 || len(c.Samples) == 0 {
		t.Errorf("one entry lost: %+v", c)
	}
	for name, tasks := range map[string]string{
		"no task":       `{"items":[]}`,
		"not done":      `{"items":[{"kind":"mood","state":"pending","entry_version":1}]}`,
		"wrong version": `{"items":[{"kind":"mood","state":"done","entry_version":2}]}`,
		"two tasks":     `{"items":[{"kind":"mood","state":"done","entry_version":1},{"kind":"mood","state":"done","entry_version":1}]}`,
	} {
		r.setTasks(tasks)
		if c := check(); c.LostTasks != len(all) {
			t.Errorf("%s: %d lost tasks, want %d", name, c.LostTasks, len(all))
		}
	}
}

func TestDuplicateRunsAreCounted(t *testing.T) {
	c := &checker{entries: []Entry{{ID: "a", Version: 1}, {ID: "b", Version: 1}}}
	var out Check
	missing := c.judgeTasks([]task{
		{"a", 1, "mood", "done", 1}, {"a", 1, "topics", "done", 3}, {"b", 1, "mood", "done", 2}, {"b", 1, "topics", "done", 0},
	}, &out)
	if missing != 0 || out.DuplicateRuns != 3 || out.Tasks != 4 {
		t.Errorf("missing %d, %+v", missing, out)
	}
}

func TestCommandReportsAndChecksInOneLineEach(t *testing.T) {
	f := newFakeService(t)
	var out bytes.Buffer
	code := Main(t.Context(), []string{
		"--address", f.address(), "--rate", "100", "--sources", "127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4", "--duration", "600ms",
	}, strings.NewReader(""), &out)
	seen := map[string]Message{}
	for dec := json.NewDecoder(&out); dec.More(); {
		var m Message
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		seen[m.Event] = m
	}
	if code != 0 || seen["report"].Report == nil || seen["check"].Check == nil || seen["tick"].Tick == nil {
		t.Fatalf("code %d, lines %+v", code, seen)
	}
	if seen["check"].Check.Entries != 50+seen["report"].Report.Created {
		t.Errorf("checked %d entries, created 50 and %d", seen["check"].Check.Entries, seen["report"].Report.Created)
	}
}

func TestCommandStopsWhenTold(t *testing.T) {
	f := newFakeService(t)
	var out bytes.Buffer
	code := Main(t.Context(), []string{"--address", f.address(), "--no-check"}, strings.NewReader("stop\n"), &out)
	if code != 0 && code != 2 { // 2: told to stop before the first request was due
		t.Errorf("code %d: %s", code, out.String())
	}
}

func TestJourneyEndsWithTheFirstInsight(t *testing.T) {
	f := newFakeService(t)
	j, err := Travel(t.Context(), Config{Address: f.address()})
	if err != nil || j.Insight != "sentiment" || j.EntryID == "" || j.Revision != "blue" {
		t.Errorf("journey %+v, error %v", j, err)
	}
}
