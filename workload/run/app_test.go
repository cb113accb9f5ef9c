package run

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/garnizeh/englog-operator/workload/config"
)

// running is an App in a test.
type running struct {
	app           *App
	public, admin string
	stop          context.CancelFunc
	ended         chan error
}

func start(t *testing.T, change func(*App)) *running {
	t.Helper()
	a := &App{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
		Config: config.Config{Role: "api", Identity: config.Identity{Revision: "rev-1", Color: "blue"}, MetricsEnabled: true,
			ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, DrainDelay: 200 * time.Millisecond, DrainTimeout: 5 * time.Second}}
	if change != nil {
		change(a)
	}
	r := &running{app: a, ended: make(chan error, 1)}
	addresses := make(chan [2]net.Addr, 1)
	a.Listening = func(public, admin net.Addr) { addresses <- [2]net.Addr{public, admin} }
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.ended <- a.Run(ctx) }()
	found := <-addresses
	_, publicPort, _ := net.SplitHostPort(found[0].String())
	_, adminPort, _ := net.SplitHostPort(found[1].String())
	r.public, r.admin = "http://127.0.0.1:"+publicPort, "http://127.0.0.1:"+adminPort
	t.Cleanup(stop)
	r.await(t, http.StatusOK)
	return r
}

// await waits until /readyz gives a status.
func (r *running) await(t *testing.T, status int) string {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		got, body := r.get(t, r.admin+"/readyz")
		if got.StatusCode == status {
			return body
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz gives %d, want %d: %s", got.StatusCode, status, body)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *running) get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response, string(body)
}

func (r *running) status(t *testing.T) (s Status) {
	t.Helper()
	_, body := r.get(t, r.admin+"/status")
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestADrainLosesNoRequest: keep-alive clients that never retry go on sending
// through the signal until an answer leads them away.
func TestADrainLosesNoRequest(t *testing.T) {
	r := start(t, nil)
	var sent, closed atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			for led := false; !led; {
				// A body that cannot be read twice: the transport must not repeat the request.
				request, _ := http.NewRequest("POST", r.public+"/", io.NopCloser(bytes.NewReader([]byte("x"))))
				response, err := client.Do(request)
				if err != nil {
					t.Errorf("lost: %v", err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				sent.Add(1)
				led = response.Close
			}
			closed.Add(1)
		})
	}
	for sent.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	r.stop()
	wg.Wait()
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	if closed.Load() != 16 {
		t.Errorf("%d of 16 clients were led away", closed.Load())
	}
}

// An idle keep-alive client that sends once more during the drain is answered,
// and then led away.
func TestADrainWaitsForIdleConnections(t *testing.T) {
	r := start(t, func(a *App) { a.Config.DrainDelay = 0 })
	conn, err := net.Dial("tcp", r.public[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := func() *http.Response {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(newReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	if ask().Close {
		t.Error("led away before any drain")
	}
	r.stop()
	for !r.app.state.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // idle through the drain
	if !ask().Close {
		t.Error("not led away in the drain")
	}
	select {
	case <-r.ended:
	case <-time.After(3 * time.Second):
		t.Error("the drain did not end although the last connection had gone")
	}
}

func TestRetirementLeadsClientsAwayAndCanBeUndone(t *testing.T) {
	r := start(t, nil)
	send := func(method string) {
		request, _ := http.NewRequest(method, r.admin+"/retire", nil)
		response, err := http.DefaultClient.Do(request)
		if err != nil || response.StatusCode != http.StatusNoContent {
			t.Fatalf("%s /retire: %v %v", method, response, err)
		}
	}
	for _, want := range []bool{true, true, false} {
		send(map[bool]string{true: "POST", false: "DELETE"}[want])
		answer, _ := r.get(t, r.public+"/")
		if answer.Close != want || r.status(t).Retired != want || answer.Header.Get("X-Englog-Revision") != "rev-1" {
			t.Errorf("retired %v: Close %v, status %+v", want, answer.Close, r.status(t))
		}
	}
}

func TestOldConnectionsAreClosed(t *testing.T) {
	s := newState()
	now := time.Now()
	s.now = func() time.Time { return now }
	request, _ := http.NewRequestWithContext(s.stamp(context.Background(), nil), "GET", "/", nil)
	if s.mustClose(request) {
		t.Error("a new connection is closed")
	}
	now = now.Add(31 * time.Second)
	if !s.mustClose(request) {
		t.Error("a connection of 31 seconds is kept")
	}
}

func TestReadinessFollowsTheChecks(t *testing.T) {
	var broken atomic.Bool
	r := start(t, func(a *App) {
		a.Checks = []Check{{Name: "database", Probe: func(context.Context) error {
			if broken.Load() {
				return errors.New("it does not answer")
			}
			return nil
		}}, {Name: "redis", Reported: true, Probe: func(context.Context) error { return errors.New("down at 10.0.0.7") }}}
	})
	health, body := r.get(t, r.public+"/health")
	if health.StatusCode != 200 || !bytes.Contains([]byte(body), []byte(`"status":"degraded"`)) || bytes.Contains([]byte(body), []byte("10.0.0.7")) {
		t.Errorf("/health without Redis: %d %s", health.StatusCode, body)
	}
	broken.Store(true)
	if body := r.await(t, http.StatusServiceUnavailable); !bytes.Contains([]byte(body), []byte("database: it does not answer")) {
		t.Errorf("reasons %s", body)
	}
	if ready, _ := r.get(t, r.public+"/ready"); ready.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/ready gives %d", ready.StatusCode)
	}
	if live, _ := r.get(t, r.admin+"/livez"); live.StatusCode != http.StatusOK {
		t.Errorf("/livez gives %d: a restart repairs no database", live.StatusCode)
	}
	broken.Store(false)
	r.await(t, http.StatusOK)
}

func newReader(conn net.Conn) *bufio.Reader { return bufio.NewReader(conn) }
