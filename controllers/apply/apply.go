// Package apply does what a plan wants: server-side apply with a memory of what was applied, scaling and deletion with preconditions.
// It is the only room that writes children. It never writes over an object that does not carry our ownerReference.
//
// It must never import plan's neighbours that decide (guard) or read (observe), and must never change a plan.
package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1ac "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/failpoint"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/render"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// The field owners. Replicas are written by an owner of their own, and are never part of an apply: so an
// autoscaler, a person and the operator can hand them over without a moment in which nobody owns them.
const (
	Owner      = client.FieldOwner("englog-operator")
	ScaleOwner = client.FieldOwner("englog-operator-scale")
)

// NameConflict is an object with one of our names that is not ours.
type NameConflict struct {
	Kind, Name string
}

func (c *NameConflict) Error() string {
	return fmt.Sprintf("%s %s exists and does not belong to this instance: rename or delete it, or choose another name for the instance", c.Kind, c.Name)
}

// Reason is what a condition says about it.
func (c *NameConflict) Reason() string { return "NameConflict" }

// Applier applies plans.
type Applier struct {
	// Client writes, and reads children from the caches.
	Client client.Client
	// Live reads past the caches, to see foreign objects before the first write of a name.
	Live client.Reader
	// Observe counts the outcome of each write for the metrics.
	Observe func(kind string, outcome Outcome)

	memory memory
}

// Outcome is what became of one write.
type Outcome string

// The outcomes of a write.
const (
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
	Repaired  Outcome = "repaired"
	Failed    Outcome = "error"
)

// Do makes the writes in their order. The first failure ends the round: what follows may depend on it.
func (a *Applier) Do(ctx context.Context, in render.Input, writes []plan.Write) error {
	for _, w := range writes {
		if err := a.write(ctx, in, w); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

func (a *Applier) write(ctx context.Context, in render.Input, w plan.Write) error {
	switch w := w.(type) {
	case plan.Ensure:
		return a.ensure(ctx, in, w)
	case plan.Scale:
		return a.scale(ctx, in.Instance, w)
	case plan.Delete:
		return a.remove(ctx, in.Instance, w)
	default:
		return fmt.Errorf("unknown write %T", w)
	}
}

// Forget drops what is remembered about an instance that is gone.
func (a *Applier) Forget(key types.NamespacedName) { a.memory.forget(key) }

func (a *Applier) ensure(ctx context.Context, in render.Input, e plan.Ensure) error {
	objects, err := render.Objects(in, e)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := a.apply(ctx, in.Instance, e, o); err != nil {
			return err
		}
	}
	return nil
}

func (a *Applier) apply(ctx context.Context, instance *v1alpha1.EngLogInstance, e plan.Ensure, o runtime.ApplyConfiguration) error {
	intent, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encoding the intent: %w", err)
	}
	id, err := identify(intent)
	if err != nil {
		return err
	}
	current, err := a.current(ctx, instance, id)
	if err != nil {
		return err
	}
	news := a.memory.compare(instance, id, intent, current)
	if news == Unchanged {
		a.observe(id.Kind, Unchanged)
		return nil
	}
	if writtenOnce[id.Kind] && current.exists {
		a.memory.keep(instance, id, intent, current)
		return nil
	}
	if fenced[e.Kind] && e.Identity.UID == "" && current.exists {
		return apierrors.NewConflict(schema.GroupResource{Resource: id.Kind}, id.Name, errors.New("it was created meanwhile"))
	}
	fence(o, e.Identity)
	failpoint.Before(e.String())
	if err := a.send(ctx, instance, id, e.Identity, o); err != nil {
		a.observe(id.Kind, Failed)
		return fmt.Errorf("applying %s %s: %w", id.Kind, id.Name, err)
	}
	failpoint.After(e.String())
	a.observe(id.Kind, news)
	return a.remember(instance, id, intent, o)
}

