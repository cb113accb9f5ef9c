package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

var demo = types.NamespacedName{Namespace: "shop", Name: "demo"}

// script is an Asker that answers as the test says, by the name of the target.
type script struct {
	mu      sync.Mutex
	answers map[string]func(method string) (Answer, error)
	asked   []string
	busy    int
	busiest int
	takes   time.Duration
}

func (s *script) Ask(ctx context.Context, _, method string, to plan.Address) (Answer, error) {
	s.mu.Lock()
	name := to.Pod + to.Service + to.Host
	s.asked = append(s.asked, method+" "+name)
	s.busy++
	s.busiest = max(s.busiest, s.busy)
	answer := s.answers[name]
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.busy--; s.mu.Unlock() }()
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return Answer{}, inWords(ctx.Err())
	}
	if answer == nil {
		return Answer{}, errors.New("connection refused")
	}
	return answer(method)
}

func (s *script) set(name string, answer func(string) (Answer, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[name] = answer
}

func (s *script) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.asked
	s.asked = nil
	return heard
}

func says(status int, revision string) func(string) (Answer, error) {
	return func(string) (Answer, error) { return Answer{Status: status, Revision: revision}, nil }
}

// rig runs a Runner inside a bubble of fake time.
type rig struct {
	*Runner
	*script
	wakes int
}

func inBubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{script: &script{answers: map[string]func(string) (Answer, error){}, takes: time.Millisecond}}
		var err error
		r.Runner, err = New(Options{Ask: r.script, Wake: func(types.NamespacedName) { r.wakes++ }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Start(ctx) }()
		synctest.Wait()
		f(t, r)
		cancel()
		if err := <-done; err != nil { // synctest fails the test if a goroutine outlives this
			t.Error(err)
		}
	})
}

// pass lets a time go by and everything that it causes happen.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func ready(pods ...string) plan.Probe {
	p := plan.Probe{ID: "r1/Verifying/ready", Name: "ready", Protocol: plan.HTTP, Revision: "new", Statuses: []int32{200}, Successes: 3, Failures: 2, Interval: time.Second, Timeout: time.Second}
	for _, name := range pods {
		p.Targets = append(p.Targets, plan.Address{Pod: name, IP: "10.0.0.1", Port: adminPort, Path: "/readyz"})
	}
	p.Control = []plan.Address{{Pod: "old", IP: "10.0.0.9", Port: adminPort, Path: "/readyz"}}
	return p
}

func (r *rig) want(t *testing.T, id string, result v1alpha1.CheckResult, successes, failures int32, text string) {
	t.Helper()
	f := r.Findings(demo)[id]
	if f.Result != result || f.Successes != successes || f.Failures != failures || !strings.Contains(f.Message, text) {
		t.Errorf("finding = %+v, want %s with %d successes, %d failures and a message with %q", f, result, successes, failures, text)
	}
}

func TestPassesAfterSuccessesInARow(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("a", "b")
		r.set("a", says(200, "new"))
		r.set("b", says(200, "new"))
		r.Sync(demo, []plan.Probe{p})
		r.want(t, p.ID, v1alpha1.CheckRunning, 0, 0, "")
		r.pass(1500 * time.Millisecond)
		r.want(t, p.ID, v1alpha1.CheckRunning, 2, 0, "")
		if r.wakes != 0 {
			t.Errorf("woke %d times before the result changed", r.wakes)
		}
		r.pass(time.Second)
		r.want(t, p.ID, v1alpha1.CheckPassed, 3, 0, "3 times in a row")
		r.pass(time.Minute)
		if r.wakes != 1 {
			t.Errorf("woke %d times, want once for the one change", r.wakes)
		}
	})
}

func TestDelayAndInterval(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("a")
		p.Delay, p.Interval = 10*time.Second, 5*time.Second
		r.set("a", says(200, "new"))
		r.Sync(demo, []plan.Probe{p})
		r.pass(9 * time.Second)
		if heard := r.heard(); len(heard) != 0 {
			t.Errorf("asked %v within the initial delay", heard)
		}
		r.pass(12 * time.Second)
		if heard := r.heard(); len(heard) != 3 {
			t.Errorf("asked %d times in 11 seconds at an interval of 5, want 3", len(heard))
		}
	})
}

