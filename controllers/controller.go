// Package controllers is the operator: it joins the rooms that read (observe), decide (plan), write (apply) and tell (report) into one
// reconciler, and says what wakes it.
//
// It must never import workload: the operator and the service it runs share no code, only a contract of names, ports and messages.
package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/apply"
	"github.com/garnizeh/englog-operator/controllers/observe"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/probe"
	"github.com/garnizeh/englog-operator/controllers/render"
	"github.com/garnizeh/englog-operator/controllers/report"
)

// Reconciler moves instances towards their specs.
type Reconciler struct {
	observe *observe.Reader
	probes  *probe.Runner
	apply   *apply.Applier
	report  *report.Reporter
	kinds   *kinds
	now     func() time.Time
	// overtaken counts how often in a row an instance at rest was overtaken.
	overtaken workqueue.TypedRateLimiter[types.NamespacedName]
}

// Reconcile looks, decides, acts and tells. What it decides to do next is persisted by telling, before it is done in the next round.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if err := r.kinds.learn(ctx, useful); err != nil {
		return ctrl.Result{}, err
	}
	seen, err := r.observe.Look(ctx, req.NamespacedName)
	if err != nil || seen == nil {
		return ctrl.Result{}, r.forget(req.NamespacedName, err)
	}
	next := plan.Next(seen.World, r.now())
	failure := r.act(ctx, req.NamespacedName, seen, next)
	return r.tell(ctx, seen, next, failure)
}

// forget drops what is remembered about an instance that is gone.
func (r *Reconciler) forget(key types.NamespacedName, err error) error {
	if err == nil {
		r.probes.Forget(key)
		r.apply.Forget(key)
		r.report.Forget(key)
		r.overtaken.Forget(key)
	}
	return err
}

// act makes the writes, keeps the wanted checks running and sends the notices.
func (r *Reconciler) act(ctx context.Context, key types.NamespacedName, seen *observe.Seen, next plan.Plan) error {
	r.probes.Sync(key, next.Probes)
	r.probes.Notify(key, next.Notices)
	in := render.Input{Instance: seen.World.Instance, Spec: seen.World.Spec, Snapshots: seen.Snapshots, Stores: seen.Stores, World: seen.World, Cluster: r.kinds.cluster()}
	return r.apply.Do(ctx, in, next.Writes)
}

// foreignRetry is how often a name that is taken by a foreign object is tried again: nothing tells when it is free.
const foreignRetry = 30 * time.Second

// How soon a decision that was overtaken is made again. In a rollout things move all the time, and each try is a write: it waits until they rest.
// Otherwise it is the repair of drift, which an autoscaler's own controller gets in the way of by writing once: it is tried at once.
const (
	soon   = 5 * time.Millisecond
	calmly = 50 * time.Millisecond
)

// again is how long to wait for caches that are behind a write which was refused.
func (r *Reconciler) again(instance *v1alpha1.EngLogInstance) time.Duration {
	if rollout := instance.Status.Rollout; rollout != nil && rollout.Step != v1alpha1.StepStable {
		return calmly
	}
	return r.overtaken.When(client.ObjectKeyFromObject(instance))
}

// tell persists the status and arranges the next look. A write that was overtaken is no failure to speak of: the world has moved on, and
// so the decision is simply made again.
func (r *Reconciler) tell(ctx context.Context, seen *observe.Seen, next plan.Plan, failure error) (ctrl.Result, error) {
	if apply.Overtaken(failure) {
		return ctrl.Result{RequeueAfter: r.again(seen.World.Instance)}, nil
	}
	_, foreign := apply.ConflictOf(failure)
	if err := r.report.Tell(ctx, seen.World, next, failure, effective(seen)); err != nil {
		if apply.Overtaken(err) {
			return ctrl.Result{RequeueAfter: r.again(seen.World.Instance)}, nil
		}
		return ctrl.Result{}, err
	}
	r.overtaken.Forget(client.ObjectKeyFromObject(seen.World.Instance))
	if foreign {
		return ctrl.Result{RequeueAfter: foreignRetry}, nil
	}
	if failure != nil {
		return ctrl.Result{}, failure
	}
	if len(r.kinds.lacking(&seen.World.Spec)) > 0 {
		next.Wake = sooner(next.Wake, r.now().Add(needed))
		return ctrl.Result{RequeueAfter: until(next.Wake, r.now())}, r.kinds.learn(ctx, needed)
	}
	return ctrl.Result{RequeueAfter: until(next.Wake, r.now())}, nil
}

// effective is the configuration that the spec leads to, or the active one while that is not known.
func effective(seen *observe.Seen) map[string]string {
	if s, ok := seen.Snapshots[seen.World.Target.Revision]; ok {
		return s.Config
	}
	if a := seen.World.Instance.Status.Active; a != nil {
		return seen.Snapshots[a.Revision].Config
	}
	return nil
}

// sooner is the earlier of two moments, the first of which may be never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// until turns the moment to wake into a delay, never a busy one.
func until(wake, now time.Time) time.Duration {
	if wake.IsZero() {
		return 0
	}
	return max(wake.Sub(now), 10*time.Millisecond)
}
