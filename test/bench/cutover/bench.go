package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
)

// release is what a user brings: an image under a name of its own.
type release struct {
	name    string
	version string
	fault   fault
}

// fault is what is wrong with a release.
type fault string

const (
	none       fault = ""
	neverReady fault = "never_ready"
	answers500 fault = "answers_500"
	// foundLate is answers500 with no check before the switch: as a fault that only real traffic shows.
	foundLate fault = "answers_500_found_late"
)

var faults = []fault{neverReady, answers500, foundLate}

func faultNames() string {
	names := make([]string, 0, len(faults))
	for _, f := range faults {
		names = append(names, string(f))
	}
	return strings.Join(names, ",")
}

// versions of the images. The two bad ones are builds that are bad on purpose.
var versions = map[fault]string{none: cutover.VersionOld, neverReady: "1.0.1", answers500: "1.0.2", foundLate: "1.0.2"}

// probePath is public and answers 200, but for a release that answers 500.
const probePath = "/api/v1/capabilities"

// system is one way to bring a release to the users.
type system interface {
	name() string
	// service is the live Service that the load goes to.
	service() string
	// actor tells by its user name in the audit log whether a write was the system's.
	actor(user string) bool
	// install makes a fresh installation that serves the good version.
	install(ctx context.Context) error
	// bring does what a user does to release r, and returns when nothing more is going to happen.
	bring(ctx context.Context, r release) (ending, error)
	// recover goes back to a good version after a bad one, and waits for it.
	recover(ctx context.Context) error
	remove(ctx context.Context) error
}

// ending is what a system has made of a release.
type ending struct {
	outcome string
	// spent is when the check failed after which the system went back; zero where none did, or where the system does not tell.
	spent time.Time
}

// bench is the state of a run.
type bench struct {
	*cutover.Stage

	settings settings
	systems  []system
	accounts *load.Accounts
	audit    string
	count    int
	samples  []sample
	closers  []func()
}

