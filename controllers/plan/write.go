package plan

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Kind names a family of children. Render has one function for each.
type Kind string

// The children that steps and roles decide about.
const (
	Config           Kind = "ConfigMap"
	Snapshot         Kind = "ControllerRevision"
	Deployment       Kind = "Deployment"
	Autoscaler       Kind = "HorizontalPodAutoscaler"
	DisruptionBudget Kind = "PodDisruptionBudget"
	ColorService     Kind = "ColorService"
	LiveService      Kind = "LiveService"
	Job              Kind = "Job"
	// Weights is the route object that leads to both colors by weights, where there is one beside the LiveService.
	Weights Kind = "Weights"
	// Service is what a LiveService is to the API server, for deletion.
	Service Kind = "Service"
)

// The children that follow from the spec alone.
const (
	ServiceAccount Kind = "ServiceAccount"
	NetworkPolicy  Kind = "NetworkPolicy"
	Route          Kind = "Route"
	Monitoring     Kind = "Monitoring"
	Store          Kind = "Store"
)

// Purpose says what a Job is for.
type Purpose string

// The purposes of Jobs.
const (
	Expand      Purpose = "expand"
	Contract    Purpose = "contract"
	WorkerCheck Purpose = "workercheck"
	UserCheck   Purpose = "check"
)

// Write is one change of the cluster, small enough to succeed or fail as a whole. Its String is what DryRun shows, what a crash test
// names, and never holds a secret.
type Write interface {
	fmt.Stringer
	write()
}

// Ensure makes one child be as render describes it. It is skipped when nothing has changed.
type Ensure struct {
	Kind      Kind
	Component v1alpha1.ComponentName
	Color     v1alpha1.Color
	Revision  string
	// Epoch is the fencing number that route objects and Deployments are stamped with.
	Epoch int64
	// Moves is true when a LiveService, or Weights, changes its color with this write.
	Moves bool
	// Identity is the incarnation of a Service, weighted route, Deployment or autoscaler that was decided on; empty where there was none. The write fails
	// when it is not the newest: repeated by an overtaken leader it would move traffic, or replace or dismiss the pods that serve.
	Identity world.Identity
	// Min and Max are an autoscaler's bounds.
	Min, Max int32
	// Purpose, Attempt and Check name a Job.
	Purpose Purpose
	Attempt int32
	Check   string
	// Approve names the newest destructive migration that a migration Job may run; empty approves none.
	Approve string
	// Name is set where a kind has several objects a component, such as Store.
	Name string
}

// Scale sets the replicas of one Deployment, of exactly the incarnation that was seen. Identity is empty only where the Deployment is made
// in the same round.
type Scale struct {
	Slot     world.Slot
	Replicas int32
	Identity world.Identity
}

// Delete removes one owned object, of exactly the incarnation that was seen.
type Delete struct {
	Kind     Kind
	Name     string
	Identity world.Identity
}

func (Ensure) write() {}
func (Scale) write()  {}
func (Delete) write() {}

func (e Ensure) String() string {
	if e.Moves && e.Kind == Weights {
		return fmt.Sprintf("switch the weights of %s to %s %s, epoch %d", e.Component, lower(e.Color), e.Revision, e.Epoch)
	}
	if e.Moves {
		return fmt.Sprintf("switch %s to %s %s, epoch %d", e.Component, lower(e.Color), e.Revision, e.Epoch)
	}
	parts := []string{"apply", string(e.Kind)}
	for _, p := range []string{string(e.Component), lower(e.Color), e.Revision, string(e.Purpose), e.Check, e.Name, e.Approve} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if e.Kind == Autoscaler {
		parts = append(parts, fmt.Sprintf("%d..%d", e.Min, e.Max))
	}
	return strings.Join(parts, " ")
}

func (s Scale) String() string {
	return fmt.Sprintf("scale %s %s to %d", s.Slot.Component, lower(s.Slot.Color), s.Replicas)
}

func (d Delete) String() string { return fmt.Sprintf("delete %s %s", d.Kind, d.Name) }

func lower(c v1alpha1.Color) string { return strings.ToLower(string(c)) }

// SlotName is the name of everything that belongs to one component in one color: <instance>-<component>-<color>.
func SlotName(instance string, s world.Slot) string {
	return fmt.Sprintf("%s-%s-%s", instance, s.Component, lower(s.Color))
}

// LiveName is the name of a component's live Service and routes: <instance>-<component>.
func LiveName(instance string, c v1alpha1.ComponentName) string {
	return fmt.Sprintf("%s-%s", instance, c)
}

// ConfigName is the name of a revision's ConfigMap.
func ConfigName(instance, revision string) string {
	return fmt.Sprintf("%s-config-%s", instance, revision)
}

// SnapshotName is the name of a revision's ControllerRevision.
func SnapshotName(instance, revision string) string { return instance + "-" + revision }

// JobName is the name of a Job of one attempt of a revision: no two instances, revisions or attempts share one.
func JobName(instance string, e Ensure) string {
	name := map[Purpose]string{Expand: "migrate", Contract: "contract", WorkerCheck: "workercheck", UserCheck: "check-" + e.Check}[e.Purpose]
	return shorten(fmt.Sprintf("%s-%s-%s-%d", instance, name, e.Revision, e.Attempt))
}

// shorten keeps a name within the 63 characters of a label, which Kubernetes makes of a Job's name. A digest of the whole keeps it unique.
func shorten(name string) string {
	const limit, tail = 63, 9
	if len(name) <= limit {
		return name
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // hash.Hash never fails
	return fmt.Sprintf("%s-%08x", strings.TrimRight(name[:limit-tail], "-"), h.Sum32())
}
