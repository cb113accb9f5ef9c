package probe

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/client-go/rest"

	"github.com/garnizeh/englog-operator/controllers/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is the address of a test server, as a Service.
func at(t *testing.T, address, path string) plan.Address {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Address{Service: "demo-api", IP: host, Port: int32(n), Path: path}
}

func revisionServer(revision string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(revisionHeader, revision) })
}

// The trap that a reused connection sets: a balancer moves new connections to another backend and leaves the open ones where they are,
// as kube-proxy does. An asker that keeps a connection hears the old revision for ever.
func TestEveryTryIsAFreshConnection(t *testing.T) {
	older, newer := httptest.NewServer(revisionServer("old")), httptest.NewServer(revisionServer("new"))
	defer older.Close()
	defer newer.Close()
	var backend atomic.Pointer[string]
	to := func(s *httptest.Server) { address := s.Listener.Addr().String(); backend.Store(&address) }
	balancer := balance(t, &backend)
	to(older)
	target := at(t, balancer, "/health")
	for _, step := range []struct {
		server *httptest.Server
		want   string
	}{{older, "old"}, {newer, "new"}, {older, "old"}} {
		to(step.server)
		answer, err := Direct{}.Ask(t.Context(), "", http.MethodGet, target)
		if err != nil || answer.Revision != step.want {
			t.Errorf("answer = %+v, %v; want revision %s", answer, err, step.want)
		}
	}
}

// balance is a TCP balancer that picks the backend when a connection is opened.
func balance(t *testing.T, backend *atomic.Pointer[string]) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", *backend.Load())
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.Copy(in, out); in.Close() }()
		}
	}()
	return listener.Addr().String()
}

func TestDirectNeverFollowsRedirectsAndReadsABound(t *testing.T) {
	var followed atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "/secret", http.StatusFound)
		case "/secret":
			followed.Store(true)
		default:
			_, _ = w.Write(make([]byte, 1<<20))
		}
	}))
	defer server.Close()
	answer, err := Direct{}.Ask(t.Context(), "", http.MethodGet, at(t, server.Listener.Addr().String(), "/away"))
	if err != nil || answer.Status != http.StatusFound || followed.Load() {
		t.Errorf("answer = %+v, %v, followed = %v", answer, err, followed.Load())
	}
	answer, err = Direct{}.Ask(t.Context(), "", http.MethodGet, at(t, server.Listener.Addr().String(), "/big"))
	if err != nil || len(answer.Body) != maxBody {
		t.Errorf("read %d bytes, %v; want %d", len(answer.Body), err, maxBody)
	}
}

func TestDirectSaysWhyInStableWords(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangsUp.Close()
	for want, target := range map[string]plan.Address{
		"no answer in time":                      at(t, silent.Addr().String(), "/"),
		"connection refused":                     at(t, closed.Listener.Addr().String(), "/"),
		"the connection broke before the answer": at(t, hangsUp.Listener.Addr().String(), "/"),
		"its name does not resolve":              {Host: "no-such-host.invalid", Port: 80, Path: "/"},
		"must not ask":                           {Host: "localhost", Port: 80, Path: "/"},
		"not a valid request path":               {Service: "x", IP: "127.0.0.1", Port: 80, Path: "http://elsewhere.example/"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := Direct{}.Ask(ctx, "", http.MethodGet, target)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error = %v, want %q", target, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("the error %q names an address", err)
		}
	}
}

func TestRefusedNetworks(t *testing.T) {
	for address, refused := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "169.254.169.254:80": true, "[fe80::1]:80": true, "[::ffff:127.0.0.1]:443": true, "0.0.0.0:80": true,
		"10.0.0.1:80": false, "203.0.113.9:443": false, "nonsense": true,
	} {
		if err := refuseOwnNetwork(t.Context(), "tcp", address, nil); (err != nil) != refused {
			t.Errorf("%s: %v, want refused = %v", address, err, refused)
		}
	}
}

