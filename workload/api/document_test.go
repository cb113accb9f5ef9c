package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

// The document and the router know the same operations with the same scopes.
func TestTheDocumentKnowsEveryRoute(t *testing.T) {
	raw, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	var spec specDoc
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	inSpec := 0
	for _, operations := range spec.Paths {
		inSpec += len(operations)
	}
	if inSpec != len(routes()) {
		t.Errorf("the document has %d operations, the router %d", inSpec, len(routes()))
	}
	for _, r := range routes() {
		op, ok := spec.Paths[r.path][strings.ToLower(r.method)]
		if !ok {
			t.Errorf("%s %s is not in the document", r.method, r.path)
		} else if op.Scope != r.scope {
			t.Errorf("%s %s: the document says scope %q, the router %q", r.method, r.path, op.Scope, r.scope)
		}
	}
}

func TestDocsNeedNothingFromElsewhere(t *testing.T) {
	router := mux.NewRouter()
	serveDocs(router)
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest("GET", "/docs", nil))
	page := w.Body.String()
	for _, banned := range []string{"http://", "https://", "<script", "style=", "<style", "onclick"} {
		if strings.Contains(page, banned) {
			t.Errorf("the page contains %q, which its policy forbids", banned)
		}
	}
	for _, r := range routes() {
		if !strings.Contains(page, "<code>"+r.path+"</code>") {
			t.Errorf("%s %s is not on the page", r.method, r.path)
		}
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
}
