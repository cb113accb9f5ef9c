package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/apply"
	"github.com/garnizeh/englog-operator/controllers/awssm"
	"github.com/garnizeh/englog-operator/controllers/keep"
	"github.com/garnizeh/englog-operator/controllers/observe"
	"github.com/garnizeh/englog-operator/controllers/probe"
	"github.com/garnizeh/englog-operator/controllers/render"
	"github.com/garnizeh/englog-operator/controllers/report"
)

// Options are what an operator is started with.
type Options struct {
	// Concurrency is how many instances are reconciled at a time; 10 by default.
	Concurrency int
	// SecretRefresh is how often referenced Secrets are read again; 5 minutes by default.
	SecretRefresh time.Duration
	// Prometheus is where Prometheus checks are asked; empty for nowhere.
	Prometheus string
	// Proxy is true outside of the cluster: probes go through the API server.
	Proxy bool
	// Name is the controller's name, which has to be unique in a process; englog by default.
	Name string
	// Ask replaces the way in which probes and notices are carried; tests without a network set it.
	Ask probe.Asker
	// Cluster is what rendering has to know of the cluster.
	Cluster render.Cluster
	// PostgresMajor is the major version of Managed databases whose spec names none; 0 for the API's default.
	PostgresMajor int32
	// AWSPrefix is what ids of AWS secrets have to begin with where the operator asks as itself; AWSEndpoint replaces AWS' addresses.
	AWSPrefix, AWSEndpoint string
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

// Setup adds the operator to a manager.
func Setup(ctx context.Context, mgr manager.Manager, opts Options) error {
	opts = opts.withDefaults()
	if err := index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	wakes := make(chan event.TypedGenericEvent[types.NamespacedName], 1024)
	wake := func(key types.NamespacedName) { wakes <- event.TypedGenericEvent[types.NamespacedName]{Object: key} }
	r, err := assemble(mgr, opts, wake)
	if err != nil {
		return err
	}
	r.observe.PostgresMajor = opts.PostgresMajor
	built, err := r.watch(mgr, opts, wakes)
	if err != nil {
		return err
	}
	r.kinds.begin = watcher(mgr, built)
	return r.kinds.learn(ctx, 0)
}

// watcher begins to watch kinds, whether the manager has been started or not.
func watcher(mgr manager.Manager, built controller.Controller) func(context.Context, schema.GroupVersionKind) error {
	byOwner := handler.TypedEnqueueRequestForOwner[client.Object](mgr.GetScheme(), mgr.GetRESTMapper(), &v1alpha1.EngLogInstance{}, handler.OnlyControllerOwner())
	return func(ctx context.Context, kind schema.GroupVersionKind) error {
		if err := indexByInstance(ctx, mgr.GetFieldIndexer(), held(kind)); err != nil {
			return err
		}
		return built.Watch(source.Kind(mgr.GetCache(), held(kind), byOwner, predicate.TypedFuncs[client.Object]{UpdateFunc: news.UpdateFunc}))
	}
}

func (o Options) withDefaults() Options {
	if o.Concurrency == 0 {
		o.Concurrency = 10
	}
	if o.SecretRefresh == 0 {
		o.SecretRefresh = 5 * time.Minute
	}
	if o.Name == "" {
		o.Name = "englog"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// assemble makes the rooms.
func assemble(mgr manager.Manager, opts Options, wake func(types.NamespacedName)) (*Reconciler, error) {
	reporter := report.New(mgr.GetClient(), mgr.GetEventRecorder(observe.Manager), opts.Now)
	runner, err := probe.New(probe.Options{Prometheus: opts.Prometheus, Proxy: opts.Proxy, Ask: opts.Ask, Config: mgr.GetConfig(), Wake: wake, Now: opts.Now})
	if err != nil {
		return nil, fmt.Errorf("starting the probes: %w", err)
	}
	// Secrets are written past the manager's client too: one that waits to see its own writes would start to watch all Secrets.
	direct, err := client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("making the client for Secrets: %w", err)
	}
	keeper := &keep.Keeper{Live: direct, Client: direct}
	secrets := observe.NewSecrets(mgr.GetAPIReader(), keeper, opts.SecretRefresh, opts.Now, wake)
	if err := awssm.CheckPrefix(opts.AWSPrefix); err != nil {
		return nil, err
	}
	copier := awssm.New(awssm.Options{
		Client: direct, Prefix: opts.AWSPrefix, Endpoint: opts.AWSEndpoint, Changed: secrets.Expire, Wake: wake, Now: opts.Now,
	})
	secrets.From(copier)
	for _, background := range []manager.Runnable{runner, secrets, copier} {
		if err := mgr.Add(background); err != nil {
			return nil, fmt.Errorf("adding %T to the manager: %w", background, err)
		}
	}
	k := &kinds{mapper: mgr.GetRESTMapper(), base: opts.Cluster, now: opts.Now, known: map[schema.GroupVersionKind]bool{}}
	return &Reconciler{
		observe: &observe.Reader{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Secrets: secrets, Probes: runner, Compose: k.compose, Refuse: render.RouteProblem,
			Wanted: k.wanted, Weighted: k.weighted, Lacking: k.lacking, Optional: k.watched,
		},
		probes: runner,
		apply:  &apply.Applier{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Observe: counter(reporter)},
		report: reporter,
		kinds:  k,
		now:    opts.Now,

		overtaken: workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](soon, calmly),
	}, nil
}

// counter counts writes for the metrics.
func counter(r *report.Reporter) func(string, apply.Outcome) {
	return func(kind string, o apply.Outcome) {
		if o == apply.Repaired {
			r.CountDrift(kind)
			o = apply.Changed
		}
		r.CountWrite(kind, string(o))
	}
}

// watch says what wakes the reconciler: the spec, the children it owns, the pods and endpoints behind them, and probes and Secrets that
// have news. Nothing wakes it by the clock but timers that a plan has set.
func (r *Reconciler) watch(mgr manager.Manager, opts Options, wakes chan event.TypedGenericEvent[types.NamespacedName]) (controller.Controller, error) {
	owned := builder.WithPredicates(news)
	b := ctrl.NewControllerManagedBy(mgr).Named(opts.Name).
		For(&v1alpha1.EngLogInstance{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Owns(&appsv1.Deployment{}, owned).Owns(&appsv1.StatefulSet{}, owned).Owns(&appsv1.ControllerRevision{}, owned).
		Owns(&corev1.Service{}, owned).Owns(&corev1.ConfigMap{}, owned).Owns(&corev1.ServiceAccount{}, owned).
		Owns(&batchv1.Job{}, owned).Owns(&autoscalingv2.HorizontalPodAutoscaler{}, owned).Owns(&policyv1.PodDisruptionBudget{}, owned).
		Owns(&networkingv1.NetworkPolicy{}, owned).Owns(&networkingv1.Ingress{}, owned)
	byLabel := handler.EnqueueRequestsFromMapFunc(instanceOf)
	return b.Watches(&corev1.Pod{}, byLabel, owned).Watches(&discoveryv1.EndpointSlice{}, byLabel, owned).
		WatchesRawSource(source.TypedChannel(wakes, handler.TypedEnqueueRequestsFromMapFunc(requestFor))).
		WithOptions(controller.Options{MaxConcurrentReconciles: opts.Concurrency, ReconciliationTimeout: time.Minute}).
		Build(r)
}

func instanceOf(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[observe.InstanceLabel]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

func requestFor(_ context.Context, key types.NamespacedName) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: key}}
}

// news lets only changes through that a decision could depend on. Autoscalers and pods report measurements all the time.
var news = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	switch now := e.ObjectNew.(type) {
	case *autoscalingv2.HorizontalPodAutoscaler:
		before, ok := e.ObjectOld.(*autoscalingv2.HorizontalPodAutoscaler)
		return !ok || before.Status.DesiredReplicas != now.Status.DesiredReplicas || !sameSpec(before, now)
	default:
		return e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion()
	}
}}

// sameSpec compares what the operator sets of an autoscaler, which has no generation.
func sameSpec(a, b *autoscalingv2.HorizontalPodAutoscaler) bool {
	return a.Spec.MaxReplicas == b.Spec.MaxReplicas && equal(a.Spec.MinReplicas, b.Spec.MinReplicas) &&
		len(a.Spec.Metrics) == len(b.Spec.Metrics)
}

func equal(a, b *int32) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
