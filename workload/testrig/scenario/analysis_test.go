package scenario_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
	"github.com/garnizeh/englog-operator/workload/ai/fake"
	"github.com/garnizeh/englog-operator/workload/api"
	. "github.com/garnizeh/englog-operator/workload/testrig/scenario"
)

// lateAnalyst is a router that is only known once its service has a store.
type lateAnalyst struct {
	ready  sync.Once
	known  chan struct{}
	router *ai.Router
}

func newLateAnalyst() *lateAnalyst { return &lateAnalyst{known: make(chan struct{})} }

func (a *lateAnalyst) set(r *ai.Router) { a.ready.Do(func() { a.router = r; close(a.known) }) }

func (a *lateAnalyst) Complete(ctx context.Context, r ai.Request) (ai.Completion, error) {
	<-a.known
	return a.router.Complete(ctx, r)
}

// model is a provider that a test plays with, behind the real router.
func model(t *testing.T, change func(*ai.RouterOptions, *Service)) (*fake.Server, *Service) {
	t.Helper()
	provider := &fake.Server{}
	server := httptest.NewServer(provider)
	t.Cleanup(server.Close)
	late := newLateAnalyst()
	s := Start(t, Options{AI: late, Concurrency: 1, API: func(o *api.Options) { o.Features.AdvancedAI = true }})
	options := ai.RouterOptions{Recovery: 200 * time.Millisecond, DailyRequests: 1000, Budget: s.Store.Tasks(), Models: []ai.Model{
		ai.NewOpenAI(server.URL+"/v1", "m", func() (string, error) { return "k", nil }, ai.Connection{Attempt: 2 * time.Second, Call: 5 * time.Second})}}
	if change != nil {
		change(&options, s)
	}
	router, err := ai.NewRouter(options)
	if err != nil {
		t.Fatal(err)
	}
	late.set(router)
	return provider, s
}

func tasksOf(t *testing.T, s *Service, token, id string) []map[string]any {
	t.Helper()
	return s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/tasks", Token: token}).Items()
}

func statesOf(t *testing.T, s *Service, token, id string) map[any]int {
	t.Helper()
	states := map[any]int{}
	for _, task := range tasksOf(t, s, token, id) {
		states[task["state"]]++
	}
	return states
}

func analysed(t *testing.T, s *Service, token, id string) {
	t.Helper()
	Await(t, "the analysis", func() bool { return statesOf(t, s, token, id)["done"] == 6 })
}

// The provider is away: what is written is there, nothing is lost, no attempt is used up, and the analysis comes by itself.
func TestAProviderThatIsAwayCostsNothing(t *testing.T) {
	provider, s := model(t, nil)
	u := s.Register(t)
	provider.RetryAfter(1)
	provider.Set(fake.RateLimited)
	id := s.Write(t, u.Access, map[string]any{"body": "Nobody to read this yet."})
	Await(t, "a refusal", func() bool {
		parked := 0
		for _, task := range tasksOf(t, s, u.Access, id) {
			if task["error_code"] == "rate_limited" {
				parked++
				if task["attempt"] != 0.0 {
					t.Errorf("the outage cost an attempt: %v", task)
				}
			}
		}
		return parked == 6
	})
	s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id, Token: u.Access})
	if n := len(s.Want(t, 200, Request{Method: "GET", Path: "/tasks/failed", Token: u.Access}).Items()); n != 0 {
		t.Errorf("%d tasks were given up", n)
	}
	provider.Set(fake.OK)
	s.Want(t, 202, Request{Method: "POST", Path: "/entries/" + id + "/tasks", Token: u.Access, Body: map[string]any{}})
	analysed(t, s, u.Access, id)
}

