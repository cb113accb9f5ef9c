// Package model checks the rollout state machine against a simulated cluster: pods, Jobs, autoscalers, people and crashes move at random
// while the real planner decides, and invariants are checked after every write.
//
// It must never import a Kubernetes client: the cluster here is a value.
package model

import (
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Character is how a revision behaves.
type Character string

// The characters of revisions.
const (
	Good           Character = "good"
	NeverReady     Character = "never ready"
	MigrationFails Character = "its migration fails"
	FailsBefore    Character = "fails its checks before the switch"
	FailsAfter     Character = "fails its checks after the switch"
	WorkersFail    Character = "its workers never get ready"
)

// Pod is one simulated pod.
type Pod struct {
	Name        string
	Revision    string
	Ready       bool
	Terminating bool
	Since       time.Time
}

// Deployment is one simulated Deployment.
type Deployment struct {
	Revision string
	Replicas int32
	UID      int
	Version  int
	Pods     []Pod
}

// Route is one simulated live Service.
type Route struct {
	Color    v1alpha1.Color
	Revision string
	Epoch    int64
	Version  int
}

// Scaler is one simulated HPA.
type Scaler struct {
	Min, Max, Desired int32
	Version           int
}

// Job is one simulated Job.
type Job struct {
	Revision  string
	Component string
	Phase     world.JobPhase
	Message   string
}

// Cluster is the simulated world.
type Cluster struct {
	Now         time.Time
	Instance    *v1alpha1.EngLogInstance
	Version     int // resourceVersion of the instance
	Target      string
	Characters  map[string]Character
	Deployments map[world.Slot]*Deployment
	Scalers     map[world.Slot]*Scaler
	Routes      map[v1alpha1.ComponentName]*Route
	Stored      map[string]bool
	Configs     map[string]bool
	Jobs        map[string]*Job
	Probes      map[string]plan.Probe
	Findings    map[string]world.Finding
	serial      int
	resolved    *v1alpha1.EngLogInstanceSpec
}

// NewCluster returns an empty cluster with one instance.
func NewCluster(spec v1alpha1.EngLogInstanceSpec) *Cluster {
	instance := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Name: "demo", Namespace: "model", UID: "1"}, Spec: spec}
	return &Cluster{
		Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Instance: instance, Characters: map[string]Character{},
		Deployments: map[world.Slot]*Deployment{}, Scalers: map[world.Slot]*Scaler{}, Routes: map[v1alpha1.ComponentName]*Route{},
		Stored: map[string]bool{}, Configs: map[string]bool{}, Jobs: map[string]*Job{}, Probes: map[string]plan.Probe{}, Findings: map[string]world.Finding{},
	}
}

func (c *Cluster) next() int { c.serial++; return c.serial }

// Edit changes the spec as a person does.
func (c *Cluster) Edit(change func(*v1alpha1.EngLogInstanceSpec)) {
	change(&c.Instance.Spec)
	c.resolved, c.Version = nil, c.next()
}

// Observe is what a perfect cache would show now.
func (c *Cluster) Observe() *world.World {
	w := &world.World{
		Instance: c.Instance.DeepCopy(), Target: world.Target{Revision: c.Target, Version: c.Target + ".0.0"},
		Known: map[string]world.Known{}, Workloads: map[world.Slot]world.Workload{}, Routes: map[v1alpha1.ComponentName]world.Route{},
		Previews: map[world.Slot]world.Endpoints{}, Jobs: map[string]world.Job{}, Findings: maps.Clone(c.Findings),
	}
	if c.resolved == nil {
		spec := c.Instance.Resolve()
		c.resolved = &spec
	}
	w.Spec = *c.resolved
	w.Instance.ResourceVersion = fmt.Sprint(c.Version)
	for r := range c.Stored {
		known := world.Known{Version: r + ".0.0"}
		if c.Configs[r] {
			known.Config = "config-" + r
		}
		w.Known[r] = known
	}
	for slot, d := range c.Deployments {
		w.Workloads[slot] = c.workload(slot, d)
		w.Previews[slot] = endpoints(d, func(p Pod) bool { return p.Revision == d.Revision })
	}
	for component, r := range c.Routes {
		w.Routes[component] = c.route(component, r)
	}
	for name, j := range c.Jobs {
		w.Jobs[name] = world.Job{Name: name, Revision: j.Revision, Component: j.Component, Phase: j.Phase, Message: j.Message}
	}
	return w
}

func (c *Cluster) workload(slot world.Slot, d *Deployment) world.Workload {
	w := world.Workload{
		Exists: true, Revision: d.Revision, Replicas: d.Replicas, Settled: true,
		Identity: world.Identity{UID: types.UID(fmt.Sprint(d.UID)), ResourceVersion: fmt.Sprint(d.Version)},
	}
	for _, p := range d.Pods {
		w.Pods = append(w.Pods, world.Pod{Name: p.Name, IP: "10.0.0.1", Revision: p.Revision, Ready: p.Ready, ReadySince: p.Since, Terminating: p.Terminating, ImageID: p.Revision})
	}
	if s := c.Scalers[slot]; s != nil {
		w.Autoscaler = &world.Autoscaler{Min: s.Min, Max: s.Max, Desired: s.Desired, Identity: world.Identity{ResourceVersion: fmt.Sprint(s.Version)}}
	}
	return w
}

