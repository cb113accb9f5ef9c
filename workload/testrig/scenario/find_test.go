package scenario_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/api"
	. "github.com/garnizeh/englog-operator/workload/testrig/scenario"
)

func TestListsAreReadPageByPage(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	for i := range 7 {
		s.Write(t, u.Access, map[string]any{"body": fmt.Sprint(i), "occurred_at": time.Date(2026, 1, 1+i/2, 0, 0, 0, 0, time.UTC)})
	}
	var seen []string
	path := "/entries?limit=3"
	for {
		page := s.Want(t, 200, Request{Method: "GET", Path: path, Token: u.Access})
		for _, e := range page.Items() {
			seen = append(seen, e["body"].(string))
		}
		if page.Text("next_cursor") == "" {
			break
		}
		path = "/entries?limit=3&cursor=" + url.QueryEscape(page.Text("next_cursor"))
	}
	if got := strings.Join(seen, ""); got != "6543210" {
		t.Errorf("read %s, want 6543210", got)
	}
}

func TestSearchRanksAndHighlights(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	s.Write(t, u.Access, map[string]any{"body": "Lunch, and one word about the migration."})
	best := s.Write(t, u.Access, map[string]any{"title": "Migration of the database", "body": "The migration took 4 minutes."})
	s.Write(t, s.Register(t).Access, map[string]any{"body": "A migration of somebody else."})
	found := s.Want(t, 200, Request{Method: "GET", Path: "/entries?q=migrations", Token: u.Access}).Items()
	if len(found) != 2 || found[0]["id"] != best || !strings.Contains(found[0]["highlights"].(string), "\ue000Migration\ue001") {
		t.Errorf("found %v", found)
	}
	// The summary that a task finds is searched as well; the builtin provider takes it from the text.
	if n := len(s.Want(t, 200, Request{Method: "GET", Path: "/entries?q=" + url.QueryEscape(`"one word" -database`), Token: u.Access}).Items()); n != 1 {
		t.Errorf("%d entries for a phrase and a negation, want 1", n)
	}
}

func TestTagsFilterRenameMergeRemove(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	both := s.Write(t, u.Access, map[string]any{"body": "Moved the cluster to a new release, which went well.", "tags": []string{"k8s", "kubernetes", "ops"}})
	s.Write(t, u.Access, map[string]any{"body": "b", "tags": []string{"k8s"}})
	s.Write(t, u.Access, map[string]any{"body": "c"})
	count := func(query string) int {
		return len(s.Want(t, 200, Request{Method: "GET", Path: "/entries?" + query, Token: u.Access}).Items())
	}
	for query, want := range map[string]int{"tags=k8s": 2, "tags=k8s,ops": 1, "any_tags=ops,kubernetes": 1, "not_tags=ops": 2, "untagged=true": 1, "tags=k8s&not_tags=ops": 1} {
		if got := count(query); got != want {
			t.Errorf("%s: %d entries, want %d", query, got, want)
		}
	}
	Await(t, "the analysis", func() bool {
		return len(s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + both + "/insights", Token: u.Access}).Items()) == 6
	})
	merged := s.Want(t, 200, Request{Method: "POST", Path: "/tags/rename", Token: u.Access, Body: map[string]any{"from": "k8s", "to": "Kubernetes"}})
	if merged.JSON["entries"] != 2.0 || count("tags=k8s") != 0 || count("tags=kubernetes") != 2 {
		t.Errorf("merged %s", merged.Body)
	}
	entry := s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + both, Token: u.Access})
	if fmt.Sprint(entry.JSON["tags"]) != "[kubernetes ops]" || entry.JSON["version"] != 2.0 {
		t.Errorf("entry %s", entry.Body)
	}
	for _, i := range s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + both + "/insights", Token: u.Access}).Items() {
		if i["entry_version"] != 2.0 {
			t.Errorf("an insight stayed with version %v", i["entry_version"])
		}
	}
	tags := s.Want(t, 200, Request{Method: "GET", Path: "/tags", Token: u.Access}).Items()
	if len(tags) != 2 || tags[0]["tag"] != "kubernetes" || tags[0]["count"] != 2.0 {
		t.Errorf("tags %v", tags)
	}
	s.Want(t, 200, Request{Method: "DELETE", Path: "/tags/kubernetes", Token: u.Access})
	s.Want(t, 404, Request{Method: "DELETE", Path: "/tags/kubernetes", Token: u.Access})
	if count("untagged=true") != 2 {
		t.Error("the tag is still there")
	}
}

