package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/mail"
	"github.com/garnizeh/englog-operator/workload/obs"
)

// Prefix of every operation.
const Prefix = "/api/v1"

// Entries keeps entries. Package store's Store is one.
type Entries interface {
	CreateEntry(ctx context.Context, e englog.Entry, t englog.NewTasks, key englog.IdempotencyKey, saved englog.Saved) ([]englog.TaskRef, error)
	CreateEntries(ctx context.Context, entries []englog.Entry, tasks []englog.NewTasks, once englog.Once) ([]englog.TaskRef, error)
	SavedAnswer(ctx context.Context, user englog.UserID, key englog.IdempotencyKey) (englog.Saved, error)
	Entry(ctx context.Context, user englog.UserID, id englog.EntryID) (englog.Entry, error)
	UpdateEntry(ctx context.Context, e englog.Entry, t englog.NewTasks) (englog.Entry, []englog.TaskRef, error)
	DeleteEntry(ctx context.Context, user englog.UserID, id englog.EntryID, version int32) error
	DeleteEntries(ctx context.Context, user englog.UserID, ids []englog.EntryID) ([]englog.EntryID, error)
	FindEntries(ctx context.Context, user englog.UserID, q englog.EntryQuery) ([]englog.Hit, error)
}

// Analysis tells what became of an entry's tasks. Package store's Tasks is one.
type Analysis interface {
	OfEntry(ctx context.Context, user, entry uuid.UUID) ([]englog.Task, error)
	InsightsOfEntry(ctx context.Context, user, entry uuid.UUID) ([]englog.Insight, error)
	Failed(ctx context.Context, user uuid.UUID, limit int) ([]englog.Task, error)
	Rerun(ctx context.Context, user, entry uuid.UUID, kinds []englog.Kind, requestID string) ([]englog.TaskRef, error)
	RerunTask(ctx context.Context, user, task uuid.UUID) ([]englog.TaskRef, error)
	InsightsOfUser(ctx context.Context, user uuid.UUID, kind englog.Kind, since time.Time, limit int) ([]englog.Insight, error)
}

// Kicker publishes tasks right after the commit. Package queue's Kicker is one.
type Kicker interface {
	Accepts(kinds []englog.Kind) bool
	Kick(refs []englog.TaskRef)
}

// Generator drafts an entry from a prompt.
type Generator interface {
	Generate(ctx context.Context, user englog.UserID, prompt, about string) (Draft, error)
}

// Draft is an entry that a model proposes; its user decides whether to keep it.
type Draft struct {
	Title    string   `json:"title"`
	Body     string   `json:"body"`
	Kind     string   `json:"kind"`
	Mood     int16    `json:"mood,omitempty"`
	Tags     []string `json:"tags"`
	Provider string   `json:"provider"`
}

// Limiter counts requests. Package redisx's Limiter is one.
type Limiter interface {
	Allow(ctx context.Context, key string, perSecond, burst int) (allowed bool, retryAfter time.Duration, degraded bool)
}

// Options of a Server.
type Options struct {
	Accounts *auth.Service
	Entries  Entries
	Analysis Analysis
	Numbers  Numbers
	Kicker   Kicker
	Limiter  Limiter
	Clock    englog.Clock
	Log      *slog.Logger
	Registry prometheus.Registerer
	Tracing  *obs.Tracing // nil: no traces
	// Mailbox shows login codes in development; nil elsewhere.
	Mailbox *mail.Mailbox
	// Generator drafts entries; nil: there is none.
	Generator Generator
	// GenerateTimeout bounds a draft; 0: as any other request.
	GenerateTimeout time.Duration
	// EditDebounce is how long the analysis of an edit waits for the next edit.
	EditDebounce time.Duration
	Features     Features
	// Kinds are the tasks that an entry version makes.
	Kinds []englog.Kind
	// MaxContentSize bounds body plus metadata of an entry, in bytes.
	MaxContentSize int
	// RateLimit is requests a second, for each user, and for each address before login.
	RateLimit int
	// TrustedProxies are the networks whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
}

// Server answers requests.
type Server struct {
	Options
	metrics *obs.HTTP
	bodyMax int64
}

// route is one operation.
type route struct {
	method, path string
	// scope that the token must have; public needs no token.
	scope  string
	handle func(*Server, *call) error
	// bodyMax overrides the limit of the body, in bytes; 0 keeps the usual one.
	bodyMax int64
	// budget is the time that the operation may take; nil: the usual one.
	budget func(*Server) time.Duration
}

const public = ""