func newBench(ctx context.Context, stage *cutover.Stage, s settings) (*bench, error) {
	b := &bench{Stage: stage, settings: s, audit: local.New(local.StateDir(), local.Parts{}).AuditLog()}
	if err := b.loadBadImages(ctx); err != nil {
		return nil, err
	}
	ours := &englog{bench: b}
	if err := ours.install(ctx); err != nil {
		return nil, err
	}
	b.systems = []system{ours}
	if err := b.addPeers(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) addPeers(ctx context.Context) error {
	if err := b.copySettings(ctx); err != nil {
		return err
	}
	if strings.Contains(b.settings.systems, argoName) {
		argo, err := newArgo(ctx, b)
		if err != nil {
			return err
		}
		b.systems = append(b.systems, argo)
	}
	if strings.Contains(b.settings.systems, scriptName) {
		b.systems = append(b.systems, &script{bench: b})
	}
	for _, peer := range b.systems[1:] {
		b.say("installing %s", peer.name())
		if err := peer.install(ctx); err != nil {
			return fmt.Errorf("installing %s: %w", peer.name(), err)
		}
	}
	return nil
}

// close removes what the run made; the cluster and the operator stay.
func (b *bench) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, s := range slices.Backward(b.systems) {
		if err := s.remove(ctx); err != nil {
			b.say("removing %s: %v", s.name(), err)
		}
	}
	for _, c := range b.closers {
		c()
	}
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// all lets the systems take turns, so that whatever else the machine does hits all of them.
func (b *bench) all(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if b.settings.samples != "" {
		var err error
		if b.samples, err = readSamples(b.settings.samples, b.settings.rate); err != nil {
			return err
		}
	}
	for range b.settings.cutovers {
		if err := b.round(ctx, none); err != nil {
			return err
		}
	}
	for _, f := range faults {
		if !slices.Contains(strings.Split(b.settings.bad, ","), string(f)) {
			continue
		}
		if err := b.round(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) round(ctx context.Context, f fault) error {
	for _, s := range b.systems {
		got, err := b.one(ctx, s, f)
		if err != nil {
			return fmt.Errorf("%s, release %s: %w", s.name(), f, err)
		}
		b.say("%-13s %-22s %d sent, %d failed %v, first new %.2f s, endpoints %.0f ms, last old %.0f / %.0f ms, %d writes, p99 %.0f ms: %s", s.name(), f,
			got.Requests, got.Failed, got.Kinds, got.FirstNew, got.Endpoints, got.LastOld, got.LastOldKeepAlive, got.Writes, got.P99, got.Outcome)
		if err := b.keep(got); err != nil {
			return err
		}
		if f != none {
			if err := s.recover(ctx); err != nil {
				return fmt.Errorf("%s, going back: %w", s.name(), err)
			}
		}
	}
	return nil
}

// one brings a release of a system. A peer that refuses a good one is asked once more, which is in its favour; this operator is not.
func (b *bench) one(ctx context.Context, s system, f fault) (sample, error) {
	b.count++
	got, err := b.measure(ctx, s, release{name: fmt.Sprintf("r%d", b.count), version: versions[f], fault: f})
	if err == nil || s == b.systems[0] || f != none || ctx.Err() != nil {
		return got, err
	}
	b.say("%s once more: %v", s.name(), err)
	if err := s.recover(ctx); err != nil {
		return got, err
	}
	b.count++
	return b.measure(ctx, s, release{name: fmt.Sprintf("r%d", b.count), version: versions[f], fault: f})
}

// prepare makes the users and finds the rate.
func (b *bench) prepare(ctx context.Context) error {
	cfg, err := b.loadConfig(ctx, b.systems[0])
	if err != nil {
		return err
	}
	highest := b.settings.rate
	if highest == 0 {
		highest = rates[0]
	}
	cfg.Users = max(50, highest/4)
	b.say("registering %d users", cfg.Users)
	if b.accounts, _, err = load.Prepare(ctx, cfg, nil); err != nil {
		return err
	}
	if b.settings.rate != 0 {
		return nil
	}
	return b.findRate(ctx, cfg)
}

// rates that are tried, highest first, and what steady means: nothing fails, and answers stay quick enough to leave the
// machine room for a cutover.
var rates = []int{1000, 800, 600, 450, 300, 200, 100}

const (
	steadyP99   = 100 // ms
	steadyTrial = 6 * time.Second
)

func (b *bench) findRate(ctx context.Context, cfg load.Config) error {
	for _, rate := range rates {
		cfg.Rate = rate
		run, err := load.Start(ctx, cfg, b.accounts)
		if err != nil {
			return err
		}
		if err := pause(ctx, steadyTrial); err != nil {
			return err
		}
		run.Stop()
		r := run.Report()
		b.say("%d requests a second: p99 %.1f ms, %d failed, %d of %d sent", rate, r.Latency["all"].P99, r.Failed, r.Sent, r.Due)
		if r.Void() == nil && r.Failed == 0 && r.Latency["all"].P99 < steadyP99 {
			b.settings.rate = rate
			return nil
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	return errors.New("the machine holds not even the lowest rate; let nothing else run, or give -rate")
}

func (b *bench) loadConfig(ctx context.Context, s system) (load.Config, error) {
	address, err := b.clusterIP(ctx, s.service())
	var sources []netip.Addr
	for _, a := range local.LoadAddresses() {
		sources = append(sources, netip.MustParseAddr(a))
	}
	return load.Config{Address: address, Host: s.service() + "." + cutover.Namespace, Rate: b.settings.rate, Sources: sources}, err
}

func (b *bench) clusterIP(ctx context.Context, name string) (string, error) {
	var svc corev1.Service
	if err := b.Get(ctx, client.ObjectKey{Namespace: cutover.Namespace, Name: name}, &svc); err != nil {
		return "", fmt.Errorf("finding Service %s: %w", name, err)
	}
	return svc.Spec.ClusterIP + ":80", nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// until polls until done says so.
func until(ctx context.Context, within time.Duration, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("waited %s for %s", within, what))
	defer cancel()
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		if waited := pause(ctx, 200*time.Millisecond); waited != nil {
			return errors.Join(waited, err)
		}
	}
}