func TestNumbersFollowTheUsersCalendar(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	s.ChangeProfile(t, 200, u.Access, map[string]any{"preferences": map[string]any{
		"timezone": "Pacific/Auckland", "language": "en", "theme": "system", "ai_enabled": false, "disabled_tasks": []string{}}})
	zone, err := time.LoadLocation("Pacific/Auckland")
	if err != nil {
		t.Fatal(err)
	}
	today := englog.DateOf(s.Clock.Now(), zone)
	for _, days := range []int{0, -1, -2, -9, -10, -11, -12} {
		s.Write(t, u.Access, map[string]any{"body": "two words", "mood": 4, "kind": "review", "occurred_at": today.Add(days).Start(zone).Add(time.Hour)})
	}
	stats := s.Want(t, 200, Request{Method: "GET", Path: "/stats", Token: u.Access}).JSON
	if stats["entries"] != 7.0 || stats["words"] != 14.0 || stats["current_streak"] != 3.0 || stats["longest_streak"] != 4.0 || stats["mood"] != 4.0 {
		t.Errorf("stats %v", stats)
	}
	heat := s.Want(t, 200, Request{Method: "GET", Path: "/stats/heatmap", Token: u.Access}).JSON
	days := heat["days"].([]any)
	if len(days) != 7 || days[6].(map[string]any)["date"] != today.String() {
		t.Errorf("heatmap %v, want 7 days up to %s", heat, today)
	}
	s.Write(t, u.Access, map[string]any{"body": "a year ago", "occurred_at": today.AddDate(-1, 0, 0)})
	if n := len(s.Want(t, 200, Request{Method: "GET", Path: "/entries/on-this-day", Token: u.Access}).Items()); n != 1 {
		t.Errorf("%d entries on this day, want 1", n)
	}
}

func TestBatchesAreAllOrNothing(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	bad := s.Want(t, 400, Request{Method: "POST", Path: "/entries/batch", Token: u.Access, Invalid: true,
		Body: map[string]any{"items": []any{map[string]any{"body": "fine"}, map[string]any{"body": ""}}}})
	if !strings.Contains(bad.Body, "items[1].body") {
		t.Errorf("the item is not named: %s", bad.Body)
	}
	made := s.Want(t, 201, Request{Method: "POST", Path: "/entries/batch", Token: u.Access,
		Body: map[string]any{"items": []any{map[string]any{"body": "one"}, map[string]any{"body": "two"}}}}).Items()
	all := s.Want(t, 200, Request{Method: "GET", Path: "/entries", Token: u.Access}).Items()
	if len(made) != 2 || len(all) != 2 {
		t.Fatalf("%d made, %d there; want 2", len(made), len(all))
	}
	stranger := s.Register(t)
	ids := []any{made[0]["id"], made[1]["id"]}
	if gone := s.Want(t, 200, Request{Method: "POST", Path: "/entries/batch-delete", Token: stranger.Access, Body: map[string]any{"ids": ids}}); gone.Body != `{"deleted":[]}` {
		t.Errorf("a stranger deleted %s", gone.Body)
	}
	if gone := s.Want(t, 200, Request{Method: "POST", Path: "/entries/batch-delete", Token: u.Access, Body: map[string]any{"ids": ids}}); len(gone.JSON["deleted"].([]any)) != 2 {
		t.Errorf("deleted %s", gone.Body)
	}
}

