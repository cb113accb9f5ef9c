package scenario_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/testrig"
	. "github.com/garnizeh/englog-operator/workload/testrig/scenario"
)

func TestMain(m *testing.M) { testrig.Main(m) }

// Write, see the analysis, edit, delete.
func TestAnEntryFromWritingToDeletion(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	created := s.Want(t, 201, Request{Method: "POST", Path: "/entries", Token: u.Access, Body: map[string]any{
		"title": "Release", "body": "Shipped the release, everybody is happy.", "tags": []string{"Go", "go", "release"}, "mood": 9,
		"project": "englog", "duration_minutes": 90, "metadata": map[string]any{"pr": 17}, "occurred_at": "2026-03-01T10:00:00+02:00"}})
	id := created.Text("id")
	if created.Header.Get("ETag") != `"v1"` || created.Header.Get("Location") != "/api/v1/entries/"+id ||
		fmt.Sprint(created.JSON["tags"]) != "[go release]" || created.Text("occurred_at") != "2026-03-01T08:00:00Z" {
		t.Errorf("created %v %s", created.Header, created.Body)
	}
	Await(t, "the analysis", func() bool {
		return len(s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/insights", Token: u.Access}).Items()) == 6
	})
	for _, task := range s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/tasks", Token: u.Access}).Items() {
		if task["state"] != "done" || task["entry_version"] != 1.0 {
			t.Errorf("task %v", task)
		}
	}
	edited := s.Want(t, 200, Request{Method: "PUT", Path: "/entries/" + id, Token: u.Access, Header: map[string]string{"If-Match": `"v1"`},
		Body: map[string]any{"body": "Rolled it back."}})
	if edited.Header.Get("ETag") != `"v2"` || edited.JSON["version"] != 2.0 || edited.Text("occurred_at") != "2026-03-01T08:00:00Z" {
		t.Errorf("edited %v %s", edited.Header, edited.Body)
	}
	stale := s.Want(t, 412, Request{Method: "DELETE", Path: "/entries/" + id, Token: u.Access, Header: map[string]string{"If-Match": `"v1"`}})
	if stale.Text("code") != "stale" || stale.JSON["current_version"] != 2.0 || stale.Header.Get("ETag") != `"v2"` {
		t.Errorf("stale %v %s", stale.Header, stale.Body)
	}
	s.Want(t, 304, Request{Method: "GET", Path: "/entries/" + id, Token: u.Access, Header: map[string]string{"If-None-Match": `"v2"`}})
	s.Want(t, 204, Request{Method: "DELETE", Path: "/entries/" + id, Token: u.Access, Header: map[string]string{"If-Match": `"v2"`}})
	s.Want(t, 404, Request{Method: "GET", Path: "/entries/" + id, Token: u.Access})
}