// tries is how often a write is sent while nothing but its object's status gets in its way.
const tries = 8

// send applies an object. A Deployment's own controller writes its status all the while that pods come and go, and each time the
// resourceVersion that a write names is old; while its spec is the one that was decided on, the write is sent again with the newest.
func (a *Applier) send(ctx context.Context, instance *v1alpha1.EngLogInstance, id identity, decided world.Identity, o runtime.ApplyConfiguration) error {
	named := decided
	for try := 1; ; try++ {
		err := a.Client.Apply(ctx, o, optionsFor(id.Kind)...)
		if !apierrors.IsConflict(err) || id.Kind != "Deployment" || try == tries {
			return err //nolint:wrapcheck // by the caller
		}
		var moved bool
		if named, moved = a.newest(ctx, instance, id, named); !moved || !decided.SameSpec(named) {
			return err //nolint:wrapcheck // by the caller
		}
		fence(o, named)
	}
}

// newest is the incarnation of a Deployment after the one that was refused: what the cache shows, which costs nothing and is seldom behind, or
// else what the API server says. It is false when there is none, or one that is no longer ours.
func (a *Applier) newest(ctx context.Context, instance *v1alpha1.EngLogInstance, id identity, refused world.Identity) (world.Identity, bool) {
	cached, live := &appsv1.Deployment{}, &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(id.Kind))
	key := client.ObjectKey{Namespace: id.Namespace, Name: id.Name}
	for _, look := range []struct {
		from client.Reader
		at   client.Object
	}{{a.Client, cached}, {a.Live, live}} {
		if err := look.from.Get(ctx, key, look.at); err == nil && later(look.at.GetResourceVersion(), refused.ResourceVersion) {
			return world.IdentityOf(look.at), stateOf(look.at, id.Kind).adopted(instance.UID)
		}
	}
	return world.Identity{}, false
}

// later compares resourceVersions, which may be since Kubernetes 1.35; before that they were numbers as well.
func later(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// fenced are the kinds of which every write names the incarnation that it was decided on, or that there was none.
var fenced = map[plan.Kind]bool{
	plan.LiveService: true, plan.Weights: true, plan.ColorService: true, plan.Deployment: true, plan.Autoscaler: true,
}

// fence binds a write to the incarnation that it was decided on. It is no part of the intent: what is wanted is the same whatever is there.
func fence(o runtime.ApplyConfiguration, i world.Identity) {
	if i.UID == "" || i.ResourceVersion == "" {
		return
	}
	switch o := o.(type) {
	case *corev1ac.ServiceApplyConfiguration:
		o.WithUID(i.UID).WithResourceVersion(i.ResourceVersion)
	case *gatewayv1ac.HTTPRouteApplyConfiguration:
		o.WithUID(i.UID).WithResourceVersion(i.ResourceVersion)
	case *networkingv1ac.IngressApplyConfiguration:
		o.WithUID(i.UID).WithResourceVersion(i.ResourceVersion)
	case *appsv1ac.DeploymentApplyConfiguration:
		o.WithUID(i.UID).WithResourceVersion(i.ResourceVersion)
	case *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration:
		o.WithUID(i.UID).WithResourceVersion(i.ResourceVersion)
	}
}

// optionsFor keeps the client from waiting for a cache that holds whole objects, where only their metadata is held.
func optionsFor(kind string) []client.ApplyOption {
	options := []client.ApplyOption{Owner, client.ForceOwnership}
	if _, metadata := optional[kind]; metadata {
		options = append(options, client.DisableReadYourWritesConsistency)
	}
	return options
}

// writtenOnce are kinds that are only ever created: a Job's template cannot change, and a revision's records must not.
var writtenOnce = map[string]bool{"Job": true, "ControllerRevision": true}

// remember keeps what the API server made of an intent.
func (a *Applier) remember(instance *v1alpha1.EngLogInstance, id identity, intent []byte, o runtime.ApplyConfiguration) error {
	answer, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("reading the answer for %s %s: %w", id.Kind, id.Name, err)
	}
	seen, err := readState(id, answer)
	if err != nil {
		return err
	}
	a.memory.keep(instance, id, intent, seen)
	return nil
}

