// Package render describes each child object of an instance as a typed apply configuration: one function per kind of child. It says what
// an object is to be, never whether it is there or when it is written.
//
// Pods come from the stored snapshot of their revision, never from the spec: NewSnapshot is the only function that turns a spec into pods.
// It must never import a Kubernetes client, read a clock or do I/O.
package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Labels, annotations and names that children carry.
const (
	NameLabel      = "app.kubernetes.io/name"
	InstanceLabel  = "app.kubernetes.io/instance"
	ComponentLabel = "app.kubernetes.io/component"
	ManagedByLabel = "app.kubernetes.io/managed-by"
	VersionLabel   = "app.kubernetes.io/version"
	ColorLabel     = "englog.io/color"
	RevisionLabel  = "englog.io/revision"
	// KeptLabel marks what outlives its instance and is taken up again by one of the same name.
	KeptLabel = "englog.io/kept"
	// StoreRecordLabel marks the record of what a Managed store's pod is made from; its value is the store.
	StoreRecordLabel = "englog.io/store"
	// EpochKey is the annotation with the fencing number of the last switch.
	EpochKey = "englog.io/rollout-epoch"
	// RestartKey is the annotation of pods that changes with spec.restartToken.
	RestartKey = "englog.io/restart-token"

	product = "englog"
	manager = "englog-operator"
)

// The values of ComponentLabel that are no component of a revision.
const (
	migrateComponent = "migrate"
	checkComponent   = "check"
)

// Input is what objects are rendered from.
type Input struct {
	Instance *v1alpha1.EngLogInstance
	// Spec is the resolved spec: every group and every setting has its value.
	Spec v1alpha1.EngLogInstanceSpec
	// Snapshots holds the stored snapshots of the revisions that are rendered.
	Snapshots map[string]revision.Snapshot
	// Stores holds what the pods of Managed stores are made from, by the name of the record.
	Stores map[string]revision.StoreSnapshot
	// World is what was seen: which Secret keys exist, the ordinals of stored revisions, the color of the live routes.
	World   *world.World
	Cluster Cluster
}

// Cluster is what render has to know of the cluster that it renders for.
type Cluster struct {
	// OperatorNamespace is where the operator runs; empty when it runs outside of the cluster.
	OperatorNamespace string
	// MonitoringNamespaces may read metrics.
	MonitoringNamespaces []string
	// HTTPRoutes, Middlewares and Monitors say whether the cluster knows the kinds of the Gateway API, of Traefik and of the Prometheus operator.
	HTTPRoutes, Middlewares, Monitors bool
}

// Objects renders one child: usually one object, none when the spec does not want it.
func Objects(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	if in.World == nil {
		in.World = &world.World{}
	}
	function, ok := functions[e.Kind]
	if !ok {
		return nil, fmt.Errorf("no object is known for %q", e.Kind)
	}
	objects, err := function(in, e)
	if err != nil {
		return nil, fmt.Errorf("rendering %s of %s/%s: %w", e.Kind, in.Instance.Namespace, in.Instance.Name, err)
	}
	return objects, nil
}

var functions = map[plan.Kind]func(Input, plan.Ensure) ([]runtime.ApplyConfiguration, error){
	plan.ServiceAccount:   serviceAccount,
	plan.Config:           configMap,
	plan.Snapshot:         controllerRevision,
	plan.Deployment:       deployment,
	plan.Autoscaler:       autoscaler,
	plan.DisruptionBudget: disruptionBudget,
	plan.ColorService:     colorService,
	plan.LiveService:      liveService,
	plan.Job:              job,
	plan.NetworkPolicy:    networkPolicies,
	plan.Route:            routes,
	plan.Weights:          weights,
	plan.Monitoring:       monitoring,
	plan.Store:            store,
}

func one(o runtime.ApplyConfiguration) []runtime.ApplyConfiguration {
	return []runtime.ApplyConfiguration{o}
}

// snapshot is the stored form of a revision; it has to be there before anything of the revision is rendered.
func (in Input) snapshot(name string) (revision.Snapshot, error) {
	s, ok := in.Snapshots[name]
	if !ok {
		return s, fmt.Errorf("the snapshot of revision %q is not stored", name)
	}
	return s, nil
}

// present says which Secret keys exist; nil while nothing is known.
func (in Input) present() revision.Present {
	if in.World == nil {
		return nil // a snapshot can be made of a spec alone
	}
	return revision.Keys(in.World.Keys)
}

// Labels are those of every object of a component; an empty component leaves that label out.
func Labels(instance, component string) map[string]string {
	l := map[string]string{NameLabel: product, InstanceLabel: instance, ManagedByLabel: manager}
	if component != "" {
		l[ComponentLabel] = component
	}
	return l
}

// selector finds the pods of a component, in one color if it is given.
func selector(instance, component string, color v1alpha1.Color) map[string]string {
	s := map[string]string{InstanceLabel: instance, ComponentLabel: component}
	if color != "" {
		s[ColorLabel] = lower(color)
	}
	return s
}

// owner makes the instance own an object: deleting the instance deletes it, without holding the deletion up.
func (in Input) owner() *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("EngLogInstance").
		WithName(in.Instance.Name).WithUID(in.Instance.UID).
		WithController(true).WithBlockOwnerDeletion(false)
}

func lower[T ~string](s T) string { return strings.ToLower(string(s)) }

// convert turns a typed value into its apply configuration, or back. Both have the same JSON form.
func convert[T any](from any) (*T, error) {
	encoded, err := json.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", from, err)
	}
	to := new(T)
	if err := json.Unmarshal(encoded, to); err != nil {
		return nil, fmt.Errorf("decoding %T as %T: %w", from, to, err)
	}
	return to, nil
}

// component is the part that all components' specs share.
func component(spec *v1alpha1.EngLogInstanceSpec, c v1alpha1.ComponentName) v1alpha1.ComponentSpec {
	switch c {
	case v1alpha1.Worker:
		return spec.Worker.ComponentSpec
	case v1alpha1.Frontend:
		return spec.Frontend.ComponentSpec
	default:
		return spec.API.ComponentSpec
	}
}
