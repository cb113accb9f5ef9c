package rotation

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// visitor is a person who looks at the pages all the time, and signs in again when sent to the form.
type visitor struct {
	address        string
	user, password string
	client         *http.Client
	cookie         string
	stop           context.CancelFunc
	done           chan struct{}

	mu              sync.Mutex
	pages, signOuts int
	failures        []string
}

// look is how often the visitor looks at a page. Logins of one account are slowed down to one a second.
const look = 500 * time.Millisecond

// visit begins to look at pages with the account of the journey.
func (r *rig) visit(t *testing.T) *visitor {
	t.Helper()
	address, err := r.ServiceAddress(t.Context(), "frontend")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	v := &visitor{
		address: "http://" + address, user: r.journey.User, password: r.journey.Password, stop: stop, done: make(chan struct{}),
		client: &http.Client{Timeout: 4 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	if err := v.signIn(ctx); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(v.end)
	go v.stay(ctx)
	return v
}

func (v *visitor) stay(ctx context.Context) {
	defer close(v.done)
	for ticker := time.NewTicker(look); ; {
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
			if err := v.page(ctx); err != nil && ctx.Err() == nil {
				v.mu.Lock()
				v.failures = append(v.failures, time.Now().Format("15:04:05.000 ")+err.Error())
				v.mu.Unlock()
			}
		}
	}
}

// page looks at the list of entries.
func (v *visitor) page(ctx context.Context) error {
	answer, err := v.ask(ctx, http.MethodGet, "/entries", nil)
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.pages++
	v.mu.Unlock()
	switch to := answer.Header.Get("Location"); {
	case answer.StatusCode == http.StatusOK:
		return nil
	case answer.StatusCode == http.StatusSeeOther && to == "/login":
		v.mu.Lock()
		v.signOuts++
		v.mu.Unlock()
		return v.signIn(ctx)
	default:
		return fmt.Errorf("GET /entries answered %s, %s", answer.Status, to)
	}
}

func (v *visitor) signIn(ctx context.Context) error {
	answer, err := v.ask(ctx, http.MethodPost, "/login", url.Values{"email": {v.user}, "password": {v.password}})
	if err == nil && (answer.StatusCode != http.StatusSeeOther || v.cookie == "") {
		err = fmt.Errorf("POST /login answered %s", answer.Status)
	}
	return err
}

// ask keeps the cookie as a browser does.
func (v *visitor) ask(ctx context.Context, method, path string, form url.Values) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, v.address+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if v.cookie != "" {
		request.Header.Set("Cookie", v.cookie)
	}
	answer, err := v.client.Do(request)
	if err != nil {
		return nil, err
	}
	for _, c := range answer.Cookies() {
		if v.cookie = c.Name + "=" + c.Value; c.MaxAge < 0 {
			v.cookie = ""
		}
	}
	return answer, answer.Body.Close()
}

func (v *visitor) signedOut() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.signOuts
}

func (v *visitor) end() {
	v.stop()
	<-v.done
}

func (v *visitor) judge(t *testing.T) {
	t.Helper()
	v.end()
	t.Logf("%d pages were looked at, %d of them led to the form, %d failed", v.pages, v.signOuts, len(v.failures))
	for _, f := range v.failures {
		t.Errorf("page: %s", f)
	}
	if v.pages == 0 {
		t.Error("nobody looked at a page")
	}
}