// What was given up is listed with its cause, and a person may have it run again.
func TestAFailedTaskIsListedAndRunAgain(t *testing.T) {
	provider, s := model(t, nil)
	u := s.Register(t)
	provider.Set(fake.Truncated)
	id := s.Write(t, u.Access, map[string]any{"body": "The model will answer nonsense."})
	Await(t, "giving up", func() bool { return statesOf(t, s, u.Access, id)["dead"] == 6 })
	failed := s.Want(t, 200, Request{Method: "GET", Path: "/tasks/failed", Token: u.Access}).Items()
	if len(failed) != 6 || failed[0]["error_code"] != "bad_output" || failed[0]["error"] == "" || failed[0]["entry_id"] != id {
		t.Errorf("failed %v", failed)
	}
	if n := len(s.Want(t, 200, Request{Method: "GET", Path: "/tasks/failed", Token: s.Register(t).Access}).Items()); n != 0 {
		t.Errorf("a stranger sees %d failed tasks", n)
	}
	provider.Set(fake.OK)
	for _, task := range failed {
		s.Want(t, 202, Request{Method: "POST", Path: "/tasks/" + task["id"].(string) + "/retry", Token: u.Access})
	}
	analysed(t, s, u.Access, id)
	if n := len(s.Want(t, 200, Request{Method: "GET", Path: "/tasks/failed", Token: u.Access}).Items()); n != 0 {
		t.Errorf("%d tasks are still listed", n)
	}
}

// Off means off: not a word leaves the house.
func TestNothingLeavesWhenAIIsOff(t *testing.T) {
	provider, s := model(t, nil)
	u := s.Register(t)
	off := map[string]any{"timezone": "UTC", "language": "en", "theme": "system", "ai_enabled": false, "disabled_tasks": []string{}}
	s.ChangeProfile(t, 200, u.Access, map[string]any{"preferences": off})
	id := s.Write(t, u.Access, map[string]any{"body": "private", "occurred_at": "2026-03-04T09:00:00Z"})
	if refs, err := s.Store.Tasks().EnsureWeekly(t.Context(), time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)); err != nil || refs != 0 {
		t.Errorf("%d weekly tasks, %v", refs, err)
	}
	s.Want(t, 202, Request{Method: "POST", Path: "/entries/" + id + "/tasks", Token: u.Access, Body: map[string]any{}})
	other := s.Register(t) // somebody whose analysis shows that the worker is past it
	analysed(t, s, other.Access, s.Write(t, other.Access, map[string]any{"body": "public"}))
	for _, document := range provider.Counts().Documents {
		if strings.Contains(document, "private") {
			t.Errorf("the provider was sent %s", document)
		}
	}
}

// A version that its author replaces at once is never sent: only the last one is.
func TestEditsInARowAreAnalysedOnce(t *testing.T) {
	provider := &fake.Server{}
	server := httptest.NewServer(provider)
	t.Cleanup(server.Close)
	s := Start(t, Options{API: func(o *api.Options) { o.EditDebounce = time.Second },
		AI: ai.NewOpenAI(server.URL+"/v1", "m", func() (string, error) { return "k", nil }, ai.Connection{Attempt: 2 * time.Second})})
	u := s.Register(t)
	id := s.Write(t, u.Access, map[string]any{"body": "text 1"})
	analysed(t, s, u.Access, id)
	for version := range 4 {
		s.Want(t, 200, Request{Method: "PUT", Path: "/entries/" + id, Token: u.Access, Header: map[string]string{"If-Match": fmt.Sprintf(`"v%d"`, version+1)},
			Body: map[string]any{"body": fmt.Sprint("text ", version+2)}})
		time.Sleep(300 * time.Millisecond) // the author goes on writing
	}
	Await(t, "the analysis of the last version", func() bool {
		for _, i := range s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/insights", Token: u.Access}).Items() {
			if i["entry_version"] == 5.0 {
				return true
			}
		}
		return false
	})
	for _, document := range provider.Counts().Documents {
		for _, replaced := range []string{"text 2", "text 3", "text 4"} {
			if strings.Contains(document, replaced) {
				t.Errorf("a replaced version was sent: %s", document)
			}
		}
	}
}