// current reads an object's state from the cache. An object that the cache does not have is looked up past it once, before its first
// write: it may be somebody else's.
func (a *Applier) current(ctx context.Context, instance *v1alpha1.EngLogInstance, id identity) (state, error) {
	s, err := read(ctx, a.Client, id)
	if err != nil || s.exists {
		return s, foreign(err, s, instance, id)
	}
	if s, err = read(ctx, a.Live, id); err != nil {
		return s, err
	}
	return s, foreign(nil, s, instance, id)
}

func foreign(err error, s state, instance *v1alpha1.EngLogInstance, id identity) error {
	if err != nil {
		return err
	}
	if s.exists && !s.adopted(instance.UID) {
		return &NameConflict{Kind: id.Kind, Name: id.Name}
	}
	return nil
}

// scale writes replicas, as an owner of its own. Only the very Deployment that the decision was made about is scaled; a leader that has been
// overtaken fails here.
func (a *Applier) scale(ctx context.Context, instance *v1alpha1.EngLogInstance, s plan.Scale) error {
	name := plan.SlotName(instance.Name, s.Slot)
	target := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: name}}
	patch, err := scalePatch(s)
	if err != nil {
		return err
	}
	failpoint.Before(s.String())
	if err := a.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch), ScaleOwner); err != nil {
		a.observe("Scale", Failed)
		return fmt.Errorf("scaling Deployment %s: %w", name, err)
	}
	failpoint.After(s.String())
	a.observe("Scale", Changed)
	return nil
}

// scalePatch is a merge patch; with a uid and a resourceVersion in it, the API server refuses it for any other incarnation.
func scalePatch(s plan.Scale) ([]byte, error) {
	body := map[string]any{"spec": map[string]any{"replicas": s.Replicas}}
	if s.Identity.UID != "" { // it may have been made in this round
		body["metadata"] = map[string]any{"uid": s.Identity.UID, "resourceVersion": s.Identity.ResourceVersion}
	}
	patch, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding a scale: %w", err)
	}
	return patch, nil
}

// remove deletes exactly the incarnation that was seen. One that is gone is what was wanted.
func (a *Applier) remove(ctx context.Context, instance *v1alpha1.EngLogInstance, d plan.Delete) error {
	o := empty(string(d.Kind))
	if o == nil {
		return fmt.Errorf("kind %s is not one that is deleted", d.Kind)
	}
	o.SetNamespace(instance.Namespace)
	o.SetName(d.Name)
	failpoint.Before(d.String())
	conditions := client.Preconditions{}
	if d.Identity.UID != "" {
		conditions.UID = &d.Identity.UID
	}
	if d.Identity.ResourceVersion != "" && (d.Kind == plan.Autoscaler || d.Kind == plan.Service) {
		conditions.ResourceVersion = &d.Identity.ResourceVersion
	}
	err := a.Client.Delete(ctx, o, conditions, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		a.observe(string(d.Kind), Failed)
		return fmt.Errorf("deleting %s %s: %w", d.Kind, d.Name, err)
	}
	failpoint.After(d.String())
	a.observe(string(d.Kind), Changed)
	return nil
}

func (a *Applier) observe(kind string, o Outcome) {
	if a.Observe != nil {
		a.Observe(kind, o)
	}
}

// Overtaken is true for failures that say that the world has moved on since the decision: looking again is all that is needed.
func Overtaken(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}

// ConflictOf returns the foreign object that a failure is about, if it is about one.
func ConflictOf(err error) (*NameConflict, bool) {
	var c *NameConflict
	ok := errors.As(err, &c)
	return c, ok
}