func TestARepeatedCreateIsOneEntry(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	create := func(status int, body string) Answer {
		return s.Want(t, status, Request{Method: "POST", Path: "/entries", Token: u.Access, Header: map[string]string{"Idempotency-Key": "k-1"},
			Body: map[string]any{"body": body}})
	}
	first, again := create(201, "once"), create(201, "once")
	if first.Body != again.Body || again.Header.Get("Idempotent-Replayed") != "true" || again.Header.Get("ETag") != `"v1"` {
		t.Errorf("first %s, again %v %s", first.Body, again.Header, again.Body)
	}
	create(422, "something else")
	if n := len(s.Want(t, 200, Request{Method: "GET", Path: "/entries", Token: u.Access}).Items()); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

func TestBadInputIsRefusedWithAReason(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	for name, c := range map[string]struct {
		r      Request
		status int
		code   string
		says   string
	}{
		"malformed JSON":  {Request{Method: "POST", Path: "/entries", Body: `{"body":`}, 400, "invalid", "not one valid JSON"},
		"two values":      {Request{Method: "POST", Path: "/entries", Body: `{"body":"a"}{}`}, 400, "invalid", "not one valid JSON"},
		"unknown field":   {Request{Method: "POST", Path: "/entries", Body: `{"body":"a","colour":"red"}`}, 400, "invalid", "colour"},
		"wrong type":      {Request{Method: "POST", Path: "/entries", Body: `{"body":7}`}, 400, "invalid", `"field":"body"`},
		"number too big":  {Request{Method: "POST", Path: "/entries", Body: `{"body":"a","mood":99999}`}, 400, "invalid", "mood"},
		"empty body":      {Request{Method: "POST", Path: "/entries", Body: `{"body":"  "}`}, 400, "invalid", "body"},
		"bad kind":        {Request{Method: "POST", Path: "/entries", Body: `{"body":"a","kind":"diary"}`}, 400, "invalid", "delivery"},
		"bad tag":         {Request{Method: "POST", Path: "/entries", Body: `{"body":"a","tags":["<b>"]}`}, 400, "invalid", "tags[0]"},
		"metadata a list": {Request{Method: "POST", Path: "/entries", Body: `{"body":"a","metadata":[1]}`}, 400, "invalid", "metadata"},
		"NUL":             {Request{Method: "POST", Path: "/entries", Body: `{"body":"a\u0000b"}`}, 400, "invalid", "NUL"},
		"too large":       {Request{Method: "POST", Path: "/entries", Body: map[string]any{"body": strings.Repeat("x", 50_001)}}, 413, "too_large", "50000"},
		"far too large":   {Request{Method: "POST", Path: "/entries", Body: map[string]any{"body": strings.Repeat("x", 500_000)}}, 413, "too_large", "bytes"},
		"not JSON": {Request{Method: "POST", Path: "/entries", Body: `{"body":"a"}`, Header: map[string]string{"Content-Type": "text/plain"}},
			415, "invalid", "application/json"},
		"no If-Match":   {Request{Method: "PUT", Path: "/entries/018f0000-0000-7000-8000-000000000000", Body: `{"body":"a"}`}, 428, "invalid", "If-Match"},
		"no UUID":       {Request{Method: "GET", Path: "/entries/seven"}, 404, "not_found", "entry"},
		"bad cursor":    {Request{Method: "GET", Path: "/entries?cursor=x"}, 400, "invalid", "cursor"},
		"bad limit":     {Request{Method: "GET", Path: "/entries?limit=1000"}, 400, "invalid", "limit"},
		"bad parameter": {Request{Method: "GET", Path: "/entries?colour=red"}, 400, "invalid", "colour"},
		"no address":    {Request{Method: "GET", Path: "/nothing"}, 404, "not_found", "address"},
		"no method":     {Request{Method: "PATCH", Path: "/entries"}, 405, "invalid", "method"},
	} {
		t.Run(name, func(t *testing.T) {
			c.r.Token, c.r.Invalid = u.Access, true
			a := s.Want(t, c.status, c.r)
			if a.Text("code") != c.code || !strings.Contains(a.Body, c.says) || a.Text("request_id") == "" ||
				a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%v %s: want code %s and %q", a.Header, a.Body, c.code, c.says)
			}
		})
	}
	if n := len(s.Want(t, 200, Request{Method: "GET", Path: "/entries", Token: u.Access}).Items()); n != 0 {
		t.Errorf("%d entries were written all the same", n)
	}
}

func TestSessionsAndRefresh(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	refresh := func(status int, token string) Answer {
		return s.Want(t, status, Request{Method: "POST", Path: "/auth/refresh", Body: map[string]any{"refresh_token": token}})
	}
	second := refresh(200, u.Refresh)
	if again := refresh(200, u.Refresh); again.Text("refresh_token") != second.Text("refresh_token") {
		t.Error("the same token within the grace time gave another successor")
	}
	s.Clock.Advance(11 * time.Second)
	third := refresh(200, second.Text("refresh_token"))
	refresh(401, u.Refresh)
	refresh(401, third.Text("refresh_token"))
	s.Want(t, 401, Request{Method: "GET", Path: "/entries", Token: third.Text("access_token")})

	other := s.Want(t, 200, Request{Method: "POST", Path: "/auth/login", Body: map[string]any{"email": u.Email, "password": Password}})
	mine := s.Want(t, 200, Request{Method: "POST", Path: "/auth/login", Body: map[string]any{"email": u.Email, "password": Password}})
	list := s.Want(t, 200, Request{Method: "GET", Path: "/auth/sessions", Token: mine.Text("access_token")}).Items()
	if len(list) != 2 {
		t.Fatalf("%d sessions, want 2: %v", len(list), list)
	}
	s.Want(t, 204, Request{Method: "DELETE", Path: "/auth/sessions", Token: mine.Text("access_token")})
	s.Want(t, 401, Request{Method: "GET", Path: "/entries", Token: other.Text("access_token")})
	s.Want(t, 204, Request{Method: "POST", Path: "/auth/logout", Token: mine.Text("access_token")})
	s.Want(t, 401, Request{Method: "GET", Path: "/entries", Token: mine.Text("access_token")})
}

