// Package scenario runs the service in a test: the real handlers on a real
// PostgreSQL and Redis, with a worker beside, and a client that holds every
// request and answer against the OpenAPI document.
//
// No shipped program may import it.
package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
	"github.com/garnizeh/englog-operator/workload/api"
	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/insight"
	"github.com/garnizeh/englog-operator/workload/mail"
	"github.com/garnizeh/englog-operator/workload/obs"
	"github.com/garnizeh/englog-operator/workload/queue"
	"github.com/garnizeh/englog-operator/workload/redisx"
	"github.com/garnizeh/englog-operator/workload/store"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

// Key signs the access tokens of tests.
const Key = "a key of a test, which is long enough"

// Clock is real time plus an offset that a test may move.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now is the moved time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return englog.SystemClock{}.Now().Add(c.offset)
}

// Advance moves the time.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// Service is a running API with its stores.
type Service struct {
	URL     string
	Clock   *Clock
	Store   *store.Store
	Mailbox *mail.Mailbox
	Logs    *Buffer
	// Worker is the queue's; Drain it to see what nobody works on.
	Worker   *queue.Worker
	database string
	instance string
	redisURL string
	redis    *redisx.Client
	spec     routers.Router
}

// Options change a service before it starts; any may be nil.
type Options struct {
	Auth func(*auth.Options)
	API  func(*api.Options)
	// AI answers the worker's requests; the built-in provider unless given.
	AI insight.Analyst
	// Concurrency is how many tasks the worker runs at once; 0: its usual number.
	Concurrency int
	// Beside is another service: this one shares its database, Redis and clock, as
	// a second pod does.
	Beside *Service
	// Redis is a server of the test's own, to be stopped or wiped; the shared one
	// unless given.
	Redis *testrig.Redis
}

// Start starts an API on a new database, and a worker. The test runs beside others.
func Start(t testing.TB, o Options) *Service {
	t.Helper()
	if p, ok := t.(*testing.T); ok && o.Beside == nil {
		p.Parallel()
	}
	s := &Service{Clock: &Clock{}, Mailbox: &mail.Mailbox{}, Logs: &Buffer{}, spec: loadSpec(t)}
	s.place(t, o)
	s.Store = testrig.OpenStore(t, s.database)
	client, err := redisx.Open(redisx.Options{URL: func() (string, error) { return s.redisURL, nil }, Instance: s.instance})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	s.redis = client
	log := obs.NewLogger(s.Logs, slog.LevelDebug)
	kicker := queue.NewKicker(client, s.Store.Tasks(), log)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { kicker.Run(ctx) })
	server := httptest.NewServer(s.handler(t, o, client, kicker, log))
	s.URL = server.URL
	s.startWorker(t, ctx, &wg, o, log)
	t.Cleanup(func() {
		server.Close()
		cancel()
		wg.Wait()
	})
	return s
}

// place decides where the data lies.
func (s *Service) place(t testing.TB, o Options) {
	t.Helper()
	if other := o.Beside; other != nil {
		s.database, s.redisURL, s.instance, s.Clock = other.database, other.redisURL, other.instance, other.Clock
		return
	}
	if o.Redis == nil {
		o.Redis = testrig.SharedRedis(t)
	}
	s.database, s.redisURL, s.instance = testrig.Database(t), o.Redis.URL(), "test."+uuid.NewString()
}

func (s *Service) handler(t testing.TB, o Options, client *redisx.Client, kicker *queue.Kicker, log *slog.Logger) http.Handler {
	key := func() (string, error) { return Key, nil }
	none := func() (string, error) { return "", nil }
	ring, err := auth.NewRing(key, none, none)
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := auth.NewPasswords(2, 0)
	if err != nil {
		t.Fatal(err)
	}
	authOptions := auth.Options{Store: s.Store, Ring: ring, Passwords: passwords, Clock: s.Clock, Mailer: s.Mailbox,
		SessionTimeout: 24 * time.Hour, Registration: "open", Log: log}
	if o.Auth != nil {
		o.Auth(&authOptions)
	}
	options := api.Options{Accounts: auth.New(authOptions), Entries: s.Store, Analysis: s.Store.Tasks(), Numbers: s.Store, Kicker: kicker,
		Limiter: redisx.NewLimiter(client), Clock: s.Clock, Log: log, Registry: prometheus.NewRegistry(), Kinds: englog.EntryTaskKinds(),
		MaxContentSize: 50_000, RateLimit: 1000, Mailbox: s.Mailbox, Generator: generator{insight.Desk{Drafts: s.Store.Tasks(), Patience: 10 * time.Second}},
		GenerateTimeout: 15 * time.Second}
	if o.API != nil {
		o.API(&options)
	}
	return api.New(options)
}

// generator asks the worker for drafts.
type generator struct{ desk insight.Desk }

func (g generator) Generate(ctx context.Context, user englog.UserID, prompt, about string) (api.Draft, error) {
	d, provider, err := g.desk.Generate(ctx, englog.DraftRequest{UserID: user, Prompt: prompt, Background: about})
	return api.Draft{Title: d.Title, Body: d.Body, Kind: d.Kind, Mood: d.Mood, Tags: append([]string{}, d.Tags...), Provider: provider}, err
}

