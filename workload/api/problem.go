package api

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	englog "github.com/garnizeh/englog-operator/workload"
)

// statuses is the only map from codes to statuses.
var statuses = map[englog.Code]int{
	englog.CodeInvalid:         http.StatusBadRequest,
	englog.CodeUnauthenticated: http.StatusUnauthorized,
	englog.CodeForbidden:       http.StatusForbidden,
	englog.CodeNotFound:        http.StatusNotFound,
	englog.CodeConflict:        http.StatusConflict,
	englog.CodeStale:           http.StatusPreconditionFailed,
	englog.CodeTooLarge:        http.StatusRequestEntityTooLarge,
	englog.CodeRateLimited:     http.StatusTooManyRequests,
	englog.CodeUnavailable:     http.StatusServiceUnavailable,
	englog.CodeInternal:        http.StatusInternalServerError,
}

// statusError is an error whose status is more exact than its code's.
type statusError struct {
	status int
	err    *englog.Error
}

func (e *statusError) Error() string { return e.err.Error() }

// Unwrap shows the error itself.
func (e *statusError) Unwrap() error { return e.err }

// problem is the body of RFC 9457 with our extension members.
type problem struct {
	Type           string              `json:"type"`
	Title          string              `json:"title"`
	Status         int                 `json:"status"`
	Detail         string              `json:"detail"`
	Code           englog.Code         `json:"code"`
	RequestID      string              `json:"request_id"`
	Errors         []englog.FieldError `json:"errors,omitempty"`
	CurrentVersion int32               `json:"current_version,omitempty"`
}

// fail answers with a problem. What is not meant for clients goes to the log.
func (s *Server) fail(c *call, err error) {
	if c.status != 0 {
		return // the answer has begun
	}
	e := toError(err)
	p := problem{Type: "about:blank", Status: statuses[e.Code], Detail: e.Message, Code: e.Code, RequestID: c.requestID,
		Errors: e.Fields, CurrentVersion: e.CurrentVersion}
	var exact *statusError
	if errors.As(err, &exact) {
		p.Status = exact.status
	}
	p.Title = http.StatusText(p.Status)
	if p.Status >= 500 {
		s.Log.ErrorContext(c.ctx, "a request failed", "code", string(e.Code), "error", err.Error())
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/problem+json")
	switch {
	case e.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	case p.Status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="englog"`)
	case e.CurrentVersion > 0:
		h.Set("ETag", etag(e.CurrentVersion))
	}
	c.status = p.Status
	c.w.WriteHeader(p.Status)
	raw, _ := json.Marshal(p) // strings and numbers always encode
	_, _ = c.w.Write(raw)
}

// toError turns any error into one that may be shown.
func toError(err error) *englog.Error {
	var e *englog.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || unreachable(err) {
		return englog.Unavailable("The service cannot answer now. Try again.", err)
	}
	return &englog.Error{Code: englog.CodeInternal, Message: "Something went wrong. The request id helps to find out what.", Err: err}
}

// unreachable recognises a store that is down, without knowing which store.
func unreachable(err error) bool {
	var temporary interface{ SafeToRetry() bool }
	if errors.As(err, &temporary) && temporary.SafeToRetry() {
		return true
	}
	var network interface{ Timeout() bool }
	return errors.As(err, &network)
}
