package scenario_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/api"
	"github.com/garnizeh/englog-operator/workload/auth"
	. "github.com/garnizeh/englog-operator/workload/testrig/scenario"
)

// Every create may be repeated with its key: the answer is the same, and the thing is there once.
func TestEveryCreateMayBeRepeated(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	for _, c := range []struct {
		path, list string
		body       any
		other      any
		count      int
	}{
		{"/entries", "/entries", map[string]any{"body": "one"}, map[string]any{"body": "other"}, 1},
		{"/entries/batch", "/entries", map[string]any{"items": []any{map[string]any{"body": "two"}, map[string]any{"body": "three"}}}, map[string]any{"items": []any{map[string]any{"body": "x"}}}, 3},
		{"/auth/tokens", "/auth/tokens", map[string]any{"name": "ci", "scopes": []string{"entries:read"}}, map[string]any{"name": "other", "scopes": []string{"entries:read"}}, 1},
		{"/auth/invites", "", nil, nil, 0},
	} {
		t.Run(c.path, func(t *testing.T) {
			create := func(status int, body any) Answer {
				return s.Want(t, status, Request{Method: "POST", Path: c.path, Token: u.Access, Body: body, Header: map[string]string{"Idempotency-Key": "key of " + c.path}})
			}
			first, again := create(201, c.body), create(201, c.body)
			if first.Body != again.Body || again.Header.Get("Idempotent-Replayed") != "true" || first.Header.Get("Idempotent-Replayed") != "" {
				t.Errorf("first %s, again %v %s", first.Body, again.Header, again.Body)
			}
			if c.other != nil {
				create(422, c.other)
			}
			if c.list == "" {
				return
			}
			if n := len(s.Want(t, 200, Request{Method: "GET", Path: c.list, Token: u.Access}).Items()); n != c.count {
				t.Errorf("%d are there, want %d", n, c.count)
			}
		})
	}
	// A repeated token is the same token, and it works; the database does not hold it in clear.
	token := s.Want(t, 201, Request{Method: "POST", Path: "/auth/tokens", Token: u.Access, Header: map[string]string{"Idempotency-Key": "key of /auth/tokens"},
		Body: map[string]any{"name": "ci", "scopes": []string{"entries:read"}}}).Text("token")
	s.Want(t, 200, Request{Method: "GET", Path: "/entries", Token: token})
	var kept string
	if err := s.Store.Pool().QueryRow(t.Context(), `SELECT string_agg(encode(body, 'escape'), ' ') FROM idempotency_keys`).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(kept, token) || strings.Contains(kept, "englog_inv_") || !strings.Contains(kept, "three") {
		t.Errorf("kept in clear: %s", kept)
	}
	other := s.Register(t) // the same key of somebody else is another key
	s.Want(t, 201, Request{Method: "POST", Path: "/entries", Token: other.Access, Header: map[string]string{"Idempotency-Key": "key of /entries"}, Body: map[string]any{"body": "mine"}})
	s.Want(t, 400, Request{Method: "POST", Path: "/auth/invites", Token: u.Access, Header: map[string]string{"Idempotency-Key": "käse"}, Invalid: true})
}

