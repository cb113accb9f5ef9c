// Package observe reads: it turns the cluster, as the caches and a few direct reads show it, into one world.World. It writes nothing
// to the cluster and decides nothing.
//
// It must never import plan, guard, apply or report: what is seen must not depend on what is wanted.
package observe

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Labels that children carry.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	InstanceLabel  = "app.kubernetes.io/instance"
	ComponentLabel = "app.kubernetes.io/component"
	ColorLabel     = "englog.io/color"
	RevisionLabel  = "englog.io/revision"
	EpochKey       = "englog.io/rollout-epoch"
	// Manager is the value of ManagedByLabel.
	Manager = "englog-operator"
	// InstanceIndex is the cache index of children by the instance they belong to.
	InstanceIndex = "instance"
)

// Seen is everything that one reconcile works with.
type Seen struct {
	World *world.World
	// Snapshots holds the stored templates of the revisions that have a role, and those of the target when it is new.
	Snapshots map[string]revision.Snapshot
	// Stores holds what the pods of Managed stores are made from, by the name of the record.
	Stores map[string]revision.StoreSnapshot
}

// Findings says what running checks have learned.
type Findings interface {
	Findings(key types.NamespacedName) map[string]world.Finding
}

// Reader reads worlds.
type Reader struct {
	// Client reads children from the caches.
	Client client.Reader
	// Live reads past them; without it quotas are not looked at.
	Live   client.Reader
	levels levels
	// Secrets reads and digests referenced Secrets outside of the caches.
	Secrets *Secrets
	// Probes answers for running checks.
	Probes Findings
	// Compose makes the snapshot of a revision that is new.
	Compose func(*world.World) (revision.Snapshot, error)
	// PostgresMajor is the major version of Managed databases whose spec names none; 0 for the API's default.
	PostgresMajor int32
	// Refuse says what is wrong with a resolved spec beyond its schema; empty when nothing is.
	Refuse func(*v1alpha1.EngLogInstanceSpec) string
	// Wanted names the optional children that the spec wants, as "Kind/name".
	Wanted func(*world.World) (map[string]bool, error)
	// Weighted names the routes that lead by weights.
	Weighted func(*v1alpha1.EngLogInstance, *v1alpha1.EngLogInstanceSpec) []world.RouteRef
	// Lacking says, in words, which kinds the spec needs and the cluster does not know.
	Lacking func(*v1alpha1.EngLogInstanceSpec) []string
	// Optional lists the kinds that are cached beside those that every cluster knows.
	Optional func() []schema.GroupVersionKind
}

// Look returns what is seen of one instance, or nil when it is gone.
func (r *Reader) Look(ctx context.Context, key types.NamespacedName) (*Seen, error) {
	instance := &v1alpha1.EngLogInstance{}
	if err := r.Client.Get(ctx, key, instance); err != nil {
		if apierrors.IsNotFound(err) {
			r.Secrets.Forget(key)
			return nil, nil //nolint:nilnil // gone is a state, not an error
		}
		return nil, fmt.Errorf("reading instance %s: %w", key, err)
	}
	if !instance.DeletionTimestamp.IsZero() {
		return nil, nil //nolint:nilnil // owner references do the rest
	}
	w := &world.World{Instance: instance, Spec: r.resolved(instance), Findings: r.Probes.Findings(key)}
	seen := &Seen{World: w, Snapshots: map[string]revision.Snapshot{}}
	c, err := r.children(ctx, key)
	if err != nil {
		return nil, err
	}
	c.fill(w)
	w.Weighted = c.weighted(w.Instance.Name, r.Weighted(w.Instance, &w.Spec))
	w.Refusals = r.refusals(w)
	r.routeWarnings(w, c)
	if err := r.target(ctx, seen, c); err != nil {
		return nil, err
	}
	if err := c.storeRecords(seen); err != nil {
		return nil, err
	}
	budget(seen)
	if err := r.warnings(ctx, w); err != nil {
		return nil, err
	}
	if err := r.room(ctx, seen); err != nil {
		return nil, err
	}
	if err := r.unwanted(seen.World, c); err != nil {
		return nil, err
	}
	return seen, nil
}

// children are the cached objects of one instance.
type children struct {
	deployments appsv1.DeploymentList
	pods        corev1.PodList
	services    corev1.ServiceList
	slices      discoveryv1.EndpointSliceList
	scalers     autoscalingv2.HorizontalPodAutoscalerList
	jobs        batchv1.JobList
	configs     corev1.ConfigMapList
	snapshots   appsv1.ControllerRevisionList
	sets        appsv1.StatefulSetList
	ingresses   networkingv1.IngressList
	policies    networkingv1.NetworkPolicyList
	// httpRoutes and extras are of kinds that the cluster may not know.
	httpRoutes gatewayv1.HTTPRouteList
	extras     []metav1.PartialObjectMetadata
}

func (r *Reader) children(ctx context.Context, key types.NamespacedName) (*children, error) {
	c := &children{}
	for _, list := range []client.ObjectList{&c.deployments, &c.pods, &c.services, &c.slices, &c.scalers, &c.jobs, &c.configs, &c.snapshots, &c.sets, &c.ingresses, &c.policies} {
		err := r.Client.List(ctx, list, client.InNamespace(key.Namespace), client.MatchingFields{InstanceIndex: key.Name}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return nil, fmt.Errorf("listing %T of instance %s: %w", list, key, err)
		}
	}
	return c, r.optional(ctx, key, c)
}