func TestANewPasswordKillsEveryToken(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	token := s.Want(t, 201, Request{Method: "POST", Path: "/auth/tokens", Token: u.Access, Body: map[string]any{"name": "ci", "scopes": []string{"entries:read"}}})
	s.Want(t, 200, Request{Method: "GET", Path: "/entries", Token: token.Text("token")})
	s.Want(t, 403, Request{Method: "POST", Path: "/auth/password", Token: u.Access, Body: map[string]any{"old_password": "wrong", "new_password": "another fine password"}})
	s.Want(t, 204, Request{Method: "POST", Path: "/auth/password", Token: u.Access, Body: map[string]any{"old_password": Password, "new_password": "another fine password"}})
	for _, dead := range []string{u.Access, token.Text("token")} {
		s.Want(t, 401, Request{Method: "GET", Path: "/entries", Token: dead})
	}
	s.Want(t, 401, Request{Method: "POST", Path: "/auth/refresh", Body: map[string]any{"refresh_token": u.Refresh}})
	s.Want(t, 401, Request{Method: "POST", Path: "/auth/login", Body: map[string]any{"email": u.Email, "password": Password}})
	s.Want(t, 200, Request{Method: "POST", Path: "/auth/login", Body: map[string]any{"email": u.Email, "password": "another fine password"}})
}

func TestAnAccessTokenDoesWhatItsScopesSay(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	expires := s.Clock.Now().Add(time.Hour)
	made := s.Want(t, 201, Request{Method: "POST", Path: "/auth/tokens", Token: u.Access, Body: map[string]any{"name": "editor plugin", "scopes": []string{"entries:read", "entries:write"}, "expires_at": expires}})
	s.Want(t, 409, Request{Method: "POST", Path: "/auth/tokens", Token: u.Access, Body: map[string]any{"name": "editor plugin", "scopes": []string{"entries:read"}}})
	id := s.Write(t, made.Text("token"), map[string]any{"body": "from the editor"})
	if got := s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id, Token: u.Access}); got.Text("source") != "editor plugin" {
		t.Errorf("source %q", got.Text("source"))
	}
	s.Want(t, 403, Request{Method: "GET", Path: "/auth/sessions", Token: made.Text("token")})
	list := s.Want(t, 200, Request{Method: "GET", Path: "/auth/tokens", Token: u.Access}).Items()
	if len(list) != 1 || list[0]["last_used_at"] == nil || list[0]["token"] != nil {
		t.Errorf("tokens %v", list)
	}
	s.Clock.Advance(61 * time.Minute)
	s.Want(t, 401, Request{Method: "GET", Path: "/entries", Token: made.Text("token")})
}

func TestLoginByCode(t *testing.T) {
	s := Start(t, Options{})
	ask := func(status int) {
		s.Want(t, status, Request{Method: "POST", Path: "/auth/otp/request", Body: map[string]any{"email": "New@Example.com"}})
	}
	verify := func(status int, code string) Answer {
		return s.Want(t, status, Request{Method: "POST", Path: "/auth/otp/verify", Body: map[string]any{"email": "new@example.com", "code": code}})
	}
	ask(202)
	code := s.Mailbox.Messages()[0].Code
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	verify(401, wrong)
	if a := verify(200, code); a.Text("access_token") == "" {
		t.Error("no token")
	}
	verify(401, code)
	ask(202)
	for range 3 {
		verify(401, wrong)
	}
	verify(401, s.Mailbox.Messages()[0].Code)
	ask(202)
	s.Clock.Advance(6 * time.Minute)
	verify(401, s.Mailbox.Messages()[0].Code)
	ask(429)
	s.Clock.Advance(time.Hour)
	ask(202)
}

func TestRegistrationByInvite(t *testing.T) {
	s := Start(t, Options{Auth: func(o *auth.Options) {
		o.Registration = "invite"
		o.BootstrapInvite = func() (string, error) { return "the first invite", nil }
	}})
	register := func(status int, email, invite string) Answer {
		body := map[string]any{"email": email, "name": "Ada", "password": Password}
		if invite != "" {
			body["invite"] = invite
		}
		return s.Want(t, status, Request{Method: "POST", Path: "/auth/register", Body: body})
	}
	register(400, "a@example.com", "")
	register(403, "a@example.com", "made up")
	first := register(201, "a@example.com", "the first invite")
	register(403, "b@example.com", "the first invite")
	invite := s.Want(t, 201, Request{Method: "POST", Path: "/auth/invites", Token: first.Text("access_token")}).Text("invite")
	register(201, "b@example.com", invite)
	register(403, "c@example.com", invite)
}

