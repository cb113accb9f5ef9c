package scenario_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/garnizeh/englog-operator/workload/auth"
	. "github.com/garnizeh/englog-operator/workload/testrig/scenario"
	"github.com/garnizeh/englog-operator/workload/web"
)

const sessionKey = "a session key of a test, long enough"

// site is a frontend before a service, with one browser.
type site struct {
	t       *testing.T
	url     string
	browser *http.Client
}

func newSite(t *testing.T, api string, change func(*web.Options)) *site {
	t.Helper()
	o := web.Options{APIURL: api, Key: func() (string, error) { return sessionKey, nil }, Version: "1.2.3", Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	handler, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &site{t: t, url: server.URL, browser: newBrowser(t)}
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// visit sends a request, with a form unless it is nil, and returns the answer with its page.
func (s *site) visit(method, path string, form url.Values, header ...string) (*http.Response, string) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := s.browser.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer, string(raw)
}

// want demands a status, and where a redirection leads.
func (s *site) want(status int, location, method, path string, form url.Values) string {
	s.t.Helper()
	answer, page := s.visit(method, path, form)
	if answer.StatusCode != status || answer.Header.Get("Location") != location {
		s.t.Fatalf("%s %s: %d to %q, want %d to %q\n%s", method, path, answer.StatusCode, answer.Header.Get("Location"), status, location, page)
	}
	return page
}

func (s *site) register() string {
	s.t.Helper()
	email := uuid.NewString() + "@example.com"
	s.want(303, "/entries", "POST", "/register", url.Values{"email": {email}, "name": {"Ada"}, "password": {Password}})
	return email
}

func TestAVisitorSignsInWritesAndLeaves(t *testing.T) {
	api := Start(t, Options{})
	s := newSite(t, api.URL, nil)
	s.want(303, "/login", "GET", "/", nil)
	s.want(303, "/login", "GET", "/entries", nil)
	email := s.register()
	s.want(303, "/entries", "GET", "/", nil)
	if page := s.want(200, "", "GET", "/entries", nil); !strings.Contains(page, "Nothing here yet") {
		t.Errorf("an empty list:\n%s", page)
	}
	for _, text := range []string{"first", "second"} {
		s.want(303, "/entries", "POST", "/entries", url.Values{"title": {"The " + text}, "body": {"Some **bold** words of the " + text + "."}})
	}
	list := s.want(200, "", "GET", "/entries", nil)
	if strings.Index(list, "The second") > strings.Index(list, "The first") || !strings.Contains(list, "The first") {
		t.Errorf("not the newest first:\n%s", list)
	}
	path := regexp.MustCompile(`/entries/[0-9a-f-]{36}`).FindString(list)
	Await(t, "the insights", func() bool {
		return strings.Contains(s.want(200, "", "GET", path, nil), "by builtin")
	})
	if page := s.want(200, "", "GET", path, nil); !strings.Contains(page, "<strong>bold</strong>") {
		t.Errorf("Markdown is not rendered:\n%s", page)
	}
	if page := s.want(400, "", "POST", "/entries", url.Values{"title": {"x"}, "body": {" "}}); !strings.Contains(page, `role="alert"`) {
		t.Errorf("a refusal is not shown:\n%s", page)
	}
	other := &site{t: t, url: s.url, browser: newBrowser(t)}
	other.register()
	other.want(404, "", "GET", path, nil)
	s.want(303, "/login", "POST", "/logout", url.Values{})
	s.want(303, "/login", "GET", "/entries", nil)
	if page := s.want(401, "", "POST", "/login", url.Values{"email": {email}, "password": {"wrong"}}); !strings.Contains(page, "E-mail address or password is wrong.") || strings.Contains(page, "wrong\"") {
		t.Errorf("a refused login:\n%s", page)
	}
	s.want(303, "/entries", "POST", "/login", url.Values{"email": {email}, "password": {Password}})
	s.want(404, "", "GET", "/nothing", nil)
}

// Whatever is written is shown as text: no script, no style, no picture, no address but of the web.
func TestNothingWrittenIsRun(t *testing.T) {
	api := Start(t, Options{})
	s := newSite(t, api.URL, nil)
	s.register()
	attacks := []string{
		`<script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `![x](https://evil.example/pixel.png)`, `[x](javascript:alert(1))`, `[x](data:text/html;base64,PHNjcmlwdD4=)`,
		`<a href="javascript:alert(1)">x</a>`, `<svg/onload=alert(1)>`, "```html\n<script>alert(1)</script>\n```", `"><script>alert(1)</script>`, `<style>body{display:none}</style>`,
		`[x](//evil.example)`, `<iframe src="https://evil.example"></iframe>`, `{{.Version}}`, `<form action="https://evil.example"><input name=password></form>`, "[x]: javascript:alert(1)\n\n[x]",
	}
	for _, text := range attacks {
		s.want(303, "/entries", "POST", "/entries", url.Values{"title": {text[:min(len(text), 100)]}, "body": {text}})
	}
	list := s.want(200, "", "GET", "/entries", nil)
	paths := regexp.MustCompile(`/entries/[0-9a-f-]{36}`).FindAllString(list, -1)
	if len(paths) != len(attacks) {
		t.Fatalf("%d entries are listed, want %d", len(paths), len(attacks))
	}
	banned := regexp.MustCompile(`(?i)<(script|img|svg|iframe|style)\b|<[^>]*\son\w+\s*=|(href|src|action)\s*=\s*["']?\s*(javascript|data):|<(form|input)[^>]*(evil|password)|(href|src)="(https?:)?//evil`)
	pages := append([]string{list}, "")
	for _, path := range paths {
		pages = append(pages, s.want(200, "", "GET", path, nil))
	}
	for _, page := range pages {
		if found := banned.FindString(page); found != "" {
			t.Errorf("%q is in a page:\n%s", found, page)
		}
	}
	if !strings.Contains(strings.Join(pages, ""), "{{.Version}}") {
		t.Error("what looks like a template is not shown as it was written")
	}
}

func TestHeadersAndCookiesOfPages(t *testing.T) {
	api := Start(t, Options{})
	for _, secure := range []bool{false, true} {
		s := newSite(t, api.URL, func(o *web.Options) { o.Secure = secure })
		answer, page := s.visit("GET", "/login", nil)
		policy := answer.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("policy %q lacks %s", policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(page, "<script") || strings.Contains(page, "style=") || strings.Contains(page, "<style") {
			t.Errorf("the page needs more than its policy %q allows:\n%s", policy, page)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		answer, _ = s.visit("POST", "/register", url.Values{"email": {uuid.NewString() + "@example.com"}, "name": {"Ada"}, "password": {Password}})
		cookies := answer.Cookies()
		if len(cookies) != 1 {
			t.Fatalf("cookies %v", cookies)
		}
		c := cookies[0]
		if !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || strings.HasPrefix(c.Name, "__Host-") != secure {
			t.Errorf("secure %v: cookie %s", secure, c)
		}
		if strings.Contains(c.Value, "eyJ") || strings.Contains(c.Value, "englog_rt_") {
			t.Errorf("the cookie shows its tokens: %s", c.Value)
		}
	}
}

// A form of another site does nothing; a cookie that somebody changed is none.
func TestForgeriesOfForeignSites(t *testing.T) {
	api := Start(t, Options{})
	s := newSite(t, api.URL, nil)
	s.register()
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		if answer, page := s.visit("POST", "/entries", url.Values{"body": {"forged"}}, header...); answer.StatusCode != 403 {
			t.Errorf("%v: %d\n%s", header, answer.StatusCode, page)
		}
	}
	if page := s.want(200, "", "GET", "/entries", nil); strings.Contains(page, "forged") {
		t.Error("a forged entry was written")
	}
	root, _ := url.Parse(s.url)
	cookie := s.browser.Jar.Cookies(root)[0]
	for _, value := range []string{"", "x", cookie.Value[:len(cookie.Value)-4] + "AAAA", "AAAA" + cookie.Value[4:]} {
		thief := newBrowser(t)
		thief.Jar.SetCookies(root, []*http.Cookie{{Name: cookie.Name, Value: value}})
		(&site{t: t, url: s.url, browser: thief}).want(303, "/login", "GET", "/entries", nil)
	}
	foreign := newSite(t, api.URL, func(o *web.Options) {
		o.Key = func() (string, error) { return "another key, which is long enough too", nil }
	})
	foreignRoot, _ := url.Parse(foreign.url)
	foreign.browser.Jar.SetCookies(foreignRoot, []*http.Cookie{cookie})
	foreign.want(303, "/login", "GET", "/entries", nil)
}

// A session outlives its access token, and a moment without an API.
func TestASessionIsRenewed(t *testing.T) {
	api := Start(t, Options{})
	var away atomic.Bool
	target, _ := url.Parse(api.URL)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		request := r.Clone(r.Context())
		request.URL.Scheme, request.URL.Host, request.RequestURI = target.Scheme, target.Host, ""
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	t.Cleanup(proxy.Close)
	s := newSite(t, proxy.URL, func(o *web.Options) { o.Now = api.Clock.Now })
	s.register()
	root, _ := url.Parse(s.url)
	before := s.browser.Jar.Cookies(root)[0].Value
	api.Clock.Advance(16 * time.Minute)
	s.want(200, "", "GET", "/entries", nil)
	if s.browser.Jar.Cookies(root)[0].Value == before {
		t.Error("the cookie was not renewed")
	}
	api.Clock.Advance(16 * time.Minute)
	away.Store(true)
	if page := s.want(503, "", "GET", "/entries", nil); !strings.Contains(page, "cannot be reached just now") || strings.Contains(page, "502") {
		t.Errorf("without an API:\n%s", page)
	}
	away.Store(false)
	s.want(200, "", "GET", "/entries", nil)
	api.Clock.Advance(8 * 24 * time.Hour)
	s.want(303, "/login", "GET", "/entries", nil)
}

// An asset of another version's page answers with the file as it is now; only the exact one may be kept.
func TestAssetsAcrossVersions(t *testing.T) {
	s := newSite(t, "http://127.0.0.1:1", nil)
	_, page := s.visit("GET", "/login", nil)
	exact := regexp.MustCompile(`/assets/style\.[0-9a-f]{12}\.css`).FindString(page)
	for path, kept := range map[string]bool{exact: true, "/assets/style.0123456789ab.css": false} {
		answer, style := s.visit("GET", path, nil)
		if answer.StatusCode != 200 || !strings.Contains(style, "body {") || strings.Contains(answer.Header.Get("Cache-Control"), "immutable") != kept {
			t.Errorf("%s: %d %v", path, answer.StatusCode, answer.Header)
		}
	}
	s.want(404, "", "GET", "/assets/nothing.0123456789ab.css", nil)
}

func TestThePageAsksForAnInvitationWhereOneIsNeeded(t *testing.T) {
	api := Start(t, Options{Auth: func(o *auth.Options) {
		o.Registration = "invite"
		o.BootstrapInvite = func() (string, error) { return "the first invite", nil }
	}})
	s := newSite(t, api.URL, nil)
	if page := s.want(200, "", "GET", "/register", nil); !strings.Contains(page, `name="invite"`) {
		t.Errorf("no field for an invitation:\n%s", page)
	}
	form := url.Values{"email": {"a@example.com"}, "name": {"Ada"}, "password": {Password}}
	if page := s.want(400, "", "POST", "/register", form); !strings.Contains(page, `name="invite"`) {
		t.Errorf("no field for an invitation after a refusal:\n%s", page)
	}
	form.Set("invite", "the first invite")
	s.want(303, "/entries", "POST", "/register", form)
	open := Start(t, Options{Beside: api, Auth: func(o *auth.Options) { o.Registration = "open" }})
	if page := newSite(t, open.URL, nil).want(200, "", "GET", "/register", nil); strings.Contains(page, `name="invite"`) {
		t.Errorf("a field for an invitation that nobody needs:\n%s", page)
	}
}