// The summary that a model wrote is found by search, and is in summaries of untitled entries.
func TestAModelsSummaryIsSearchedAndShown(t *testing.T) {
	_, s := model(t, nil)
	u := s.Register(t)
	id := s.Write(t, u.Access, map[string]any{"body": "Nothing like the word that is looked for.", "occurred_at": "2026-03-04T09:00:00Z"})
	analysed(t, s, u.Access, id)
	found := s.Want(t, 200, Request{Method: "GET", Path: "/entries?q=fake", Token: u.Access}).Items()
	if len(found) != 1 || found[0]["summary"] != "fake" {
		t.Errorf("found %v", found)
	}
	if text := s.Want(t, 200, Request{Method: "GET", Path: "/summaries/week?date=2026-03-04", Token: u.Access}).Text("markdown"); !strings.Contains(text, "- fake\n") {
		t.Errorf("got\n%s", text)
	}
}

// Nasty output of a model is data: it changes nothing but the insight itself.
func TestHostileOutputStaysAnInsight(t *testing.T) {
	provider, s := model(t, nil)
	u := s.Register(t)
	provider.Set(fake.Hostile)
	id := s.Write(t, u.Access, map[string]any{"body": "harmless", "tags": []string{"mine"}})
	Await(t, "an end", func() bool {
		states := statesOf(t, s, u.Access, id)
		return states["done"]+states["dead"] == 6
	})
	entry := s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id, Token: u.Access})
	if entry.JSON["version"] != 1.0 || fmt.Sprint(entry.JSON["tags"]) != "[mine]" || entry.Text("body") != "harmless" {
		t.Errorf("the entry changed: %s", entry.Body)
	}
	for _, i := range s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/insights", Token: u.Access}).Items() {
		if text := fmt.Sprint(i["data"]); strings.Contains(text, "visibility") || strings.Contains(text, "__proto__") || strings.ContainsAny(text, "\u202e\u0000") {
			t.Errorf("kept what nobody asked for: %s", text)
		}
	}
}

func TestBudgetsOfUsersAndProviders(t *testing.T) {
	provider, s := model(t, func(o *ai.RouterOptions, _ *Service) {
		o.DailyRequests, o.Limits = 4, map[string]ai.Limit{"openai": {Requests: 7}}
		o.Models = append(o.Models, ai.Builtin{})
	})
	by := func(id, token string) map[any]int {
		providers := map[any]int{}
		for _, i := range s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/insights", Token: token}).Items() {
			providers[i["provider"]]++
		}
		return providers
	}
	for _, want := range []struct{ openai, builtin int }{{4, 2}, {3, 3}, {0, 6}} {
		u := s.Register(t)
		id := s.Write(t, u.Access, map[string]any{"body": "Every insight has its price."})
		analysed(t, s, u.Access, id)
		if got := by(id, u.Access); got["openai"] != want.openai || got["builtin"] != want.builtin {
			t.Errorf("insights by provider: %v, want %+v", got, want)
		}
	}
	if n := provider.Counts().Requests; n != 7 {
		t.Errorf("%d requests, want 7", n)
	}
}

func TestADraftFromAPrompt(t *testing.T) {
	provider, s := model(t, nil)
	u := s.Register(t)
	ask := func(status int) Answer {
		return s.Want(t, status, Request{Method: "POST", Path: "/ai/generate", Token: u.Access, Body: map[string]any{"prompt": "a day of reviews", "context": "three of them"}})
	}
	draft := ask(200)
	if draft.Text("provider") != "openai" || draft.Text("body") != "fake" || draft.JSON["mood"] != 5.0 {
		t.Errorf("draft %s", draft.Body)
	}
	if n := len(s.Want(t, 200, Request{Method: "GET", Path: "/entries", Token: u.Access}).Items()); n != 0 {
		t.Errorf("%d entries were stored", n)
	}
	provider.RetryAfter(9)
	provider.Set(fake.RateLimited)
	if refused := ask(503); refused.Header.Get("Retry-After") != "9" || refused.Text("code") != "unavailable" {
		t.Errorf("refused %v %s", refused.Header, refused.Body)
	}
	var left int
	if err := s.Store.Pool().QueryRow(t.Context(), `SELECT count(id) FROM drafts`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d prompts were kept, %v", left, err)
	}
}

