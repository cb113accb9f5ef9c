package scenario_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/garnizeh/englog-operator/workload/api"
	"github.com/garnizeh/englog-operator/workload/auth"
	. "github.com/garnizeh/englog-operator/workload/testrig/scenario"
)

// bodies are good requests for the operations that need one; {…} is filled in.
var bodies = map[string]string{
	"register": `{"email":"{fresh}@example.com","name":"Eve","password":"` + Password + `"}`, "login": `{"email":"{email}","password":"` + Password + `"}`,
	"refresh": `{"refresh_token":"{refresh}"}`, "requestCode": `{"email":"{email}"}`, "verifyCode": `{"email":"{email}","code":"{code}"}`,
	"changePassword": `{"old_password":"` + Password + `","new_password":"another fine password"}`,
	"createToken":    `{"name":"{fresh}","scopes":["entries:read"]}`, "changeProfile": `{"bio":"b"}`, "deleteAccount": `{"password":"` + Password + `"}`,
	"createEntry": `{"body":"a"}`, "createEntries": `{"items":[{"body":"a"}]}`, "deleteEntries": `{"ids":["{entry}"]}`, "updateEntry": `{"body":"b"}`,
	"rerunEntry": `{}`, "renameTag": `{"from":"a","to":"b"}`, "generate": `{"prompt":"a day"}`,
}

// TestAuthorisationOfEveryOperation: each operation of the document × its owner,
// a stranger, somebody without a token, a token that may only read, one that may
// only write. An operation that the table does not know fails the test.
func TestAuthorisationOfEveryOperation(t *testing.T) {
	s := Start(t, Options{Auth: func(o *auth.Options) { o.Throttle = nil }, API: func(o *api.Options) {
		o.Features.AdvancedAI, o.Generator = true, drafter{}
	}})
	doc := Spec(t)
	for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		for method, op := range doc.Paths.Value(path).Operations() {
			t.Run(op.OperationID, func(t *testing.T) {
				scope, _ := op.Extensions["x-scope"].(string)
				for _, who := range []string{"owner", "stranger", "anonymous", "reader", "writer"} {
					call := newSubject(t, s, who, op.OperationID == "retryTask").request(method, path, op)
					a := s.Do(t, call)
					want := expected(scope, who, path, op)
					if !slices.Contains(want, a.Status) {
						t.Errorf("%s as %s: status %d, want one of %v: %s", op.OperationID, who, a.Status, want, a.Body)
					}
				}
			})
		}
	}
}

// expected lists the statuses that are right for somebody.
func expected(scope, who, path string, op *openapi3.Operation) []int {
	owns := strings.Contains(path, "{id}")
	good := successes(op)
	switch {
	case scope == "":
		return append(good, 404) // the mailbox may be off
	case who == "anonymous":
		return []int{401}
	case who == "reader" && scope != "entries:read", who == "writer" && scope != "entries:write":
		return []int{403}
	case who == "stranger" && owns:
		return []int{404}
	case op.OperationID == "removeTag":
		return append(good, 404) // the tag may be gone
	}
	return good
}

func successes(op *openapi3.Operation) (list []int) {
	for _, status := range []int{200, 201, 202, 204} {
		if op.Responses.Status(status) != nil {
			list = append(list, status)
		}
	}
	return list
}

// subject is an owner with one of everything, and somebody who asks.
type subject struct {
	fill  *strings.Replacer
	token string
	paths map[string]string // operation prefix → id
	tag   string            // the version of what is edited
}

// A task can be run again only once it is done.
func newSubject(t *testing.T, s *Service, who string, tasksDone bool) subject {
	owner := s.Register(t)
	entry := s.Write(t, owner.Access, map[string]any{"body": "mine", "tags": []string{"a"}})
	session := s.Want(t, 200, Request{Method: "GET", Path: "/auth/sessions", Token: owner.Access}).Items()[0]["id"].(string)
	pat := s.Want(t, 201, Request{Method: "POST", Path: "/auth/tokens", Token: owner.Access, Body: map[string]any{"name": "p", "scopes": []string{"entries:read"}}})
	Await(t, "the analysis", func() bool {
		if !tasksDone {
			return true
		}
		for _, task := range s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + entry + "/tasks", Token: owner.Access}).Items() {
			if task["state"] != "done" {
				return false
			}
		}
		return true
	})
	task := s.Want(t, 200, Request{Method: "GET", Path: "/entries/" + entry + "/tasks", Token: owner.Access}).Items()[0]["id"].(string)
	s.Want(t, 202, Request{Method: "POST", Path: "/auth/otp/request", Body: map[string]any{"email": owner.Email}})
	v := subject{token: owner.Access, paths: map[string]string{"/entries": entry, "/auth/sessions": session, "/auth/tokens": pat.Text("id"), "/tasks": task}}
	v.fill = strings.NewReplacer("{email}", owner.Email, "{refresh}", owner.Refresh, "{entry}", entry, "{fresh}", strings.SplitN(owner.Email, "@", 2)[0][:20],
		"{code}", s.Mailbox.Messages()[0].Code)
	v.tag = s.ProfileTag(t, owner.Access)
	switch who {
	case "stranger":
		v.token = s.Register(t).Access
		v.tag = s.ProfileTag(t, v.token)
	case "anonymous":
		v.token = ""
	case "reader", "writer":
		scope := map[string]string{"reader": "entries:read", "writer": "entries:write"}[who]
		v.token = s.Want(t, 201, Request{Method: "POST", Path: "/auth/tokens", Token: owner.Access, Body: map[string]any{"name": who, "scopes": []string{scope}}}).Text("token")
	}
	return v
}

func (v subject) request(method, path string, op *openapi3.Operation) Request {
	r := Request{Method: method, Token: v.token, Header: map[string]string{"If-Match": `"v1"`}, Path: path}
	if path == "/auth/profile" {
		r.Header["If-Match"] = v.tag
	}
	for prefix, id := range v.paths {
		if strings.HasPrefix(path, prefix+"/{id}") {
			r.Path = strings.Replace(path, "{id}", id, 1)
		}
	}
	r.Path = strings.NewReplacer("{tag}", "a", "{kind}", "week").Replace(r.Path)
	if op.RequestBody != nil && method != http.MethodGet {
		r.Body = v.fill.Replace(bodies[op.OperationID])
	}
	return r
}
