package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/render"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// AddToScheme registers every type that the operator reads or writes.
func AddToScheme(s *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, gatewayv1.Install} {
		if err := add(s); err != nil {
			return fmt.Errorf("registering types: %w", err)
		}
	}
	return nil
}

// The kinds that a cluster may or may not know. Of all but HTTPRoutes the caches hold the metadata alone: the generation tells drift.
var (
	httpRoute      = schema.GroupVersionKind{Group: gatewayv1.GroupName, Version: "v1", Kind: "HTTPRoute"}
	middleware     = schema.GroupVersionKind{Group: "traefik.io", Version: "v1alpha1", Kind: "Middleware"}
	podMonitor     = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "PodMonitor"}
	prometheusRule = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "PrometheusRule"}

	optional = []schema.GroupVersionKind{httpRoute, middleware, podMonitor, prometheusRule}
)

// held is what the caches hold of an optional kind.
func held(kind schema.GroupVersionKind) client.Object {
	if kind == httpRoute {
		return &gatewayv1.HTTPRoute{}
	}
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(kind)
	return o
}

// kinds knows which of the optional kinds the cluster has. A definition that is installed later is found by the next look that needs it.
type kinds struct {
	mapper meta.RESTMapper
	// begin starts to watch a kind.
	begin func(ctx context.Context, kind schema.GroupVersionKind) error
	base  render.Cluster
	now   func() time.Time

	mu    sync.Mutex
	known map[schema.GroupVersionKind]bool
	asked time.Time
}

// How often the cluster is asked at most whether it has learned a kind: one that would be used, and one that a spec cannot do without.
const (
	useful = 5 * time.Minute
	needed = 30 * time.Second
)

// learn looks which kinds the cluster knows, unless that was done a short while ago, and watches those that are new.
func (k *kinds) learn(ctx context.Context, unless time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) == len(optional) || k.now().Sub(k.asked) < unless {
		return nil
	}
	k.asked = k.now()
	for _, kind := range optional {
		if k.known[kind] {
			continue
		}
		if _, err := k.mapper.RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(err) {
			continue
		} else if err != nil {
			return fmt.Errorf("asking whether the cluster knows %s: %w", kind.Kind, err)
		}
		if err := k.begin(ctx, kind); err != nil {
			return fmt.Errorf("watching %s: %w", kind.Kind, err)
		}
		k.known[kind] = true
	}
	return nil
}

// watched lists the optional kinds that are known.
func (k *kinds) watched() []schema.GroupVersionKind {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(optional), func(kind schema.GroupVersionKind) bool { return !k.known[kind] })
}

// cluster is what render has to know of the cluster now.
func (k *kinds) cluster() render.Cluster {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.base
	c.HTTPRoutes, c.Middlewares, c.Monitors = k.known[httpRoute], k.known[middleware], k.known[podMonitor] && k.known[prometheusRule]
	return c
}

// wanted names the optional children that render makes of a spec.
func (k *kinds) wanted(w *world.World) (map[string]bool, error) {
	in := render.Input{Instance: w.Instance, Spec: w.Spec, World: w, Cluster: k.cluster()}
	return render.Names(in, plan.Route, plan.Weights, plan.NetworkPolicy, plan.Store, plan.Monitoring)
}

// compose makes the snapshot of a new revision.
func (k *kinds) compose(w *world.World) (revision.Snapshot, error) {
	return render.NewSnapshot(render.Input{Instance: w.Instance, Spec: w.Spec, World: w, Cluster: k.cluster()})
}

func (k *kinds) weighted(instance *v1alpha1.EngLogInstance, spec *v1alpha1.EngLogInstanceSpec) []world.RouteRef {
	return render.Weighted(instance, spec, k.cluster())
}

func (k *kinds) lacking(spec *v1alpha1.EngLogInstanceSpec) []string {
	return render.Lacking(spec, k.cluster())
}
