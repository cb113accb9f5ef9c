// Package world is the vocabulary of what was seen: one instance, its children and what was learned about them, as one
// plain value. Everything that decides (guard, plan, render, report) reads it; only observe fills it.
//
// It must never import a Kubernetes client, read a clock or do I/O.
package world

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// Components lists the components in the order in which traffic leaves them: the frontend is retired before the API it calls.
var Components = []v1alpha1.ComponentName{v1alpha1.Frontend, v1alpha1.API, v1alpha1.Worker}

// Routed lists the components that users reach through a live route, in the order of the switch.
var Routed = []v1alpha1.ComponentName{v1alpha1.Frontend, v1alpha1.API}

// Colors lists both slots.
var Colors = []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green}

// Other returns the opposite color; the empty color's opposite is Blue, which a first installation gets.
func Other(c v1alpha1.Color) v1alpha1.Color {
	if c == v1alpha1.Blue {
		return v1alpha1.Green
	}
	return v1alpha1.Blue
}

// World is one instance as it was seen in one reconcile.
type World struct {
	// Instance is the object as the API server has it. Its spec is the user's; decisions read Spec.
	Instance *v1alpha1.EngLogInstance
	// Spec is the instance's spec with every default of its environment filled in.
	Spec v1alpha1.EngLogInstanceSpec
	// Target is the revision that the spec asks for.
	Target Target
	// Known holds the revisions whose snapshot is stored in the cluster, by revision.
	Known map[string]Known
	// Workloads holds both colors' Deployments.
	Workloads map[Slot]Workload
	// Routes holds the live routes by component.
	Routes map[v1alpha1.ComponentName]Route
	// Weighted holds the route objects that lead by weights, by component. A component that has one has its live Service beside it.
	Weighted map[v1alpha1.ComponentName]WeightedRoute
	// Previews holds the endpoints behind each color's own Service.
	Previews map[Slot]Endpoints
	// Jobs holds the instance's Jobs by name.
	Jobs map[string]Job
	// Findings holds the state of the checks that probe runs, by the request's ID.
	Findings map[string]Finding
	// Keys holds the referenced Secret keys that exist, as "secret/key"; nil while nothing is known about them.
	Keys map[string]bool
	// Missing lists references of the spec that do not resolve; empty when all do.
	Missing []Problem
	// Conflicts lists objects that carry a name of ours but not our ownerReference.
	Conflicts []Problem
	// Refusals lists what is wrong with the spec beyond its schema.
	Refusals []Problem
	// Warnings lists what is worth telling but blocks nothing.
	Warnings []Problem
	// Quota is set when a ResourceQuota of the namespace leaves no room for a second color.
	Quota *Problem
	// Ceilings are the most pods of a color that the database's connections allow; a component without one has no such limit.
	Ceilings map[v1alpha1.ComponentName]int32
	// Stores holds the Managed stores; empty when both are External.
	Stores map[v1alpha1.ComponentName]Store
	// Leftovers lists owned objects that no known revision needs any more.
	Leftovers []Leftover
}

// Slot is one component in one color.
type Slot struct {
	Component v1alpha1.ComponentName
	Color     v1alpha1.Color
}

// Problem is one finding in words: Reason is a CamelCase constant, Message names the object or field, the cause and the remedy.
type Problem struct {
	Reason  string
	Message string
}

// Target is the revision that the spec describes.
type Target struct {
	// Revision is its hash; empty while it cannot be computed because a referenced Secret is missing.
	Revision string
	// Version is spec.version.
	Version string
	// SecretsOnly is true when it differs from the active revision in nothing but Secret contents.
	SecretsOnly bool
	// Secrets are the keyed digests of Secret contents that are part of it, by "secret/key".
	Secrets map[string]string
}

// Known is a revision whose snapshot is stored.
type Known struct {
	Version string
	// Config is the name of its ConfigMap when that exists.
	Config string
	// Ordinal grows with each new revision.
	Ordinal int64
}

// Workload is one Deployment with its pods and its autoscaler.
type Workload struct {
	Exists   bool
	Identity Identity
	// Revision is the revision of the pod template.
	Revision string
	// Replicas is spec.replicas, whoever wrote it.
	Replicas int32
	// Settled is true when the Deployment controller has seen the newest spec and no pod of an older template is left.
	Settled bool
	// Pods are the slot's pods of every revision.
	Pods []Pod
	// Autoscaler is the slot's HPA; nil when there is none.
	Autoscaler *Autoscaler
}

// Identity names one incarnation of an object, for preconditions.
type Identity struct {
	UID             types.UID
	ResourceVersion string
	// Generation is the one of its spec; 0 for kinds that have none.
	Generation int64
}

// IdentityOf is an object's.
func IdentityOf(o metav1.Object) Identity {
	return Identity{UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(), Generation: o.GetGeneration()}
}

// SameSpec is true for two sights of one object between which its spec has not moved; its status and metadata may have.
func (i Identity) SameSpec(now Identity) bool {
	return i.UID == now.UID && i.Generation == now.Generation
}

