package rig

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// A Call is one request to the API server.
type Call struct {
	// Verb is the HTTP method, or WATCH.
	Verb      string
	Resource  string // "pods", or "engloginstances/status"; a path where it is no resource
	Namespace string
	Name      string
	At        time.Time
	// Refused is true when the server answered with 400 or more, such as the conflict of a write that came too late.
	Refused bool
}

func (c Call) String() string {
	return strings.TrimRight(c.Verb+" "+c.Resource+" "+c.Namespace+"/"+c.Name, "/ ")
}

// Calls records the requests of one client. It counts on the client's side, when a request starts: the server's audit
// log would be written after the answer, and a count right after a call would miss it.
type Calls struct {
	mu    sync.Mutex
	calls []Call
}

// ConfigAs is the rig's configuration with a user agent of its own, for the thing under test, and the record of what is
// asked with it.
func (r *Rig) ConfigAs(userAgent string) (*rest.Config, *Calls) {
	config, calls := rest.CopyConfig(r.Config), &Calls{}
	config.UserAgent = userAgent
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			n := calls.add(callOf(request, time.Now()))
			response, err := next.RoundTrip(request)
			if err == nil && response.StatusCode >= http.StatusBadRequest {
				calls.refuse(n)
			}
			return response, err
		})
	})
	return config, calls
}

// Since lists the calls that began at or after a point in time, leases left out: renewing one is the price of having a
// leader, not work.
func (c *Calls) Since(begun time.Time) []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.calls), func(call Call) bool {
		return call.At.Before(begun) || call.Resource == "leases"
	})
}

// add returns the call's place in the record.
func (c *Calls) add(call Call) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call)
	return len(c.calls) - 1
}

func (c *Calls) refuse(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[n].Refused = true
}

// callOf reads a request's path: /api/v1 or /apis/<group>/<version>, then [namespaces/<namespace>/]<resource>[/<name>[/<subresource>]].
func callOf(request *http.Request, at time.Time) Call {
	call := Call{Verb: request.Method, Resource: request.URL.Path, At: at}
	if request.URL.Query().Get("watch") != "" {
		call.Verb = "WATCH"
	}
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		parts = parts[3:]
	default: // discovery, health
		return call
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		call.Namespace, parts = parts[1], parts[2:]
	}
	call.Resource = parts[0]
	if len(parts) > 1 {
		call.Name = parts[1]
	}
	if len(parts) > 2 {
		call.Resource += "/" + parts[2]
	}
	return call
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