// New returns the handler of the whole interface.
func New(o Options) http.Handler {
	// JSON may need six bytes for one of the text (\u0000), and batches have their own limit.
	s := &Server{Options: o, metrics: obs.NewHTTP(o.Registry), bodyMax: int64(6*o.MaxContentSize + 64<<10)}
	router := mux.NewRouter()
	router.UseEncodedPath()
	for _, r := range routes() {
		router.Handle(Prefix+r.path, s.wrap(r)).Methods(r.method)
	}
	serveDocs(router)
	router.NotFoundHandler = s.wrap(route{method: "any", path: "unknown", handle: func(*Server, *call) error {
		return englog.Errorf(englog.CodeNotFound, "There is no such address.")
	}})
	router.MethodNotAllowedHandler = s.wrap(route{method: "any", path: "unknown", handle: func(*Server, *call) error {
		return &statusError{http.StatusMethodNotAllowed, englog.Errorf(englog.CodeInvalid, "The address does not know this method.")}
	}})
	return router
}

// routes lists every operation; a test compares it with the OpenAPI document.
// Of two that fit a path the first is taken. Entries come first: they are most of
// all traffic, and each route before the right one costs a regular expression.
func routes() []route {
	read, write, account := englog.ScopeRead, englog.ScopeWrite, englog.ScopeAccount
	return []route{
		{method: "POST", path: "/entries", scope: write, handle: (*Server).createEntry},
		{method: "GET", path: "/entries", scope: read, handle: (*Server).listEntries},
		{method: "POST", path: "/entries/batch", scope: write, handle: (*Server).createEntries, bodyMax: 16 << 20},
		{method: "POST", path: "/entries/batch-delete", scope: write, handle: (*Server).deleteEntries},
		{method: "GET", path: "/entries/on-this-day", scope: read, handle: (*Server).onThisDay},
		{method: "GET", path: "/entries/{id}", scope: read, handle: (*Server).readEntry},
		{method: "PUT", path: "/entries/{id}", scope: write, handle: (*Server).updateEntry},
		{method: "DELETE", path: "/entries/{id}", scope: write, handle: (*Server).deleteEntry},
		{method: "GET", path: "/entries/{id}/tasks", scope: read, handle: (*Server).entryTasks},
		{method: "POST", path: "/entries/{id}/tasks", scope: write, handle: (*Server).rerunEntry},
		{method: "GET", path: "/entries/{id}/insights", scope: read, handle: (*Server).entryInsights},

		{method: "GET", path: "/capabilities", handle: (*Server).capabilities},
		{method: "POST", path: "/auth/register", handle: (*Server).register},
		{method: "POST", path: "/auth/login", handle: (*Server).login},
		{method: "POST", path: "/auth/refresh", handle: (*Server).refresh},
		{method: "POST", path: "/auth/otp/request", handle: (*Server).requestCode},
		{method: "POST", path: "/auth/otp/verify", handle: (*Server).verifyCode},
		{method: "POST", path: "/auth/logout", scope: account, handle: (*Server).logout},
		{method: "GET", path: "/auth/sessions", scope: account, handle: (*Server).listSessions},
		{method: "DELETE", path: "/auth/sessions", scope: account, handle: (*Server).revokeSessions},
		{method: "DELETE", path: "/auth/sessions/{id}", scope: account, handle: (*Server).revokeSession},
		{method: "POST", path: "/auth/password", scope: account, handle: (*Server).changePassword},
		{method: "GET", path: "/auth/tokens", scope: account, handle: (*Server).listTokens},
		{method: "POST", path: "/auth/tokens", scope: account, handle: (*Server).createToken},
		{method: "DELETE", path: "/auth/tokens/{id}", scope: account, handle: (*Server).deleteToken},
		{method: "POST", path: "/auth/invites", scope: account, handle: (*Server).createInvite},
		{method: "GET", path: "/auth/profile", scope: account, handle: (*Server).readProfile},
		{method: "PATCH", path: "/auth/profile", scope: account, handle: (*Server).changeProfile},
		{method: "POST", path: "/auth/account/deletion", scope: account, handle: (*Server).deleteAccount},
		{method: "GET", path: "/dev/mailbox", handle: (*Server).mailbox},

		{method: "GET", path: "/tags", scope: read, handle: (*Server).listTags},
		{method: "POST", path: "/tags/rename", scope: write, handle: (*Server).renameTag},
		{method: "DELETE", path: "/tags/{tag}", scope: write, handle: (*Server).removeTag},
		{method: "GET", path: "/stats", scope: read, handle: (*Server).stats},
		{method: "GET", path: "/stats/trends", scope: read, handle: (*Server).trends},
		{method: "GET", path: "/stats/heatmap", scope: read, handle: (*Server).heatmap},
		{method: "GET", path: "/summaries/{kind}", scope: read, handle: (*Server).summary},
		{method: "GET", path: "/insights", scope: read, handle: (*Server).listInsights},
		{method: "GET", path: "/tasks/failed", scope: read, handle: (*Server).failedTasks},
		{method: "POST", path: "/tasks/{id}/retry", scope: write, handle: (*Server).retryTask},
		{method: "POST", path: "/ai/generate", scope: write, handle: (*Server).generate, budget: (*Server).generateBudget},
	}
}