func (c *Cluster) route(component v1alpha1.ComponentName, r *Route) world.Route {
	seen := world.Route{
		Exists: true, Color: r.Color, Revision: r.Revision, Epoch: r.Epoch, Identity: world.Identity{ResourceVersion: fmt.Sprint(r.Version)},
		Endpoints: world.Endpoints{Ready: map[string]int32{}},
	}
	if d := c.Deployments[world.Slot{Component: component, Color: r.Color}]; d != nil {
		seen.Endpoints = endpoints(d, func(p Pod) bool { return p.Revision == r.Revision })
	}
	return seen
}

func endpoints(d *Deployment, of func(Pod) bool) world.Endpoints {
	e := world.Endpoints{Ready: map[string]int32{}}
	for _, p := range d.Pods {
		if p.Ready && !p.Terminating && of(p) {
			e.Ready[p.Revision]++
		}
	}
	return e
}

// Apply makes one write, with the preconditions that the API server would check. It returns whether anything changed.
func (c *Cluster) Apply(w plan.Write) (changed bool, err error) {
	switch w := w.(type) {
	case plan.Ensure:
		return c.ensure(w)
	case plan.Scale:
		return c.scale(w)
	case plan.Delete:
		return c.remove(w)
	default:
		return false, fmt.Errorf("unknown write %T", w)
	}
}

func (c *Cluster) ensure(e plan.Ensure) (bool, error) {
	slot := world.Slot{Component: e.Component, Color: e.Color}
	switch e.Kind {
	case plan.Snapshot:
		return put(c.Stored, e.Revision), nil
	case plan.Config:
		return put(c.Configs, e.Revision), nil
	case plan.Deployment:
		return c.ensureDeployment(slot, e.Revision), nil
	case plan.Autoscaler:
		return c.ensureScaler(slot, e), nil
	case plan.LiveService:
		return c.ensureRoute(e)
	case plan.Job:
		return c.ensureJob(e), nil
	default:
		return false, nil // children without a part in the machine
	}
}

func put(set map[string]bool, name string) bool {
	had := set[name]
	set[name] = true
	return !had
}

func (c *Cluster) ensureDeployment(slot world.Slot, revision string) bool {
	d := c.Deployments[slot]
	if d == nil {
		c.Deployments[slot] = &Deployment{Revision: revision, Replicas: 1, UID: c.next(), Version: c.next()}
		return true
	}
	if d.Revision == revision {
		return false
	}
	d.Revision, d.Version = revision, c.next()
	return true
}

func (c *Cluster) ensureScaler(slot world.Slot, e plan.Ensure) bool {
	s := c.Scalers[slot]
	if s == nil {
		c.Scalers[slot] = &Scaler{Min: e.Min, Max: e.Max, Version: c.next()}
		return true
	}
	if s.Min == e.Min && s.Max == e.Max {
		return false
	}
	s.Min, s.Max, s.Version = e.Min, e.Max, c.next()
	return true
}

func (c *Cluster) ensureRoute(e plan.Ensure) (bool, error) {
	r := c.Routes[e.Component]
	if r == nil {
		c.Routes[e.Component] = &Route{Color: e.Color, Revision: e.Revision, Epoch: e.Epoch, Version: c.next()}
		return true, nil
	}
	if e.Identity.ResourceVersion != fmt.Sprint(r.Version) {
		return false, fmt.Errorf("conflict on the route of %s", e.Component)
	}
	if r.Color == e.Color && r.Revision == e.Revision && r.Epoch == e.Epoch {
		return false, nil
	}
	r.Color, r.Revision, r.Epoch, r.Version = e.Color, e.Revision, e.Epoch, c.next()
	return true, nil
}

func (c *Cluster) ensureJob(e plan.Ensure) bool {
	name := plan.JobName(c.Instance.Name, e)
	if c.Jobs[name] != nil {
		return false
	}
	component := "check"
	if e.Purpose == plan.Expand || e.Purpose == plan.Contract {
		component = "migrate"
	}
	c.Jobs[name] = &Job{Revision: e.Revision, Component: component, Phase: world.JobActive}
	return true
}

func (c *Cluster) scale(s plan.Scale) (bool, error) {
	d := c.Deployments[s.Slot]
	if d == nil {
		return false, fmt.Errorf("no Deployment in %v", s.Slot)
	}
	if s.Replicas == 0 && s.Identity.ResourceVersion != fmt.Sprint(d.Version) {
		return false, fmt.Errorf("conflict on %v", s.Slot)
	}
	if d.Replicas == s.Replicas {
		return false, nil
	}
	d.Replicas, d.Version = s.Replicas, c.next()
	return true, nil
}

func (c *Cluster) remove(d plan.Delete) (bool, error) {
	for slot, s := range c.Scalers {
		if plan.SlotName(c.Instance.Name, slot) == d.Name && d.Kind == plan.Autoscaler {
			if d.Identity.ResourceVersion != fmt.Sprint(s.Version) {
				return false, fmt.Errorf("conflict on the autoscaler of %v", slot)
			}
			delete(c.Scalers, slot)
			return true, nil
		}
	}
	return false, nil
}

// Persist writes the status with a compare-and-swap.
func (c *Cluster) Persist(seenVersion string, status v1alpha1.EngLogInstanceStatus) (bool, error) {
	if seenVersion != fmt.Sprint(c.Version) {
		return false, fmt.Errorf("conflict on the instance")
	}
	if equalStatus(&c.Instance.Status, &status) {
		return false, nil
	}
	c.Instance.Status = *status.DeepCopy()
	c.Version = c.next()
	return true, nil
}

// slots lists the slots in a fixed order, so that a seed replays.
func (c *Cluster) slots() []world.Slot {
	return slices.SortedFunc(maps.Keys(c.Deployments), func(a, b world.Slot) int {
		return compare(string(a.Component)+string(a.Color), string(b.Component)+string(b.Color))
	})
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}
