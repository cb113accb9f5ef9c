package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"go.opentelemetry.io/otel/trace"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/obs"
)

// requestBudget bounds the work of one request, unless its route says otherwise.
const requestBudget = 10 * time.Second

// call is one request on its way.
type call struct {
	w         http.ResponseWriter
	r         *http.Request
	ctx       context.Context
	actor     englog.Actor
	requestID string
	status    int
	bodyMax   int64
}

// wrap does for every operation what all have in common: request id, deadline,
// authentication, rate limit, errors, metrics, one log line.
func (s *Server) wrap(rt route) http.Handler {
	metrics := s.metrics.Route(rt.path, rt.method)
	name := rt.method + " " + Prefix + rt.path
	budget := requestBudget
	if rt.budget != nil {
		budget = max(budget, rt.budget(s))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &call{w: w, r: r, requestID: requestID(r), bodyMax: s.bodyMax}
		if rt.bodyMax > 0 {
			c.bodyMax = rt.bodyMax
		}
		setHeaders(w.Header(), c.requestID)
		ctx, cancel := context.WithTimeout(obs.WithRequestID(r.Context(), c.requestID), budget)
		defer cancel()
		ctx, endSpan := s.Tracing.Begin(ctx, r.Header.Get("Traceparent"), name, trace.SpanKindServer)
		c.ctx = ctx
		defer func() {
			if v := recover(); v != nil {
				s.Log.ErrorContext(ctx, "a handler panicked", "route", rt.path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				s.fail(c, errors.New("panic"))
			}
			endSpan(ourFault(c.status))
			took := time.Since(start)
			metrics.Observe(c.status, took)
			s.Log.InfoContext(ctx, "request", "method", rt.method, "route", rt.path, "status", c.status, "milliseconds", took.Milliseconds())
		}()
		if err := s.run(rt, c); err != nil {
			s.fail(c, err)
		}
	})
}

// ourFault is an error when a request failed through no fault of its client.
func ourFault(status int) error {
	if status >= 500 {
		return errors.New(http.StatusText(status))
	}
	return nil
}

func (s *Server) run(rt route, c *call) error {
	if rt.scope == public {
		if err := s.limit(c, "ip:"+s.clientIP(c.r)); err != nil {
			return err
		}
		return rt.handle(s, c)
	}
	token, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || len(token) > 4096 {
		return englog.Errorf(englog.CodeUnauthenticated, "The request needs a header Authorization: Bearer <access token>.")
	}
	var err error
	if c.actor, err = s.Accounts.Authenticate(c.ctx, token); err != nil {
		return err
	}
	if err := s.limit(c, "user:"+c.actor.UserID.String()); err != nil {
		return err
	}
	if !c.actor.May(rt.scope) {
		return englog.Errorf(englog.CodeForbidden, "The token lacks the scope %s.", rt.scope)
	}
	return rt.handle(s, c)
}

func (s *Server) limit(c *call, key string) error {
	ok, after, _ := s.Limiter.Allow(c.ctx, key, s.RateLimit, 2*s.RateLimit)
	if ok {
		return nil
	}
	return &englog.Error{Code: englog.CodeRateLimited, Message: "Too many requests.", RetryAfter: after}
}

// setHeaders are the same for every answer: it is data, for one client only.
func setHeaders(h http.Header, requestID string) {
	h["X-Request-Id"] = []string{requestID}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = nothing
}

var (
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
	nothing  = []string{"default-src 'none'; frame-ancestors 'none'"}
	jsonType = []string{"application/json; charset=utf-8"}
)

// requestID takes over the id of a caller if it is harmless, else makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) < 8 || len(id) > 64 || strings.ContainsFunc(id, notIDRune) {
		return uuid.Must(uuid.NewV7()).String()
	}
	return id
}

func notIDRune(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
}

// clientIP is the peer, or what a trusted proxy says it forwarded for: the last
// address that is not itself a trusted proxy.
func (s *Server) clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if !s.trusted(host) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		if _, err := netip.ParseAddr(hop); err != nil {
			break
		}
		host = hop
		if !s.trusted(hop) {
			break
		}
	}
	return host
}

func (s *Server) trusted(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, network := range s.TrustedProxies {
		if network.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

func (s *Server) client(c *call) auth.Client {
	agent := strings.ToValidUTF8(c.r.UserAgent(), "")
	return auth.Client{IP: s.clientIP(c.r), UserAgent: strings.ReplaceAll(agent, "\x00", "")}
}

// pathID reads an id of the path; what is no UUID exists as little as any other
// unknown id.
func (c *call) pathID(name, what string) (uuid.UUID, error) {
	id, err := uuid.Parse(mux.Vars(c.r)[name])
	if err != nil {
		return id, englog.NotFound(what)
	}
	return id, nil
}

// read returns the whole body of a JSON request.
func (c *call) read() ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &statusError{http.StatusUnsupportedMediaType, englog.Errorf(englog.CodeInvalid, "The body must be JSON: send Content-Type: application/json.")}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, c.bodyMax))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, englog.Errorf(englog.CodeTooLarge, "The body has more than %d bytes.", c.bodyMax)
	}
	if err != nil {
		return nil, englog.Errorf(englog.CodeInvalid, "The body could not be read.")
	}
	return raw, nil
}

// decode reads the body into v and refuses what v does not know.
func (c *call) decode(v any) error {
	raw, err := c.read()
	if err != nil {
		return err
	}
	return decodeStrict(raw, v)
}

func decodeStrict(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("more than one value")
		}
	}
	return decodeError(err)
}

func decodeError(err error) error {
	var kind *json.UnmarshalTypeError
	var date *time.ParseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &kind):
		return englog.Invalid(orBody(kind.Field), "has the wrong type: a "+kind.Value+" is not allowed here")
	case errors.As(err, &date):
		return englog.Invalid("occurred_at", "must be a time of RFC 3339, for example 2026-03-01T09:00:00Z")
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		field := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		return englog.Invalid(field, "is not known: remove it")
	}
	return englog.Errorf(englog.CodeInvalid, "The body is not one valid JSON value.")
}

func orBody(field string) string {
	if field == "" {
		return "body"
	}
	return field
}

// send answers with JSON that is already encoded. Its length is known: without it a
// long answer would go out in chunks, each a system call.
func (c *call) send(status int, raw []byte) error {
	c.status = status
	h := c.w.Header()
	h["Content-Type"], h["Content-Length"] = jsonType, []string{strconv.Itoa(len(raw))}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(raw) // the client may be gone
	return nil
}

// json answers with a value.
func (c *call) json(status int, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	return c.send(status, raw)
}

// empty answers without a body.
func (c *call) empty() error {
	c.status = http.StatusNoContent
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
