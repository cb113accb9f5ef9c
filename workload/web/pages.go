package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"
)

// entry is an entry as the API shows it.
type entry struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Body      string    `json:"body"`
	CreatedAt time.Time `json:"created_at"`
}

type entryPage struct {
	Items      []entry `json:"items"`
	NextCursor string  `json:"next_cursor"`
}

type insight struct {
	Kind     string `json:"kind"`
	Provider string `json:"provider"`
	Data     any    `json:"data"`
}

type tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn int    `json:"expires_in"`
}

func (s *Site) home(w http.ResponseWriter, r *http.Request) {
	target := "/login"
	if _, err := s.visitor(r); err == nil {
		target = "/entries"
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// maxForm bounds a form: an entry of the largest size, encoded.
const maxForm = 1 << 20

func (s *Site) login(w http.ResponseWriter, r *http.Request) {
	s.authenticate(w, r, "login", "/api/v1/auth/login", "email", "password")
}

func (s *Site) register(w http.ResponseWriter, r *http.Request) {
	s.authenticate(w, r, "register", "/api/v1/auth/register", "email", "name", "password", "invite")
}

// registration shows the form for a new account, with a field for an invitation
// unless everybody may come in.
func (s *Site) registration(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "register", view{Title: titles["register"], Invite: s.needsInvite(r)})
}

func (s *Site) needsInvite(r *http.Request) bool {
	var offered struct {
		Registration string `json:"registration"`
	}
	if err := s.call(r, http.MethodGet, "/api/v1/capabilities", "", nil, &offered); err != nil {
		s.Log.DebugContext(r.Context(), "the API did not say who may register", "error", err)
		return true // a field too many does no harm
	}
	return offered.Registration != "open"
}

// authenticate sends a form's fields to the API and keeps the tokens that come back.
func (s *Site) authenticate(w http.ResponseWriter, r *http.Request, page, path string, fields ...string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	body := map[string]string{}
	for _, f := range fields {
		if v := r.PostFormValue(f); v != "" || f != "invite" {
			body[f] = v
		}
	}
	var t tokens
	if err := s.call(r, http.MethodPost, path, "", body, &t); err != nil {
		s.problem(w, r, page, err)
		return
	}
	if err := s.keep(w, s.sessionOf(t)); err != nil {
		s.problem(w, r, page, err)
		return
	}
	http.Redirect(w, r, "/entries", http.StatusSeeOther)
}

func (s *Site) sessionOf(t tokens) session {
	return session{Access: t.Access, Refresh: t.Refresh, Expires: s.Now().Add(time.Duration(t.ExpiresIn) * time.Second)}
}

func (s *Site) logout(w http.ResponseWriter, r *http.Request) {
	if v, err := s.visitor(r); err == nil {
		// The cookie goes whatever the API says: the visitor wants to leave.
		_ = s.call(r, http.MethodPost, "/api/v1/auth/logout", v.Access, nil, nil)
	}
	s.drop(w)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// signedIn lets only visitors with a session through, and renews a session whose token is about to expire.
func (s *Site) signedIn(next func(http.ResponseWriter, *http.Request, session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.visitor(r)
		if err == nil && s.Now().Add(time.Minute).After(v.Expires) {
			v, err = s.renewed(w, r, v)
		}
		var refused *refusal
		switch {
		case err == nil:
			next(w, r, v)
		case errors.Is(err, errNoSession), errors.As(err, &refused):
			s.drop(w)
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		default: // the API is away: that is no reason to sign anybody out
			s.problem(w, r, "message", err)
		}
	}
}

// renewed renews a session. While its token is still good, an API that is away
// does not matter.
func (s *Site) renewed(w http.ResponseWriter, r *http.Request, v session) (session, error) {
	fresh, err := s.renew(w, r, v)
	var refused *refusal
	if err != nil && !errors.As(err, &refused) && s.Now().Before(v.Expires) {
		return v, nil
	}
	return fresh, err
}

func (s *Site) renew(w http.ResponseWriter, r *http.Request, v session) (session, error) {
	var t tokens
	if err := s.call(r, http.MethodPost, "/api/v1/auth/refresh", "", map[string]string{"refresh_token": v.Refresh}, &t); err != nil {
		return v, err
	}
	v = s.sessionOf(t)
	return v, s.keep(w, v)
}

func (s *Site) entries(w http.ResponseWriter, r *http.Request, v session) {
	var page entryPage
	query := url.Values{"limit": {"20"}}
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		query.Set("cursor", cursor)
	}
	if err := s.call(r, http.MethodGet, "/api/v1/entries?"+query.Encode(), v.Access, nil, &page); err != nil {
		s.problem(w, r, "message", err)
		return
	}
	s.render(w, r, http.StatusOK, "entries", view{Title: titles["entries"], SignedIn: true, Data: page})
}

func (s *Site) createEntry(w http.ResponseWriter, r *http.Request, v session) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	body := map[string]string{"title": r.PostFormValue("title"), "body": r.PostFormValue("body")}
	if err := s.call(r, http.MethodPost, "/api/v1/entries", v.Access, body, nil); err != nil {
		s.problem(w, r, "message", err)
		return
	}
	http.Redirect(w, r, "/entries", http.StatusSeeOther)
}

func (s *Site) entry(w http.ResponseWriter, r *http.Request, v session) {
	path := "/api/v1/entries/" + url.PathEscape(mux.Vars(r)["id"])
	var data struct {
		Entry    entry
		Insights struct {
			Items []insight `json:"items"`
		}
	}
	err := errors.Join(s.call(r, http.MethodGet, path, v.Access, nil, &data.Entry), s.call(r, http.MethodGet, path+"/insights", v.Access, nil, &data.Insights))
	if err != nil {
		s.problem(w, r, "message", err)
		return
	}
	s.render(w, r, http.StatusOK, "entry", view{Title: data.Entry.Title, SignedIn: true, Data: data})
}

// problem shows what the API refused, in its own words; what went wrong inside is logged and not shown.
func (s *Site) problem(w http.ResponseWriter, r *http.Request, page string, err error) {
	var refused *refusal
	_, visitor := s.visitor(r)
	v := view{Title: titles[page], SignedIn: visitor == nil, Invite: page == "register" && s.needsInvite(r)}
	switch {
	case errors.As(err, &refused):
		v.Problem = refused.text()
		s.render(w, r, refused.Status, page, v)
	case errors.Is(err, context.Canceled):
	default:
		s.Log.WarnContext(r.Context(), "the API did not answer", "path", r.URL.Path, "error", err)
		v.Problem = "The journal cannot be reached just now. Nothing is lost; please try again in a moment."
		s.render(w, r, http.StatusServiceUnavailable, page, v)
	}
}
