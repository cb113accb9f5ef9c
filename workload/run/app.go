package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/garnizeh/englog-operator/workload/config"
)

// Check is one condition of readiness, or one that is only reported.
type Check struct {
	Name string
	// Probe returns nil when all is well. It must heed its context.
	Probe func(ctx context.Context) error
	// Reported checks never make the process unready: they show as degraded.
	Reported bool
}

// Levels of the database's schema, for the status.
type Levels struct {
	Current          int64 `json:"current"`
	OldestCompatible int64 `json:"oldestCompatible"`
}

// App is a role: what it serves, what it needs and what it does beside.
type App struct {
	Config config.Config
	Log    *slog.Logger
	// Handler serves the public port; nil: the role has none.
	Handler http.Handler
	Checks  []Check
	// Registry is what /metrics shows.
	Registry *prometheus.Registry
	// Background runs until its context ends, which is after the drain.
	Background []func(ctx context.Context)
	// Drain hands back work; ctx ends when the time is over. May be nil.
	Drain func(ctx context.Context)
	// Close releases what the role holds, last of all. May be nil.
	Close func()
	// Levels and KeyIDs fill the status; both may be nil.
	Levels func(ctx context.Context) (Levels, error)
	KeyIDs func() []string

	state *state
	// Listening, if set, is told the addresses once both ports are open.
	Listening func(public, admin net.Addr)
}

// Run serves until ctx ends, then drains and returns. A second end of stop cuts
// the drain short.
func (a *App) Run(ctx context.Context) error {
	a.state = newState()
	a.registerGauges()
	admin, err := a.listen(a.Config.AdminPort)
	if err != nil {
		return err
	}
	servers := []*http.Server{a.serve(admin, a.adminHandler(), false)}
	var public net.Listener
	if a.Handler != nil {
		if public, err = a.listen(a.Config.Port); err != nil {
			return errors.Join(err, admin.Close())
		}
		servers = append(servers, a.serve(public, a.publicHandler(), true))
	}
	if a.Listening != nil {
		a.Listening(addrOf(public), admin.Addr())
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	for _, work := range append([]func(context.Context){a.watchChecks}, a.Background...) {
		wg.Go(func() { work(background) })
	}
	a.Log.Info("serving", "port", a.Config.Port, "admin_port", a.Config.AdminPort, "version", Version)
	<-ctx.Done()
	a.drain(servers)
	stop()
	wg.Wait()
	if a.Close != nil {
		a.Close()
	}
	a.Log.Info("stopped")
	return nil
}

func addrOf(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

func (a *App) listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	return l, nil
}

func (a *App) serve(l net.Listener, h http.Handler, public bool) *http.Server {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: a.Config.ReadTimeout, WriteTimeout: a.Config.WriteTimeout,
		IdleTimeout: 90 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug)}
	if public {
		s.ConnState, s.ConnContext = a.state.track, a.state.stamp
	}
	go func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.Log.Error("a listener failed", "error", err)
		}
	}()
	return s
}

// drain goes on serving until clients have left: removal from the Service races
// with the signal, and a connection that is closed under a request loses it.
func (a *App) drain(servers []*http.Server) {
	a.state.draining.Store(true)
	a.Log.Info("draining", "connections", a.state.conns.Load())
	ctx, cancel := context.WithTimeout(context.Background(), max(a.Config.DrainTimeout, a.Config.DrainDelay))
	defer cancel()
	var work sync.WaitGroup
	if a.Drain != nil {
		work.Go(func() { a.Drain(ctx) })
	}
	if a.Handler != nil {
		select {
		case <-time.After(a.Config.DrainDelay):
		case <-ctx.Done():
		}
		a.state.awaitNoConns(ctx)
	}
	work.Wait()
	end, cancelEnd := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancelEnd()
	for i := len(servers) - 1; i >= 0; i-- { // the admin port last
		if err := servers[i].Shutdown(end); err != nil {
			a.Log.Warn("a listener was cut short", "error", err)
		}
	}
}

const (
	checkEvery   = time.Second
	checkTimeout = 3 * time.Second
	// forgive is for how long a check may fail before a ready process gets
	// unready: a blip, or a pool that is full for a moment, is not an outage.
	forgive = 5 * time.Second
)

// watchChecks keeps the readiness up to date.
func (a *App) watchChecks(ctx context.Context) {
	lastGood := time.Time{}
	for {
		reasons := a.failing(ctx)
		if len(reasons) == 0 {
			lastGood = time.Now()
		}
		if len(reasons) == 0 || time.Since(lastGood) > forgive {
			a.state.setChecks(reasons)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkEvery):
		}
	}
}

func (a *App) failing(ctx context.Context) map[string]string {
	reasons := map[string]string{}
	for _, r := range a.runChecks(ctx) {
		if r.err != nil && !r.check.Reported {
			reasons[r.check.Name] = r.err.Error()
		}
	}
	return reasons
}

type checkResult struct {
	check Check
	err   error
	took  time.Duration
}

// runChecks asks all at once.
func (a *App) runChecks(ctx context.Context) []checkResult {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make([]checkResult, len(a.Checks))
	var wg sync.WaitGroup
	for i, c := range a.Checks {
		wg.Go(func() {
			start := time.Now()
			results[i] = checkResult{c, c.Probe(ctx), time.Since(start)}
		})
	}
	wg.Wait()
	return results
}

func (a *App) registerGauges() {
	if a.Registry == nil {
		return
	}
	s := a.state
	for name, g := range map[string]struct {
		help  string
		value func() float64
	}{
		"englog_inflight_requests": {"Requests that are being answered.", func() float64 { return float64(s.inFlight.Load()) }},
		"englog_connections":       {"Open connections of clients.", func() float64 { return float64(s.conns.Load()) }},
		"englog_draining":          {"1 while the process shuts down.", func() float64 { return oneIf(s.draining.Load()) }},
		"englog_ready":             {"1 while the process may get traffic.", func() float64 { return oneIf(len(s.reasons()) == 0) }},
	} {
		a.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: g.help}, g.value))
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
