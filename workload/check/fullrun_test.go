package check

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/garnizeh/englog-operator/workload/ai/fake"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

// collector takes spans in OTLP over HTTP.
type collector struct {
	mu    sync.Mutex
	spans []*tracepb.Span
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var data tracepb.TracesData // of the same wire format as an export request
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(raw, &data) != nil {
		http.Error(w, "not a request of OTLP", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range data.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

// traceOf lists the names of the spans of one trace, in order, each once.
func (c *collector) traceOf(id string) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) == id && !slices.Contains(names, s.GetName()) {
			names = append(names, s.GetName())
		}
	}
	slices.Sort(names)
	return names
}

// texts is everything that spans say.
func (c *collector) texts() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all strings.Builder
	for _, s := range c.spans {
		all.WriteString(s.String() + "\n")
	}
	return all.String()
}

// postbox is an SMTP server that accepts everything.
type postbox struct {
	port int
	mu   sync.Mutex
	got  string
}

func newPostbox(t *testing.T) *postbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &postbox{port: l.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *postbox) serve(conn net.Conn) {
	defer conn.Close()
	fmt.Fprint(conn, "220 postbox\r\n")
	lines, inData := bufio.NewScanner(conn), false
	for lines.Scan() {
		line := lines.Text()
		p.mu.Lock()
		p.got += line + "\n"
		p.mu.Unlock()
		switch {
		case inData && line != ".":
		case line == "DATA":
			inData = true
			fmt.Fprint(conn, "354 go on\r\n")
		case line == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			inData = false
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
}

var sixDigits = regexp.MustCompile(`Your code is (\d{6})`)

func (p *postbox) code() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found := sixDigits.FindStringSubmatch(p.got); found != nil {
		return found[1]
	}
	return ""
}

const (
	secretWord   = "zanzibar-confession"
	fullPassword = "correct horse battery staple"
)

// visitor walks through the pages as a browser does, and returns what its cookie was.
func visitor(t *testing.T, p *process, site, email string) (cookies []string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	page := func(method, path string, form url.Values, want string) string {
		t.Helper()
		request, err := http.NewRequest(method, site+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := browser.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		raw, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != 200 || !strings.Contains(string(raw), want) {
			t.Fatalf("%s %s: %d, without %q:\n%s\n%s", method, path, answer.StatusCode, want, raw, p.logs)
		}
		return string(raw)
	}
	page("GET", "/", nil, "Sign in")
	page("POST", "/register", url.Values{"email": {email}, "name": {"Ada"}, "password": {fullPassword}}, "Your entries")
	list := page("POST", "/entries", url.Values{"title": {"On the web"}, "body": {secretWord + " on a page"}}, "On the web")
	entry := regexp.MustCompile(`/entries/[0-9a-f-]{36}`).FindString(list)
	p.await("the insights on the page", func() bool { return strings.Contains(page("GET", entry, nil, "Insights"), "openai") })
	root, _ := url.Parse(site)
	for _, c := range jar.Cookies(root) {
		cookies = append(cookies, c.Value)
	}
	page("POST", "/logout", nil, "Sign in")
	return cookies
}

// TestAFullRun starts all roles in one process, as a developer does, with a provider, a mail server and a collector of traces beside,
// and lives a day with it: pages, a login by code, an entry with its analysis, a draft. Then one trace leads from the request to the
// provider, and nothing private is in any log or trace.
func TestAFullRun(t *testing.T) {
	roomFor(t)
	provider, traces, mail := &fake.Server{}, &collector{}, newPostbox(t)
	model, otlp := httptest.NewServer(provider), httptest.NewServer(traces)
	t.Cleanup(model.Close)
	t.Cleanup(otlp.Close)
	p := serveRole(t, testrig.Build(t, ""), "dev", "DATABASE_URL="+testrig.EmptyDatabase(t), "REDIS_URL="+testrig.SharedRedis(t).URL(),
		"ENGLOG_INSTANCE=check."+uuid.NewString(), "LOG_LEVEL=debug", "AI_PROVIDERS=openai", "OPENAI_BASE_URL="+model.URL+"/v1", "OPENAI_API_KEY=sk-very-private",
		"FEATURE_ADVANCED_AI=true", "TRACING_ENABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+otlp.URL, "OTEL_TRACES_SAMPLER_ARG=1",
		"SMTP_HOST=127.0.0.1", fmt.Sprint("SMTP_PORT=", mail.port), "SMTP_ENCRYPTION=disable")
	p.await("the service", func() bool { return p.ask("GET", p.public+"/ready", "", nil).Status == 200 })

	var port int
	if _, err := fmt.Sscanf(p.public, "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	private := visitor(t, p, fmt.Sprintf("http://127.0.0.1:%d", port+1), "web@example.com")

	p.api(202, "POST", "/auth/otp/request", "", map[string]any{"email": "code@example.com"})
	p.await("the mail", func() bool { return mail.code() != "" })
	in := p.api(200, "POST", "/auth/otp/verify", "", map[string]any{"email": "code@example.com", "code": mail.code()})
	token := in.text("access_token")
	personal := p.api(201, "POST", "/auth/tokens", token, map[string]any{"name": "ci", "scopes": []string{"entries:write"}}).text("token")
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	made := p.api(201, "POST", "/entries", personal, map[string]any{"title": secretWord, "body": secretWord + " in the body", "tags": []string{secretWord}},
		"Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01", "X-Request-Id", "request-of-a-full-run")
	if made.Header.Get("X-Request-Id") != "request-of-a-full-run" {
		t.Errorf("request id %v", made.Header)
	}
	p.await("the analysis", func() bool {
		return len(p.api(200, "GET", "/entries/"+made.text("id")+"/insights", token, nil).items()) == 6
	})
	p.api(200, "GET", "/entries?q="+secretWord, token, nil)
	p.api(400, "POST", "/entries", token, map[string]any{secretWord: 1})
	p.api(401, "POST", "/auth/login", "", map[string]any{"email": "web@example.com", "password": secretWord})
	if draft := p.api(200, "POST", "/ai/generate", token, map[string]any{"prompt": secretWord + " as a prompt"}); draft.text("provider") != "openai" {
		t.Errorf("draft %s", draft.Body)
	}
	provider.Set(fake.Broken)
	p.api(503, "POST", "/ai/generate", token, map[string]any{"prompt": secretWord + " as a prompt"})
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}

	want := []string{"HTTP POST", "POST /api/v1/entries", "task content_extraction", "task entities", "task sentiment", "task summary", "task tag_suggestions", "task themes"}
	for _, name := range want {
		if !slices.Contains(traces.traceOf(traceID), name) {
			t.Errorf("the trace has no span %q: %v", name, traces.traceOf(traceID))
		}
	}
	logs := p.logs.String()
	for _, line := range []string{`"msg":"request"`, `"request_id":"request-of-a-full-run"`, `"role":"worker"`, `"role":"frontend"`} {
		if !strings.Contains(logs, line) {
			t.Errorf("the logs do not hold %s: is this a full run?", line)
		}
	}
	private = append(private, secretWord, fullPassword, token, in.text("refresh_token"), personal, mail.code(), "web@example.com", "code@example.com",
		"sk-very-private", "0123456789012345678901234567890123456789", "correct%20horse", "zanzibar")
	for where, text := range map[string]string{"logs": logs, "traces": traces.texts()} {
		for _, word := range private {
			if i := strings.Index(text, word); word == "" || i >= 0 {
				t.Errorf("the %s hold %q: %s", where, word, text[max(0, i-200):min(len(text), max(0, i)+200)])
			}
		}
	}
}