func TestProxied(t *testing.T) {
	var path, query, method string
	answers := map[string]func(w http.ResponseWriter){
		"pods/p:8081": func(w http.ResponseWriter) { w.Header().Set(revisionHeader, "new") },
		"services/demo-api:80": func(w http.ResponseWriter) {
			w.Header().Set(revisionHeader, "new")
			w.WriteHeader(http.StatusInternalServerError)
		},
		"pods/gone:8081": func(w http.ResponseWriter) { refuse(w, 404, "NotFound") },
		"pods/dead:8081": func(w http.ResponseWriter) { refuse(w, 503, "ServiceUnavailable") },
		"pods/mine:8081": func(w http.ResponseWriter) { refuse(w, 403, "Forbidden") },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, query, method = r.URL.Path, r.URL.RawQuery, r.Method
		name, _, _ := strings.Cut(strings.TrimPrefix(path, "/api/v1/namespaces/shop/"), "/proxy")
		answers[name](w)
	}))
	defer server.Close()
	asker, err := NewProxied(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	answer, err := asker.Ask(t.Context(), "shop", http.MethodPost, plan.Address{Pod: "p", IP: "10.0.0.1", Port: 8081, Path: "/retire?x=1"})
	if err != nil || answer.Revision != "new" || path != "/api/v1/namespaces/shop/pods/p:8081/proxy/retire" || query != "x=1" || method != "POST" {
		t.Errorf("%+v, %v from %s %s?%s", answer, err, method, path, query)
	}
	if answer, err := asker.Ask(t.Context(), "shop", http.MethodGet, plan.Address{Service: "demo-api", IP: "10.0.0.1", Port: 80, Path: "/health"}); err != nil || answer.Status != http.StatusInternalServerError {
		t.Errorf("the Service's own error became %+v, %v", answer, err)
	}
	for pod, want := range map[string]string{"gone": "does not exist", "dead": "cannot reach it", "mine": ErrBlind.Error()} {
		_, err := asker.Ask(t.Context(), "shop", http.MethodGet, plan.Address{Pod: pod, IP: "10.0.0.1", Port: 8081, Path: "/readyz"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pod, err, want)
		}
	}
	server.Close()
	if _, err := asker.Ask(t.Context(), "shop", http.MethodGet, plan.Address{Pod: "p", IP: "10.0.0.1", Port: 8081, Path: "/"}); err == nil || !strings.Contains(err.Error(), ErrBlind.Error()) {
		t.Errorf("an API server that is away: %v", err)
	}
}

func refuse(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"`+reason+`"}`)
}

func TestPrometheus(t *testing.T) {
	vector := func(values ...string) string {
		var list []string
		for _, v := range values {
			list = append(list, `{"metric":{},"value":[1760000000.1,"`+v+`"]}`)
		}
		return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(list, ",") + `]}}`
	}
	cases := map[string]struct {
		body, comparison, threshold string
		verdict                     verdict
		text                        string
	}{
		"holds":           {vector("0.001"), "LessThan", "0.01", passed, ""},
		"does not hold":   {vector("0.25"), "LessThan", "0.01", failed, "answered 0.25, wanted LessThan 0.01"},
		"equal":           {vector("3"), "Equal", "3", passed, ""},
		"at least":        {vector("3"), "GreaterThanOrEqual", "3", passed, ""},
		"at most":         {vector("3.1"), "LessThanOrEqual", "3", failed, "3.1"},
		"more":            {vector("3"), "GreaterThan", "3", failed, ""},
		"a scalar":        {`{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}`, "Equal", "7", passed, ""},
		"no data":         {vector(), "LessThan", "1", blind, "nothing was measured"},
		"no requests yet": {vector("NaN"), "LessThan", "1", blind, "NaN"},
		"several series":  {vector("1", "2"), "LessThan", "1", blind, "aggregate"},
		"a range":         {`{"status":"success","data":{"resultType":"matrix","result":[]}}`, "LessThan", "1", blind, "matrix"},
		"a bad query":     {`{"status":"error","errorType":"bad_data","error":"parse error: unexpected <eof>"}`, "LessThan", "1", blind, "parse error"},
		"another server":  {`<html>`, "LessThan", "1", blind, "not as Prometheus does"},
		"bad threshold":   {vector("1"), "LessThan", "x", blind, "not a number"},
		"bad comparison":  {vector("1"), "Near", "1", blind, "unknown"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/base/api/v1/query" || r.URL.Query().Get("query") != `sum(x{a="b"})` {
					t.Errorf("asked %s", r.URL)
				}
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			u, _ := url.JoinPath(server.URL, "base/")
			r, err := New(Options{Prometheus: u})
			if err != nil {
				t.Fatal(err)
			}
			o := r.try(t.Context(), "shop", plan.Probe{Protocol: plan.Prometheus, Query: `sum(x{a="b"})`, Operator: c.comparison, Threshold: c.threshold, Timeout: time.Second})
			if o.verdict != c.verdict || !strings.Contains(o.message, c.text) {
				t.Errorf("outcome = %+v, want %d and %q", o, c.verdict, c.text)
			}
		})
	}
}

func TestPrometheusThatIsAway(t *testing.T) {
	for address, want := range map[string]string{"": "--prometheus-url", "http://127.0.0.1:1": "connection refused"} {
		r, err := New(Options{Prometheus: address})
		if err != nil {
			t.Fatal(err)
		}
		o := r.try(t.Context(), "shop", plan.Probe{Protocol: plan.Prometheus, Query: "x", Operator: "LessThan", Threshold: "1", Timeout: time.Second})
		if o.verdict != blind || !strings.Contains(o.message, want) {
			t.Errorf("%q: outcome = %+v, want %q", address, o, want)
		}
	}
}