// optional lists what there is of kinds that the cluster may or may not know: HTTPRoutes in whole, of the others the metadata.
func (r *Reader) optional(ctx context.Context, key types.NamespacedName, c *children) error {
	for _, kind := range r.Optional() {
		var list client.ObjectList = &c.httpRoutes
		metadata := &metav1.PartialObjectMetadataList{}
		if kind.Kind != "HTTPRoute" {
			metadata.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
			list = metadata
		}
		err := r.Client.List(ctx, list, client.InNamespace(key.Namespace), client.MatchingFields{InstanceIndex: key.Name}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return fmt.Errorf("listing %s of instance %s: %w", kind.Kind, key, err)
		}
		for i := range metadata.Items {
			metadata.Items[i].SetGroupVersionKind(kind)
		}
		c.extras = append(c.extras, metadata.Items...)
	}
	return nil
}

// target finds out which revision the spec asks for, and loads the templates of every revision that has a role.
func (r *Reader) target(ctx context.Context, seen *Seen, c *children) error {
	w := seen.World
	if err := c.load(seen, roleRevisions(&w.Instance.Status)); err != nil || len(w.Refusals) > 0 {
		return err
	}
	if err := r.resolve(ctx, seen); err != nil || w.Target.Revision == "" {
		return err
	}
	t := w.Target
	if err := c.load(seen, map[string]bool{t.Revision: true}); err != nil {
		return err
	}
	if _, stored := seen.Snapshots[t.Revision]; !stored {
		s, err := r.Compose(w)
		if err != nil {
			return fmt.Errorf("composing revision %s: %w", t.Revision, err)
		}
		s.Secrets = t.Secrets
		seen.Snapshots[t.Revision] = s
	}
	return nil
}

// load decodes the stored snapshots of some revisions.
func (c *children) load(seen *Seen, revisions map[string]bool) error {
	for i := range c.snapshots.Items {
		stored := &c.snapshots.Items[i]
		name := stored.Labels[RevisionLabel]
		if _, known := seen.Snapshots[name]; known || !revisions[name] {
			continue
		}
		s, err := revision.Decode(stored.Data.Raw)
		if err != nil {
			return fmt.Errorf("reading ControllerRevision %s: %w", stored.Name, err)
		}
		seen.Snapshots[name] = s
	}
	return nil
}

// resolve digests the referenced Secrets and hashes the revision that follows from them and the spec.
func (r *Reader) resolve(ctx context.Context, seen *Seen) error {
	w := seen.World
	references := revision.References(w.Instance.Name, w.Spec)
	digests, err := r.Secrets.Digest(ctx, w, references)
	if err != nil || len(w.Missing) > 0 || len(w.Conflicts) > 0 {
		return err
	}
	inputs, err := revision.Inputs(w.Instance.Spec)
	if err != nil {
		return fmt.Errorf("reading the revision inputs of %s: %w", w.Instance.Name, err)
	}
	chosen, _ := revision.Choose(references, revision.Keys(w.Keys))
	before := revision.Unrotated(chosen, digests, seen.hashedWith())
	rotated := revision.Hash(inputs, digests)
	unrotated := revision.Hash(inputs, before)
	a := w.Instance.Status.Active
	w.Target = world.Target{
		Revision: rotated, Version: w.Spec.Version, Secrets: digests,
		SecretsOnly: a != nil && rotated != a.Revision && unrotated == a.Revision,
	}
	if s := w.Spec.Secrets; s != nil && s.Rotation == v1alpha1.SecretRotationIgnore {
		w.Target.Revision, w.Target.Secrets, w.Target.SecretsOnly = unrotated, before, false
	}
	return nil
}

// hashedWith are the digests that the active revision was hashed with, or a first installation's candidate; nil when they are not known.
func (s *Seen) hashedWith() map[string]string {
	status := &s.World.Instance.Status
	for _, r := range []*v1alpha1.RevisionStatus{status.Active, status.Candidate} {
		if r != nil {
			return s.Snapshots[r.Revision].Secrets
		}
	}
	return nil
}

func roleRevisions(s *v1alpha1.EngLogInstanceStatus) map[string]bool {
	roles := map[string]bool{}
	for _, r := range []*v1alpha1.RevisionStatus{s.Active, s.Candidate, s.Previous} {
		if r != nil {
			roles[r.Revision] = true
		}
	}
	return roles
}

// refusals repeats the checks that a CRD schema may not have made: an older CRD, or an API server that ratchets.
func (r *Reader) refusals(w *world.World) []world.Problem {
	var all []world.Problem
	refuse := func(format string, args ...any) {
		all = append(all, world.Problem{Reason: "InvalidSpec", Message: fmt.Sprintf(format, args...)})
	}
	if len(w.Instance.Name) > 40 {
		refuse("metadata.name: %d characters are too many for the names of its children: use at most 40", len(w.Instance.Name))
	}
	if w.Spec.Version == "" {
		refuse("spec.version: is empty: set the version to run, such as 1.8.0")
	}
	if pin, m := w.Instance.Status.Managed, w.Spec.Database.Managed; pin != nil && m != nil && pin.PostgresMajor > 0 && m.MajorVersion != pin.PostgresMajor {
		refuse("spec.database.managed.majorVersion: is %d, but the volume was made by PostgreSQL %d: remove the field, or dump and restore into a second instance", m.MajorVersion, pin.PostgresMajor)
	}
	if problem := r.Refuse(&w.Spec); problem != "" {
		refuse("%s", problem)
	}
	return all
}
