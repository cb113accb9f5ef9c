package load

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// fakeService answers as the EngLog API does, as far as the generator asks, and can be told to misbehave.
type fakeService struct {
	*httptest.Server
	mu       sync.Mutex
	entries  map[string]bool
	peers    map[string]bool // client addresses without port
	counted  atomic.Int64    // requests for entries by the counted client
	created  atomic.Int64
	asked    atomic.Int64
	revision atomic.Value
	// misbehave may answer a request itself (and return true) before anything else looks at it.
	misbehave atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	tasks     atomic.Pointer[string]
}

func newFakeService(t *testing.T) *fakeService {
	t.Helper()
	f := &fakeService{entries: map[string]bool{}, peers: map[string]bool{}}
	f.revision.Store("blue")
	f.setTasks(`{"items":[{"id":"t","kind":"mood","state":"done","entry_version":1}]}`)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/auth/register", f.session(http.StatusCreated))
	mux.HandleFunc("POST /api/v1/auth/login", f.session(http.StatusOK))
	mux.HandleFunc("POST /api/v1/entries", f.create)
	mux.HandleFunc("GET /api/v1/entries", f.list)
	mux.HandleFunc("GET /api/v1/entries/{id}", f.get)
	mux.HandleFunc("GET /api/v1/entries/{id}/tasks", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, *f.tasks.Load()) })
	mux.HandleFunc("GET /api/v1/entries/{id}/insights", f.insights)
	f.Server = httptest.NewServer(f.wrap(mux))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeService) address() string { return strings.TrimPrefix(f.URL, "http://") }

func (f *fakeService) setTasks(s string) { f.tasks.Store(&s) }

func (f *fakeService) set(m func(http.ResponseWriter, *http.Request) bool) { f.misbehave.Store(&m) }

func (f *fakeService) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		f.mu.Lock()
		f.peers[host] = true
		f.mu.Unlock()
		if strings.HasPrefix(r.URL.Path, "/api/v1/entries") {
			f.counted.Add(1)
		}
		w.Header().Set(revisionHeader, f.revision.Load().(string))
		if m := f.misbehave.Load(); m != nil && (*m)(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (f *fakeService) session(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token", "expires_in": 900})
	}
}

func (f *fakeService) create(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	id := fmt.Sprintf("entry-%d", f.created.Add(1))
	f.mu.Lock()
	f.entries[id] = true
	f.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"id":%q,"version":1}`, id)
}

func (f *fakeService) list(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprint(w, `{"items":[]}`)
}

func (f *fakeService) get(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.entries[r.PathValue("id")] {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = fmt.Fprintf(w, `{"id":%q,"version":1}`, r.PathValue("id"))
}

// insights come with the third question, as from a worker that needs a moment.
func (f *fakeService) insights(w http.ResponseWriter, _ *http.Request) {
	if f.asked.Add(1) < 3 {
		_, _ = fmt.Fprint(w, `{"items":[]}`)
		return
	}
	_, _ = fmt.Fprint(w, `{"items":[{"kind":"sentiment","data":{"score":1}}]}`)
}

// lose forgets an entry after it was acknowledged.
func (f *fakeService) lose(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.entries, id)
}