// What one pod revokes, another pod refuses within five seconds.
func TestARevocationReachesOtherPods(t *testing.T) {
	one := Start(t, Options{})
	two := Start(t, Options{Beside: one})
	for name, revoke := range map[string]func(u Login, token, id string){
		"log out": func(u Login, _, _ string) {
			one.Want(t, 204, Request{Method: "POST", Path: "/auth/logout", Token: u.Access})
		},
		"delete a token": func(u Login, _, id string) {
			one.Want(t, 204, Request{Method: "DELETE", Path: "/auth/tokens/" + id, Token: u.Access})
		},
		"a new password": func(u Login, _, _ string) {
			one.Want(t, 204, Request{Method: "POST", Path: "/auth/password", Token: u.Access, Body: map[string]any{"old_password": Password, "new_password": "another fine password"}})
		},
		"delete the user": func(u Login, _, _ string) {
			one.Want(t, 204, Request{Method: "POST", Path: "/auth/account/deletion", Token: u.Access, Body: map[string]any{"password": Password}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := one.Register(t)
			made := one.Want(t, 201, Request{Method: "POST", Path: "/auth/tokens", Token: u.Access, Body: map[string]any{"name": "ci", "scopes": []string{"entries:read"}}})
			token := u.Access
			if name == "delete a token" {
				token = made.Text("token")
			}
			two.Want(t, 200, Request{Method: "GET", Path: "/entries", Token: token})
			start := time.Now()
			revoke(u, made.Text("token"), made.Text("id"))
			one.Want(t, 401, Request{Method: "GET", Path: "/entries", Token: token})
			Await(t, "the refusal", func() bool { return two.Do(t, Request{Method: "GET", Path: "/entries", Token: token}).Status == 401 })
			if took := time.Since(start); took > 6*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// Finished tasks go after a while; what they found stays.
func TestOldTasksGoAndInsightsStay(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	id := s.Write(t, u.Access, map[string]any{"body": "Long done."})
	analysed(t, s, u.Access, id)
	if n, err := s.Store.PurgeTasks(t.Context(), s.Clock.Now().Add(29*24*time.Hour)); err != nil || n != 0 {
		t.Errorf("%d tasks went too early, %v", n, err)
	}
	if n, err := s.Store.PurgeTasks(t.Context(), s.Clock.Now().Add(31*24*time.Hour)); err != nil || n != 6 {
		t.Errorf("%d tasks went, %v; want 6", n, err)
	}
	if n := len(tasksOf(t, s, u.Access, id)); n != 0 {
		t.Errorf("%d tasks are still shown", n)
	}
	if n := len(s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + id + "/insights", Token: u.Access}).Items()); n != 6 {
		t.Errorf("%d insights are left, want 6", n)
	}
	s.Want(t, 202, Request{Method: "POST", Path: "/entries/" + id + "/tasks", Token: u.Access, Body: map[string]any{}})
	analysed(t, s, u.Access, id)
}

func TestOffFeaturesHaveNoAddress(t *testing.T) {
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			s := Start(t, Options{API: func(o *api.Options) { o.Features = api.Features{GroupSharing: on, Export: on, Beta: on} }})
			u := s.Register(t)
			for _, path := range []string{"/groups", "/groups/018f0000-0000-7000-8000-000000000000", "/export", "/import", "/ai/generate"} {
				for _, method := range []string{"GET", "POST"} {
					if path == "/ai/generate" && method == "GET" {
						continue // the address exists, for another method
					}
					a := s.Want(t, 404, Request{Method: method, Path: path, Token: u.Access, Body: map[string]any{"prompt": "a day of work"}, Invalid: true})
					if a.Text("code") != "not_found" {
						t.Errorf("%s %s: %s", method, path, a.Body)
					}
				}
			}
			features, _ := s.Want(t, 200, Request{Method: "GET", Path: "/capabilities"}).JSON["features"].(map[string]any)
			if features["export"] != on || features["group_sharing"] != on || features["beta"] != on || features["advanced_ai"] != any(false) {
				t.Errorf("features %v, want the switches %v", features, on)
			}
		})
	}
}

// Closed means closed, but for the one account that an instance begins with.
func TestClosedRegistrationLetsTheFirstIn(t *testing.T) {
	s := Start(t, Options{Auth: func(o *auth.Options) {
		o.Registration = "closed"
		o.BootstrapInvite = func() (string, error) { return "the first invite", nil }
	}})
	register := func(status int, email, invite string) {
		body := map[string]any{"email": email, "name": "Ada", "password": Password}
		if invite != "" {
			body["invite"] = invite
		}
		s.Want(t, status, Request{Method: "POST", Path: "/auth/register", Body: body})
	}
	register(403, "a@example.com", "")
	register(201, "a@example.com", "the first invite")
	register(403, "b@example.com", "the first invite")
	s.Want(t, 202, Request{Method: "POST", Path: "/auth/otp/request", Body: map[string]any{"email": "new@example.com"}})
	s.Want(t, 403, Request{Method: "POST", Path: "/auth/otp/verify", Body: map[string]any{"email": "new@example.com", "code": s.Mailbox.Messages()[0].Code}})
}

func TestFiltersOfLists(t *testing.T) {
	s := Start(t, Options{})
	u := s.Register(t)
	for i, kind := range []string{"note", "review", "note", "incident"} {
		s.Write(t, u.Access, map[string]any{"body": fmt.Sprint(i), "kind": kind, "mood": i + 4, "project": []string{"a", "b"}[i%2], "occurred_at": fmt.Sprintf("2026-03-0%dT12:00:00Z", i+1)})
	}
	for query, want := range map[string]string{
		"kind=note": "20", "project=b": "31", "min_mood=6": "32", "max_mood=4": "0", "min_mood=5&max_mood=6": "21",
		"from=2026-03-02": "321", "until=2026-03-03": "10", "from=2026-03-02T12:00:00Z&until=2026-03-04T12:00:00Z": "21", "from=2027-01-01": "",
		"kind=note&project=a&from=2026-03-02": "2",
	} {
		got := ""
		for _, e := range s.Want(t, 200, Request{Method: "GET", Path: "/entries?" + query, Token: u.Access}).Items() {
			got += e["body"].(string)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