func TestADeletedAccountComesBackByLogin(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	id := s.Write(t, u.Access, map[string]any{"body": "kept"})
	s.Want(t, 403, Request{Method: "POST", Path: "/auth/account/deletion", Token: u.Access, Body: map[string]any{"password": "wrong"}})
	s.Want(t, 204, Request{Method: "POST", Path: "/auth/account/deletion", Token: u.Access, Body: map[string]any{"password": Password}})
	s.Want(t, 401, Request{Method: "GET", Path: "/entries", Token: u.Access})
	if err := s.Store.Purge(t.Context(), s.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	back := s.Want(t, 200, Request{Method: "POST", Path: "/auth/login", Body: map[string]any{"email": u.Email, "password": Password}}).Text("access_token")
	s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id, Token: back})
	s.Want(t, 204, Request{Method: "POST", Path: "/auth/account/deletion", Token: back, Body: map[string]any{"password": Password}})
	if err := s.Store.Purge(t.Context(), s.Clock.Now().Add(31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	s.Want(t, 401, Request{Method: "POST", Path: "/auth/login", Body: map[string]any{"email": u.Email, "password": Password}})
}

// Two devices that change the profile at once do not write over each other.
func TestAProfileIsChangedAsItWasSeen(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	seen := s.ProfileTag(t, u.Access)
	change := func(status int, tag, bio string) Answer {
		t.Helper()
		return s.Want(t, status, Request{Method: "PATCH", Path: "/auth/profile", Token: u.Access, Header: map[string]string{"If-Match": tag}, Body: map[string]any{"bio": bio}})
	}
	s.Clock.Advance(time.Second)
	first := change(200, seen, "the first")
	second := change(412, seen, "the second")
	if tag := first.Header.Get("ETag"); tag == seen || second.Header.Get("ETag") != tag || second.Text("code") != "stale" {
		t.Errorf("seen %s, then %v, then %v %s", seen, first.Header, second.Header, second.Body)
	}
	if again := change(200, second.Header.Get("ETag"), "the third"); again.Text("bio") != "the third" {
		t.Errorf("the change was not taken: %s", again.Body)
	}
	s.Want(t, 428, Request{Method: "PATCH", Path: "/auth/profile", Token: u.Access, Invalid: true, Body: map[string]any{"bio": "unseen"}})
	change(400, `"v0"`, "nothing")
}

func TestPreferencesSwitchTheAnalysisOff(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	preferences := map[string]any{"timezone": "Europe/Berlin", "language": "de", "theme": "dark", "ai_enabled": true, "disabled_tasks": []string{"sentiment"}}
	s.ChangeProfile(t, 200, u.Access, map[string]any{"bio": "Engineer", "preferences": preferences})
	tasks := func(id string) int {
		return len(s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/tasks", Token: u.Access}).Items())
	}
	if n := tasks(s.Write(t, u.Access, map[string]any{"body": "no sentiment please"})); n != 5 {
		t.Errorf("%d tasks, want 5", n)
	}
	preferences["ai_enabled"] = false
	s.ChangeProfile(t, 200, u.Access, map[string]any{"preferences": preferences})
	if n := tasks(s.Write(t, u.Access, map[string]any{"body": "nothing at all"})); n != 0 {
		t.Errorf("%d tasks, want none", n)
	}
	for _, list := range []any{nil, []string{}} {
		preferences["disabled_tasks"] = list
		answer := s.Want(t, 200, Request{Method: "PATCH", Path: "/auth/profile", Token: u.Access, Invalid: true,
			Header: map[string]string{"If-Match": s.ProfileTag(t, u.Access)}, Body: map[string]any{"preferences": preferences}})
		if !strings.Contains(answer.Body, `"disabled_tasks":[]`) {
			t.Errorf("nothing is switched off: %s", answer.Body)
		}
	}
	preferences["disabled_tasks"] = []string{"sentimental"}
	if a := s.ChangeProfile(t, 400, u.Access, map[string]any{"preferences": preferences}); !strings.Contains(a.Body, "tag_suggestions") {
		t.Errorf("an unknown kind: %s", a.Body)
	}
	preferences["disabled_tasks"] = []string{}
	preferences["timezone"] = "Mars/Olympus"
	s.ChangeProfile(t, 400, u.Access, map[string]any{"preferences": preferences})
}
