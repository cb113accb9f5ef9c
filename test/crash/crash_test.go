// Package crash disturbs cutovers on the real node, under load and with a full queue: the operator dies before and after named writes of
// every step, two operators work at once, pods, the container runtime and the API server are restarted, a migration is followed by its
// rollback. Users must notice nothing of it. It sees the operator as a user does, but for the marks in a build of its own that tell it
// where to die, and must import neither controllers nor workload.
package crash

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/node"
)

// TestNobodyNoticesACrash plays the whole matrix, or KILLS deaths of it and one disturbance, drawn by SEED.
func TestNobodyNoticesACrash(t *testing.T) {
	node.Need(t)
	seed, kills := number(t, "SEED", uint64(time.Now().UnixNano())%100000), int(number(t, "KILLS", 0))
	rate := int(number(t, "RATE", 500))
	t.Logf("seed %d (SEED=%d repeats it), %d kills (0 = all), %d requests a second", seed, seed, kills, rate)
	r := newRig(t, rate)
	t.Run("expand under load, then back", r.expandThenBack)
	for _, s := range matrix(seed, kills) {
		t.Run(s.name(), func(t *testing.T) { r.play(t, s) })
	}
	for _, d := range disturbancesFor(seed, kills) {
		t.Run(d.name, func(t *testing.T) { r.disturb(t, d) })
	}
	summary = &r.sum
}

// summary is the last line of the output; nil when the real node was left out.
var summary *total

func TestMain(m *testing.M) {
	code := m.Run()
	if summary != nil {
		if err := json.NewEncoder(os.Stdout).Encode(summary); err != nil {
			code = 1
		}
	}
	os.Exit(code)
}

// play goes through one cutover with the deaths of a story.
func (r *rig) play(t *testing.T, s story) {
	from, to := r.colors(t)
	lines := make([]string, len(s.kills))
	for i, k := range s.kills {
		lines[i] = k.armed(from, to)
	}
	r.loaded(t, 0, func(ctx context.Context) error {
		if err := r.points.arm(lines); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		buried := make(chan error, 1)
		go func() { buried <- r.undertaker(ctx, len(lines)) }()
		err := r.through(ctx, s.path)
		cancel()
		if buryErr := <-buried; err == nil {
			err = buryErr
		}
		return err
	})
	hits := r.points.hits()
	r.sum.Kills += len(hits)
	for i, hit := range hits {
		t.Logf("killed in %-17s %s", s.kills[min(i, len(s.kills)-1)].step, hit)
	}
	if len(hits) != len(lines) {
		t.Errorf("killed at %d of %d writes; still to come: %s", len(hits), len(lines), strings.Join(lines[len(hits):], ", "))
	}
}

// through changes the spec and follows the rollout along a path to its end.
func (r *rig) through(ctx context.Context, p path) error {
	rollout, err := r.begin(ctx)
	if err != nil {
		return err
	}
	if p.revert != "" {
		if err := rollout.reach(ctx, p.revert); err != nil {
			return err
		}
		if err := rollout.revert(ctx); err != nil {
			return err
		}
	}
	return rollout.end(ctx, p.outcome)
}

// colors are the color that serves and the other one.
func (r *rig) colors(t *testing.T) (from, to string) {
	t.Helper()
	from, err := r.ActiveColor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if from == string(v1alpha1.Blue) {
		return from, string(v1alpha1.Green)
	}
	return from, string(v1alpha1.Blue)
}

// expandThenBack cuts over to a version that brings a migration, the old color serving all the while, and goes back in the time of
// retention: the old version then lives on the new schema.
func (r *rig) expandThenBack(t *testing.T) {
	var change *rollout
	var turned time.Time
	rep := r.loaded(t, 0, func(ctx context.Context) (err error) {
		if change, err = r.begin(ctx); err != nil {
			return err
		}
		if err := change.reach(ctx, v1alpha1.StepRetaining); err != nil {
			return err
		}
		turned = time.Now()
		if err := change.revert(ctx); err != nil {
			return err
		}
		return change.end(ctx, v1alpha1.OutcomeRolledBack)
	})
	before := change.before.Status
	if before.Schema == nil || change.schema <= before.Schema.Current {
		t.Errorf("schema level %d after %+v: nothing was migrated", change.schema, before.Schema)
	}
	old := rep.By[before.Active.Revision]["fresh"]
	if old.First.After(rep.Started.Add(time.Second)) || old.Last.Before(turned) {
		t.Errorf("the old revision answered from %s to %s, and the spec was turned back at %s", old.First, old.Last, turned)
	}
	now, err := r.Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now.Status.Active.Revision != before.Active.Revision {
		t.Errorf("revision %s is active, not %s as before", now.Status.Active.Revision, before.Active.Revision)
	}
	if revisions := len(rep.By); revisions < 2 {
		t.Errorf("%d revision answered: no traffic was moved", revisions)
	}
}

func number(t *testing.T, name string, def uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" || text == "all" {
		return def
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %q is not a number", name, text)
	}
	return n
}