// Pod is one pod of a slot.
type Pod struct {
	Name        string
	IP          string
	Revision    string
	Ready       bool
	ReadySince  time.Time
	Terminating bool
	// Unschedulable is the scheduler's message when it found no node.
	Unschedulable string
	// Waiting is why a container does not run, such as "ImagePullBackOff: …"; empty when it runs.
	Waiting string
	// ImageID is the id of the image that really runs.
	ImageID string
}

// Ready counts the ready, not terminating pods of one revision.
func (w Workload) Ready(revision string) int32 {
	var n int32
	for _, p := range w.Pods {
		if p.Ready && !p.Terminating && p.Revision == revision {
			n++
		}
	}
	return n
}

// OthersReady counts ready pods that belong to another revision. A Terminating pod counts as long as it is ready: it may still
// answer. One on a dead node is not ready and blocks nothing.
func (w Workload) OthersReady(revision string) int32 {
	var n int32
	for _, p := range w.Pods {
		if p.Ready && p.Revision != revision {
			n++
		}
	}
	return n
}

// Alive counts pods of one revision that have not ended, terminating ones included.
func (w Workload) Alive(revision string) int32 {
	var n int32
	for _, p := range w.Pods {
		if p.Revision == revision {
			n++
		}
	}
	return n
}

// Autoscaler is an HPA.
type Autoscaler struct {
	Identity Identity
	Min      int32
	Max      int32
	// Desired is what the HPA wants now.
	Desired int32
}

// Route is where users' requests of one component go: a live Service, or HTTPRoute/Ingress on top of it.
type Route struct {
	Exists   bool
	Identity Identity
	// Color and Revision are what the route object shows now.
	Color    v1alpha1.Color
	Revision string
	// Epoch is the fencing number it was last switched with.
	Epoch int64
	// Endpoints is what is behind it.
	Endpoints Endpoints
}

// WeightedRoute is an HTTPRoute or an Ingress that names both colors' Services and gives one of them all the weight.
type WeightedRoute struct {
	// Exists is false for one that is to be made.
	Exists   bool
	Identity Identity
	// Weights is what each color gets; a color that gets nothing may be missing.
	Weights map[v1alpha1.Color]int32
	// Foreign is true where a part goes to something that is no color's Service.
	Foreign bool
	// Epoch is the fencing number it was last switched with.
	Epoch int64
}

// RouteRef names the object that leads users of a component by weights.
type RouteRef struct {
	Component v1alpha1.ComponentName
	// Kind is HTTPRoute or Ingress.
	Kind, Name string
	// Actions are the annotations that hold an Ingress' weights.
	Actions []string
}

// Shows says whether a color gets all requests.
func (r WeightedRoute) Shows(c v1alpha1.Color) bool {
	return r.Exists && !r.Foreign && r.Weights[c] > 0 && r.Weights[Other(c)] == 0
}

// Reaches says whether a color gets any requests.
func (r WeightedRoute) Reaches(c v1alpha1.Color) bool { return r.Exists && r.Weights[c] > 0 }

// Endpoints is what EndpointSlices list: ready addresses by the revision of their pod.
type Endpoints struct {
	// Identity is that of the Service.
	Identity Identity
	// ClusterIP is where the Service answers; empty while it does not exist.
	ClusterIP string
	Ready     map[string]int32
}

// Of returns the ready addresses of one revision and of all others.
func (e Endpoints) Of(revision string) (of, others int32) {
	for r, n := range e.Ready {
		if r == revision {
			of += n
		} else {
			others += n
		}
	}
	return of, others
}

// JobPhase is how far a Job is.
type JobPhase string

// The phases of a Job, from its conditions alone: completionTime exists only on success.
const (
	JobActive   JobPhase = "Active"
	JobComplete JobPhase = "Complete"
	JobFailed   JobPhase = "Failed"
)

// Job is a Job of the instance.
type Job struct {
	Name     string
	Identity Identity
	Revision string
	// Component is the job's app.kubernetes.io/component: migrate or check.
	Component string
	Phase     JobPhase
	// Message is the newest termination message of its pods.
	Message string
	// Plan is the newest termination message of their plan, which runs before them; empty for a Job without one.
	Plan string
	// Waiting is why its pod does not run yet.
	Waiting string
	// Unstarted is true when no container of it has ever run, and one waits for something that may never come, such as its image.
	Unstarted bool
	// Reason is the reason of the Failed condition.
	Reason string
}

// WarningPrefix begins the message of a check that has passed and wants a person to know something all the same.
const WarningPrefix = "warning: "

// Finding is what probe has learned about one request.
type Finding struct {
	Result    v1alpha1.CheckResult
	Successes int32
	Failures  int32
	Message   string
	At        time.Time
}

// Store is a Managed store.
type Store struct {
	Exists bool
	Ready  bool
	// Problem says why it is not ready.
	Problem string
}

// Leftover is an owned object that is to be deleted.
type Leftover struct {
	Kind     string
	Name     string
	Identity Identity
}