func TestSummariesAreTheSameEachTime(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	for _, e := range []map[string]any{
		{"title": "Zero-loss cutover", "body": "x", "kind": "delivery", "project": "operator", "impact": "0 failed requests", "occurred_at": "2026-03-03T09:00:00Z", "duration_minutes": 150},
		{"title": "# Not a heading", "body": "x", "kind": "note", "occurred_at": "2026-03-04T09:00:00Z", "mood": 6},
		{"title": "Database outage", "body": "x", "kind": "incident", "occurred_at": "2026-03-05T09:00:00Z"},
		{"title": "next week", "body": "x", "occurred_at": "2026-03-09T00:00:00Z"},
	} {
		s.Write(t, u.Access, e)
	}
	text := func(path string) string {
		first := s.Want(t, 200, Request{Method: "GET", Path: path, Token: u.Access, Header: map[string]string{"Accept": "text/markdown"}})
		again := s.Want(t, 200, Request{Method: "GET", Path: path, Token: u.Access})
		if first.Body != again.Text("markdown") || !strings.HasPrefix(first.Header.Get("Content-Type"), "text/markdown") {
			t.Errorf("%s: %q and then %q", path, first.Body, again.Body)
		}
		return first.Body
	}
	week := "# Weekly review: Ada\n\n2026-03-02 to 2026-03-08\n\n3 entries, 2 h 30 min, mood 6.0 of 10\n\n## Delivered\n\n- Zero-loss cutover (operator)\n\n" +
		"## Incidents\n\n- Database outage\n\n## Notes\n\n- \\# Not a heading\n\n"
	if got := text("/summaries/week?date=2026-03-05"); got != week {
		t.Errorf("got\n%s\nwant\n%s", got, week)
	}
	brag := text("/summaries/brag?from=2026-03-01&until=2026-04-01")
	if !strings.Contains(brag, "## operator\n\n- Zero-loss cutover — **0 failed requests**") || !strings.Contains(brag, "## Other work") {
		t.Errorf("got\n%s", brag)
	}
	if got := text("/summaries/standup?date=2026-03-05"); !strings.Contains(got, "## In the way\n\n- Database outage") {
		t.Errorf("got\n%s", got)
	}
	s.Want(t, 404, Request{Method: "GET", Path: "/summaries/horoscope", Token: u.Access, Invalid: true})
}

func TestWhatIsOffHasNoAddress(t *testing.T) {
	s := Start(t, Options{API: func(o *api.Options) { o.Mailbox = nil }})
	u := s.Register(t)
	s.Want(t, 404, Request{Method: "POST", Path: "/ai/generate", Token: u.Access, Body: map[string]any{"prompt": "a day of work"}})
	s.Want(t, 404, Request{Method: "GET", Path: "/dev/mailbox"})
	if c := s.Want(t, 200, Request{Method: "GET", Path: "/capabilities"}); !strings.Contains(c.Body, `"advanced_ai":false`) {
		t.Errorf("capabilities %s", c.Body)
	}
}

func TestTooManyRequestsAreRefused(t *testing.T) {
	s := Start(t, Options{API: func(o *api.Options) { o.RateLimit = 2 }})
	u := s.Register(t)
	refused := 0
	for range 20 {
		if a := s.Do(t, Request{Method: "GET", Path: "/tags", Token: u.Access}); a.Status == 429 {
			refused++
			if a.Header.Get("Retry-After") == "" || a.Text("code") != "rate_limited" {
				t.Errorf("%v %s", a.Header, a.Body)
			}
		}
	}
	if refused < 5 {
		t.Errorf("%d of 20 requests were refused at 2 a second", refused)
	}
}

// Nothing private may reach the logs, whatever happens.
func TestNothingPrivateIsLogged(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	const private = "zanzibar-confession"
	id := s.Write(t, u.Access, map[string]any{"title": private, "body": private + " in the body", "tags": []string{private}, "impact": private,
		"metadata": map[string]any{private: private}})
	s.Want(t, 200, Request{Method: "GET", Path: "/entries?q=" + private, Token: u.Access})
	s.Want(t, 200, Request{Method: "PUT", Path: "/entries/" + id, Token: u.Access, Header: map[string]string{"If-Match": `"v1"`}, Body: map[string]any{"body": private}})
	s.Want(t, 400, Request{Method: "POST", Path: "/entries", Token: u.Access, Body: `{"` + private + `":1}`, Invalid: true})
	s.Want(t, 401, Request{Method: "POST", Path: "/auth/login", Body: map[string]any{"email": u.Email, "password": private}})
	s.Want(t, 401, Request{Method: "POST", Path: "/auth/refresh", Body: map[string]any{"refresh_token": private}})
	s.Want(t, 202, Request{Method: "POST", Path: "/auth/otp/request", Body: map[string]any{"email": u.Email}})
	Await(t, "the analysis", func() bool {
		return len(s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/insights", Token: u.Access}).Items()) == 6
	})
	logs := s.Logs.String()
	if !strings.Contains(logs, `"msg":"request"`) {
		t.Fatal("nothing was logged at all")
	}
	for what, text := range map[string]string{"entry text": private, "an access token": u.Access, "a refresh token": u.Refresh, "a password": Password,
		"a login code": s.Mailbox.Messages()[0].Code, "an e-mail address": u.Email, "the signing key": Key} {
		if strings.Contains(logs, text) {
			t.Errorf("the logs hold %s", what)
		}
	}
}
