// Package web is the frontend: pages rendered on the server that work without JavaScript, on top of the public API alone. A visitor's
// tokens live sealed in an HttpOnly cookie whose key every frontend pod of the instance shares.
//
// It must never import a database or Redis client, nor store, queue or redisx: what the API does not offer, the frontend cannot do.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

//go:embed templates/*.html assets/*
var files embed.FS

// Options of the frontend.
type Options struct {
	// APIURL is the API of the frontend's own color, such as http://demo-api-blue.
	APIURL string
	// Key is the shared secret that seals cookies, at least 32 bytes. It is asked each time, since a rotation replaces it.
	Key func() (string, error)
	// Secure marks cookies for TLS only. Production sets it.
	Secure bool
	// Version is shown in the footer.
	Version string
	Log     *slog.Logger
	// Client calls the API; http.DefaultClient's behaviour with a timeout by default.
	Client *http.Client
	Now    func() time.Time
}

// Site answers page requests.
type Site struct {
	Options
	pages  map[string]*template.Template
	assets map[string]string // path with hash → file
	urls   map[string]string // file → path with hash
}

// New returns the handler of the whole frontend.
func New(o Options) (http.Handler, error) {
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Site{Options: o}
	if err := s.hashAssets(); err != nil {
		return nil, err
	}
	if err := s.parsePages(); err != nil {
		return nil, err
	}
	return s.routes(), nil
}

func (s *Site) routes() http.Handler {
	r := mux.NewRouter()
	r.HandleFunc("/", s.home).Methods(http.MethodGet)
	r.HandleFunc("/login", s.page("login")).Methods(http.MethodGet)
	r.HandleFunc("/login", s.login).Methods(http.MethodPost)
	r.HandleFunc("/register", s.registration).Methods(http.MethodGet)
	r.HandleFunc("/register", s.register).Methods(http.MethodPost)
	r.HandleFunc("/logout", s.logout).Methods(http.MethodPost)
	r.HandleFunc("/entries", s.signedIn(s.entries)).Methods(http.MethodGet)
	r.HandleFunc("/entries", s.signedIn(s.createEntry)).Methods(http.MethodPost)
	r.HandleFunc("/entries/{id}", s.signedIn(s.entry)).Methods(http.MethodGet)
	r.PathPrefix("/assets/").HandlerFunc(s.asset).Methods(http.MethodGet)
	r.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusNotFound, "There is no such page.")
	})
	return http.NewCrossOriginProtection().Handler(headers(r))
}

// policy lets pages use their own origin and nothing else; no inline script or style exists.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // a page must not outlive the version that made it
		next.ServeHTTP(w, r)
	})
}

// hashAssets names each asset by its content, so that browsers may keep it for ever.
func (s *Site) hashAssets() error {
	s.assets, s.urls = map[string]string{}, map[string]string{}
	return fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading asset %s: %w", name, err)
		}
		sum := sha256.Sum256(content)
		ext := path.Ext(name)
		url := "/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		s.assets[url], s.urls[path.Base(name)] = name, url
		return nil
	})
}

// asset answers with the current file even when the hash is of another version: during a cutover a page of one color may ask the other,
// and a page without its style helps nobody. Only what really has the asked-for content may be kept.
func (s *Site) asset(w http.ResponseWriter, r *http.Request) {
	name, exact := s.assets[r.URL.Path]
	if !exact {
		name = s.current(path.Base(r.URL.Path))
	}
	content, err := files.ReadFile(name)
	if err != nil {
		s.fail(w, r, http.StatusNotFound, "There is no such file.")
		return
	}
	if exact {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, path.Base(name), time.Time{}, strings.NewReader(string(content)))
}

// current finds the file of a name with any hash: style.0123456789ab.css is style.css.
func (s *Site) current(base string) string {
	parts := strings.Split(base, ".")
	if len(parts) < 2 {
		return ""
	}
	return "assets/" + parts[0] + "." + parts[len(parts)-1]
}

func (s *Site) parsePages() error {
	s.pages = map[string]*template.Template{}
	functions := template.FuncMap{"asset": func(name string) string { return s.urls[name] }, "day": func(t time.Time) string { return t.Format("2 January 2006, 15:04") },
		"markdown": newMarkdown().html}
	for _, name := range []string{"login", "register", "entries", "entry", "message"} {
		page, err := template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return fmt.Errorf("parsing page %s: %w", name, err)
		}
		s.pages[name] = page
	}
	return nil
}

// view is what every page may show.
type view struct {
	Title    string
	SignedIn bool
	Problem  string
	Version  string
	// Invite asks for an invitation.
	Invite bool
	Data   any
}

func (s *Site) render(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	v.Version = s.Version
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := s.pages[page].Execute(w, v); err != nil {
		s.Log.WarnContext(r.Context(), "a page was not sent whole", "page", page, "error", err)
	}
}

func (s *Site) fail(w http.ResponseWriter, r *http.Request, status int, message string) {
	s.render(w, r, status, "message", view{Title: http.StatusText(status), Problem: message})
}

func (s *Site) page(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.render(w, r, http.StatusOK, name, view{Title: titles[name]})
	}
}

var titles = map[string]string{"login": "Sign in", "register": "Create an account", "entries": "Your entries"}