func TestFailuresCountInAllAndFailForGood(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("a")
		r.set("a", says(200, "new"))
		r.Sync(demo, []plan.Probe{p})
		r.pass(2500 * time.Millisecond)
		r.want(t, p.ID, v1alpha1.CheckPassed, 3, 0, "")
		for i := range 3 { // each failure has successes around it: only the sum exceeds the budget of 2
			r.set("a", says(500, "new"))
			r.pass(time.Second)
			r.set("a", says(200, "new"))
			if i < 2 {
				r.want(t, p.ID, v1alpha1.CheckRunning, 0, int32(i+1), "pod a answered 500")
				r.pass(3 * time.Second)
				r.want(t, p.ID, v1alpha1.CheckPassed, 3, int32(i+1), "")
			}
		}
		r.want(t, p.ID, v1alpha1.CheckFailed, 0, 3, "pod a answered 500 (failed 3 times, 2 allowed)")
		r.heard()
		r.pass(time.Minute)
		r.want(t, p.ID, v1alpha1.CheckFailed, 0, 3, "")
		if heard := r.heard(); len(heard) != 0 {
			t.Errorf("a failed check went on asking: %v", heard)
		}
	})
}

func TestOnePodOfManyFailsTheTry(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("a", "b")
		p.Failures = 0
		r.set("a", says(200, "new"))
		r.set("b", func(string) (Answer, error) {
			return Answer{Status: 503, Body: []byte(`{"status":"not_ready","revision":"new","reasons":["database"]}`)}, nil
		})
		r.Sync(demo, []plan.Probe{p})
		r.pass(time.Millisecond * 10)
		r.want(t, p.ID, v1alpha1.CheckFailed, 0, 1, "pod b answered 503: database")
	})
}

func TestAnotherRevision(t *testing.T) {
	cases := map[string]struct {
		patient bool
		answer  func(string) (Answer, error)
		result  v1alpha1.CheckResult
		text    string
	}{
		"the candidate must be the candidate": {false, says(200, "old"), v1alpha1.CheckFailed, "as revision old instead of revision new"},
		"nobody in particular":                {false, says(200, ""), v1alpha1.CheckFailed, "no X-Englog-Revision"},
		"old answers after a switch":          {true, says(200, "old"), v1alpha1.CheckRunning, "as revision old"},
		"old errors after a switch":           {true, says(500, "old"), v1alpha1.CheckRunning, "as revision old"},
		"an error page of a proxy":            {true, says(503, ""), v1alpha1.CheckFailed, "answered 503"},
		"a page of nobody":                    {true, says(200, ""), v1alpha1.CheckRunning, "no X-Englog-Revision"},
		"an error of the new one":             {true, says(500, "new"), v1alpha1.CheckFailed, "answered 500"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				t.Helper()
				p := ready()
				p.Patient, p.Targets = c.patient, []plan.Address{{Service: "demo-api", IP: "10.96.0.1", Port: 80, Path: "/health"}}
				r.set("demo-api", c.answer)
				r.Sync(demo, []plan.Probe{p})
				r.pass(10 * time.Second)
				r.want(t, p.ID, c.result, 0, r.Findings(demo)[p.ID].Failures, c.text)
			})
		})
	}
}

// A flapping route: as long as the old revision answers now and then, the row of successes never gets long enough.
func TestFlappingRouteDoesNotPass(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("a")
		p.Patient = true
		var n int
		r.set("a", func(string) (Answer, error) {
			n++
			if n%3 == 0 {
				return Answer{Status: 200, Revision: "old"}, nil
			}
			return Answer{Status: 200, Revision: "new"}, nil
		})
		r.Sync(demo, []plan.Probe{p})
		r.pass(time.Minute)
		if f := r.Findings(demo)[p.ID]; f.Result != v1alpha1.CheckRunning || f.Failures != 0 {
			t.Errorf("finding = %+v, want neither a pass nor a failure", f)
		}
	})
}

func TestUnreachable(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("gone")
		r.Sync(demo, []plan.Probe{p})
		r.pass(time.Minute)
		r.want(t, p.ID, v1alpha1.CheckInconclusive, 0, 0, "neither can pod old")
		if r.wakes != 1 {
			t.Errorf("woke %d times while blind, want once", r.wakes)
		}
		r.set("old", says(503, "old"))
		r.pass(time.Minute)
		r.want(t, p.ID, v1alpha1.CheckFailed, 0, 3, "pod gone: connection refused")
	})
}

func TestUnreachableWithoutControlIsAFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("gone")
		p.Control = nil
		r.Sync(demo, []plan.Probe{p})
		r.pass(time.Minute)
		r.want(t, p.ID, v1alpha1.CheckFailed, 0, 3, "connection refused")
	})
}