// A week is summed up once, and its review tells of it.
func TestTheInsightOfAWeek(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	s.Write(t, u.Access, map[string]any{"title": "Shipped the release", "body": "Everybody is happy.", "mood": 9, "kind": "delivery", "occurred_at": monday.Add(30 * time.Hour)})
	for want := range 2 {
		if n, err := s.Store.Tasks().EnsureWeekly(t.Context(), monday); err != nil || n != 1-want {
			t.Errorf("%d tasks, %v; want %d", n, err, 1-want)
		}
	}
	var found []map[string]any
	Await(t, "the insight of the week", func() bool {
		found = s.Want(t, 200, Request{Method: "GET", Path: "/insights?kind=weekly_insight", Token: u.Access}).Items()
		return len(found) == 1
	})
	data, _ := found[0]["data"].(map[string]any)
	if found[0]["period"] != "2026-03-02" || data["entries"] != 1.0 || data["mood_average"] != 9.0 {
		t.Errorf("insight %v", found[0])
	}
	text, _ := data["text"].(string)
	first := strings.SplitN(text, " ", 2)[0]
	week := s.Want(t, 200, Request{Method: "GET", Path: "/summaries/week?date=2026-03-04", Token: u.Access}).Text("markdown")
	if text == "" || !strings.Contains(week, "\n> "+first) {
		t.Errorf("the review does not tell of %q:\n%s", text, week)
	}
	if other := s.Want(t, 200, Request{Method: "GET", Path: "/summaries/week?date=2026-03-11", Token: u.Access}).Text("markdown"); strings.Contains(other, "> ") {
		t.Errorf("another week tells of it:\n%s", other)
	}
}

func TestTrends(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	day := func(back int) time.Time {
		return englog.DateOf(s.Clock.Now(), time.UTC).Add(-back).Start(time.UTC).Add(10 * time.Hour)
	}
	for _, e := range []map[string]any{
		{"body": "A great success, the migration went well and I am happy.", "mood": 9, "occurred_at": day(1)},
		{"body": "Terrible outage, an awful failure of the database.", "mood": 2, "occurred_at": day(2)},
		{"body": "Meeting about the database migration.", "occurred_at": day(2)},
		{"body": "Long ago.", "mood": 5, "occurred_at": day(200)},
	} {
		analysed(t, s, u.Access, s.Write(t, u.Access, e))
	}
	stranger := s.Register(t)
	week := s.Want(t, 200, Request{Method: "GET", Path: "/stats/trends?range=7d", Token: u.Access})
	points := week.JSON["points"].([]any)
	if len(points) != 2 || week.Text("step") != "day" {
		t.Fatalf("points %v", points)
	}
	bad, good := points[0].(map[string]any), points[1].(map[string]any)
	if bad["entries"] != 2.0 || bad["mood"] != 2.0 || good["mood"] != 9.0 || good["sentiment"].(float64) <= bad["sentiment"].(float64) {
		t.Errorf("points %v", points)
	}
	if len(week.JSON["emotions"].([]any)) != 5 || len(week.JSON["themes"].([]any)) == 0 || len(week.JSON["sentiment"].([]any)) < 2 {
		t.Errorf("trends %s", week.Body)
	}
	hours, weekdays := week.JSON["hours"].([]any), week.JSON["weekdays"].([]any)
	if hours[10] != 3.0 || weekdays[(int(day(1).Weekday())+6)%7] != 1.0 || weekdays[(int(day(2).Weekday())+6)%7] != 2.0 {
		t.Errorf("habits %v %v", hours, weekdays)
	}
	for period, want := range map[string]float64{"30d": 3, "90d": 3, "1y": 4, "all": 4} {
		sum := 0.0
		for _, p := range s.Want(t, 200, Request{Method: "GET", Path: "/stats/trends?range=" + period, Token: u.Access}).JSON["points"].([]any) {
			sum += p.(map[string]any)["entries"].(float64)
		}
		if sum != want {
			t.Errorf("%s covers %v entries, want %v", period, sum, want)
		}
	}
	if empty := s.Want(t, 200, Request{Method: "GET", Path: "/stats/trends?range=all", Token: stranger.Access}); len(empty.JSON["points"].([]any)) != 0 {
		t.Errorf("a stranger's trend %s", empty.Body)
	}
	s.Want(t, 400, Request{Method: "GET", Path: "/stats/trends?range=2d", Token: u.Access, Invalid: true})
}