func (s *Service) startWorker(t testing.TB, ctx context.Context, wg *sync.WaitGroup, o Options, log *slog.Logger) {
	if o.AI == nil {
		o.AI = ai.Builtin{}
	}
	drafter := &insight.Drafter{Drafts: s.Store.Tasks(), Analyst: o.AI, Patience: 10 * time.Second, Log: log}
	wg.Go(func() { drafter.Run(ctx) })
	found, err := insight.Handlers(s.Store.Tasks(), o.AI, englog.TaskKinds())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []englog.KindVersion
	var handlers []queue.Handler
	for _, h := range found {
		handlers = append(handlers, h)
		kinds = append(kinds, englog.KindVersion{Kind: h.Kind(), Version: h.Kind().Version()})
	}
	owner := "worker-" + uuid.NewString()
	streams, err := s.redis.Streams(owner, kinds)
	if err != nil {
		t.Fatal(err)
	}
	w, err := queue.New(queue.Options{Store: s.Store.Tasks(), Transport: streams, Handlers: handlers, Owner: owner, Concurrency: o.Concurrency, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.Worker = w
	wg.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

var spec = sync.OnceValues(func() (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/markdown", openapi3filter.PlainBodyDecoder)
	raw, err := api.Document()
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// Spec returns the OpenAPI document.
func Spec(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func loadSpec(t testing.TB) routers.Router {
	t.Helper()
	router, err := gorillamux.NewRouter(Spec(t))
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// Request is one request of a test.
type Request struct {
	Method, Path string // the path begins behind /api/v1
	Token        string
	Body         any // a string is sent as it is
	Header       map[string]string
	// Invalid says that the request breaks the document on purpose.
	Invalid bool
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any
}

// Text returns a string field of the answer.
func (a Answer) Text(name string) string {
	s, _ := a.JSON[name].(string)
	return s
}

// Items returns the list of the answer.
func (a Answer) Items() []map[string]any {
	list, _ := a.JSON["items"].([]any)
	items := make([]map[string]any, 0, len(list))
	for _, v := range list {
		item, _ := v.(map[string]any)
		items = append(items, item)
	}
	return items
}

// Do sends a request and holds it and its answer against the document.
func (s *Service) Do(t testing.TB, r Request) Answer {
	t.Helper()
	raw, isText := r.Body.(string)
	if r.Body != nil && !isText {
		encoded, err := json.Marshal(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		raw = string(encoded)
	}
	request := s.build(t, r, raw)
	route, params, err := s.spec.FindRoute(request)
	input := &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, IncludeResponseStatus: true}}
	if err == nil && !r.Invalid {
		if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
			t.Errorf("%s %s: the request is not that of the document: %v", r.Method, r.Path, err)
		}
	}
	response, doErr := http.DefaultClient.Do(s.build(t, r, raw))
	if doErr != nil {
		t.Fatal(doErr)
	}
	defer response.Body.Close()
	body, readErr := io.ReadAll(response.Body)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if route != nil {
		out := (&openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: response.StatusCode, Header: response.Header,
			Options: input.Options}).SetBodyBytes(body)
		if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
			t.Errorf("%s %s: the answer %d is not that of the document: %v\n%s", r.Method, r.Path, response.StatusCode, err, body)
		}
	}
	answer := Answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	_ = json.Unmarshal(body, &answer.JSON)
	return answer
}

func (s *Service) build(t testing.TB, r Request, raw string) *http.Request {
	t.Helper()
	request, err := http.NewRequest(r.Method, s.URL+api.Prefix+r.Path, strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Scheme, request.URL.Host = "http", strings.TrimPrefix(s.URL, "http://")
	if r.Body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.Token != "" {
		request.Header.Set("Authorization", "Bearer "+r.Token)
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	return request
}

// Want sends a request and demands a status.
func (s *Service) Want(t testing.TB, status int, r Request) Answer {
	t.Helper()
	a := s.Do(t, r)
	if a.Status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", r.Method, r.Path, a.Status, status, a.Body)
	}
	return a
}

// Password is that of every user of a test.
const Password = "correct horse battery staple"

// Login is a user who is logged in.
type Login struct{ Email, Access, Refresh string }

// Register makes a user.
func (s *Service) Register(t testing.TB) Login {
	t.Helper()
	email := uuid.NewString() + "@example.com"
	a := s.Want(t, 201, Request{Method: "POST", Path: "/auth/register", Body: map[string]any{"email": email, "name": "Ada", "password": Password}})
	return Login{email, a.Text("access_token"), a.Text("refresh_token")}
}

// Write makes an entry and returns its id.
func (s *Service) Write(t testing.TB, token string, fields map[string]any) string {
	t.Helper()
	return s.Want(t, 201, Request{Method: "POST", Path: "/entries", Token: token, Body: fields}).Text("id")
}

// ProfileTag reads the ETag of the own profile.
func (s *Service) ProfileTag(t testing.TB, token string) string {
	t.Helper()
	return s.Want(t, 200, Request{Method: "GET", Path: "/auth/profile", Token: token}).Header.Get("ETag")
}

// ChangeProfile changes the profile as it is now, and demands a status.
func (s *Service) ChangeProfile(t testing.TB, status int, token string, change map[string]any) Answer {
	t.Helper()
	return s.Want(t, status, Request{
		Method: "PATCH", Path: "/auth/profile", Token: token, Header: map[string]string{"If-Match": s.ProfileTag(t, token)}, Body: change,
	})
}

// Await repeats a look until it is content.
func Await(t testing.TB, what string, look func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !look() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Buffer collects logs.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns everything.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