// A Service refuses connections until the proxy has learned of the pods that the API server lists behind it.
func TestAServiceMayTakeAMomentToLead(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready()
		p.Targets = []plan.Address{{Service: "green", IP: "10.0.0.2", Port: 80, Path: "/"}}
		p.Failures = 0
		late := p
		late.ID, late.Targets = "late", []plan.Address{{Service: "never", IP: "10.0.0.3", Port: 80, Path: "/"}}
		r.set("old", says(200, "old"))
		r.Sync(demo, []plan.Probe{p, late})
		r.pass(500 * time.Millisecond)
		r.want(t, p.ID, v1alpha1.CheckRunning, 0, 0, "Service green: connection refused")
		r.set("green", says(200, "new"))
		r.pass(time.Second)
		r.want(t, p.ID, v1alpha1.CheckRunning, 1, 0, "")
		r.want(t, late.ID, v1alpha1.CheckRunning, 0, 0, "Service never: connection refused")
		r.set("green", nil)
		r.pass(time.Second)
		r.want(t, p.ID, v1alpha1.CheckFailed, 0, 1, "Service green: connection refused") // it has answered before
		r.want(t, late.ID, v1alpha1.CheckFailed, 0, 1, "Service never: connection refused")
	})
}

func TestBlindTriesCostNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("a")
		r.set("a", says(200, "new"))
		r.Sync(demo, []plan.Probe{p})
		r.pass(2500 * time.Millisecond)
		r.set("a", nil)
		r.pass(5 * time.Second)
		r.want(t, p.ID, v1alpha1.CheckInconclusive, 3, 0, "")
		r.set("a", says(200, "new"))
		r.pass(time.Second)
		r.want(t, p.ID, v1alpha1.CheckPassed, 4, 0, "")
	})
}

func TestTimeoutIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("slow")
		p.Control, p.Timeout = nil, 2*time.Second
		r.set("slow", says(200, "new"))
		r.takes = time.Hour
		r.Sync(demo, []plan.Probe{p})
		r.pass(2100 * time.Millisecond)
		r.want(t, p.ID, v1alpha1.CheckRunning, 0, 1, "pod slow: no answer in time")
	})
}

func TestNoTargetsYet(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		nobody, unplaced := ready(), ready("a")
		nobody.ID, unplaced.Targets[0].IP = "nobody", ""
		r.Sync(demo, []plan.Probe{nobody, unplaced})
		r.pass(time.Minute)
		r.want(t, nobody.ID, v1alpha1.CheckRunning, 0, 0, "no pod to ask")
		r.want(t, unplaced.ID, v1alpha1.CheckRunning, 0, 0, "no address yet")
	})
}

func TestChangedTargetsStartAgainAndKeepFailures(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("a", "b")
		for _, pod := range []string{"a", "b", "c"} {
			r.set(pod, says(200, "new"))
		}
		r.set("b", says(500, "new"))
		r.Sync(demo, []plan.Probe{p})
		r.pass(500 * time.Millisecond)
		r.set("b", says(200, "new"))
		r.pass(3 * time.Second)
		r.want(t, p.ID, v1alpha1.CheckPassed, 3, 1, "")
		r.Sync(demo, []plan.Probe{ready("b", "a")}) // another order is no change
		r.want(t, p.ID, v1alpha1.CheckPassed, 3, 1, "")
		r.Sync(demo, []plan.Probe{ready("a", "b", "c")})
		r.want(t, p.ID, v1alpha1.CheckRunning, 0, 1, "asking them again")
		r.pass(4 * time.Second)
		r.want(t, p.ID, v1alpha1.CheckPassed, 4, 1, "")
	})
}

// A try that began before the targets changed must not count for the new ones.
func TestTryOfAnEarlierEditionIsNotCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("a")
		p.Successes = 1
		r.set("a", says(200, "new"))
		r.takes = 500 * time.Millisecond
		r.Sync(demo, []plan.Probe{p})
		r.pass(100 * time.Millisecond)
		next := ready("gone")
		next.Successes = 1
		r.Sync(demo, []plan.Probe{next})
		r.pass(450 * time.Millisecond)
		r.want(t, p.ID, v1alpha1.CheckRunning, 0, 0, "")
	})
}

func TestUnlistedChecksStop(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		p := ready("a")
		r.set("a", says(200, "new"))
		r.Sync(demo, []plan.Probe{p})
		r.pass(500 * time.Millisecond)
		r.Sync(demo, nil)
		r.heard()
		r.pass(time.Minute)
		if heard, found := r.heard(), r.Findings(demo); len(heard) != 0 || len(found) != 0 {
			t.Errorf("after the stop: asked %v, found %v", heard, found)
		}
		if len(r.checks) != 0 {
			t.Errorf("%d instances are still remembered", len(r.checks))
		}
	})
}

func TestRequestsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		r.takes = 500 * time.Millisecond
		for i := range 40 {
			pods := make([]string, 30)
			for j := range pods {
				pods[j] = fmt.Sprintf("p%d-%d", i, j)
			}
			r.Sync(types.NamespacedName{Namespace: "shop", Name: fmt.Sprint(i)}, []plan.Probe{ready(pods...)})
		}
		r.pass(10 * time.Second)
		if r.busiest > maxAsks || r.busiest < maxAsks/2 {
			t.Errorf("up to %d requests at a time, want many but at most %d", r.busiest, maxAsks)
		}
	})
}

func TestChecksAskedForBeforeTheStartBeginWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: map[string]func(string) (Answer, error){"a": says(200, "new")}}
		r, err := New(Options{Ask: s})
		if err != nil {
			t.Fatal(err)
		}
		p := ready("a")
		p.Successes = 1
		r.Sync(demo, []plan.Probe{p})
		r.Notify(demo, []plan.Notice{{Pod: "a", IP: "10.0.0.1", Retire: true}})
		time.Sleep(time.Minute)
		if heard := s.heard(); len(heard) != 0 {
			t.Errorf("asked %v before the start", heard)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if err := r.Start(ctx); err != nil {
			t.Error(err)
		}
		if heard := s.heard(); len(heard) != 2 {
			t.Errorf("asked %v, want one check and one notice", heard)
		}
	})
}

func TestTallyKeepsMessagesShort(t *testing.T) {
	f := tally(world.Finding{}, plan.Probe{Failures: 1}, outcome{failed, strings.Repeat("x", 1000)})
	if len(f.Message) > maxMessage {
		t.Errorf("the message has %d bytes", len(f.Message))
	}
}

func notice(retire bool, pods ...string) []plan.Notice {
	var list []plan.Notice
	for _, name := range pods {
		list = append(list, plan.Notice{Pod: name, IP: "10.0.0.1", Retire: retire})
	}
	return list
}

func TestNoticesGoOutOncePerState(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		r.set("a", says(204, ""))
		for range 5 {
			r.Notify(demo, notice(true, "a"))
			r.pass(time.Second)
		}
		r.Notify(demo, notice(false, "a"))
		r.pass(time.Second)
		r.Notify(demo, notice(false, "a"))
		r.pass(time.Second)
		if heard := strings.Join(r.heard(), ","); heard != "POST a,DELETE a" {
			t.Errorf("sent %s", heard)
		}
		again := notice(true, "a")
		again[0].IP = "10.0.0.2" // another pod of the same name
		r.Notify(demo, again)
		r.pass(time.Second)
		if heard := strings.Join(r.heard(), ","); heard != "POST a" {
			t.Errorf("sent %s to the new incarnation", heard)
		}
	})
}

func TestNoticesAreRetriedAndDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		for range 5 {
			r.Notify(demo, notice(true, "deaf"))
			r.pass(10 * time.Second)
		}
		if heard := r.heard(); len(heard) != len(noticePauses) {
			t.Errorf("sent %v, want %d tries in all", heard, len(noticePauses))
		}
	})
}

// The last word wins, whatever is still on its way.
func TestNoticesOfOnePodDoNotOvertakeEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		var told []string
		r.set("a", func(method string) (Answer, error) {
			told = append(told, method)
			return Answer{Status: 204}, nil
		})
		r.takes = 300 * time.Millisecond
		r.Notify(demo, notice(true, "a"))
		r.pass(100 * time.Millisecond)
		r.Notify(demo, notice(false, "a"))
		r.Notify(demo, notice(true, "a"))
		r.Notify(demo, notice(false, "a"))
		r.pass(time.Second)
		if strings.Join(told, ",") != http.MethodPost+","+http.MethodDelete {
			t.Errorf("told %v", told)
		}
	})
}

func TestTwentyPodsAreToldAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Helper()
		var pods []string
		for i := range 20 {
			pods = append(pods, fmt.Sprint("p", i))
			r.set(pods[i], says(204, ""))
		}
		r.takes = 150 * time.Millisecond
		begun := time.Now()
		r.Notify(demo, notice(true, pods...))
		if d := time.Since(begun); d != 0 {
			t.Errorf("Notify blocked for %s", d)
		}
		r.pass(160 * time.Millisecond)
		if heard := r.heard(); len(heard) != 20 || r.busy != 0 {
			t.Errorf("after 160 ms %d pods were told, %d are still being told", len(heard), r.busy)
		}
	})
}
