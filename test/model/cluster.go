// Package model checks the rollout state machine against a simulated cluster: pods, Jobs, autoscalers, people and crashes move at random
// while the real planner decides, and invariants are checked after every write.
//
// It must never import a Kubernetes client: the cluster here is a value.
package model

import (
	"maps"
	"slices"
	"strconv"
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
	WorkerCheckBad Character = "its worker's health check fails"
	TwoImages      Character = "its tag moves while its pods start"
	TagMoves       Character = "its tag moves after its first pods"
	ContractsEarly Character = "its migration locks older revisions out"
	TakesAway      Character = "its expand migration takes something away"
	NoImage        Character = "its image cannot be pulled"
)

// Level is what a revision's binary has to do with the schema.
type Level struct {
	// Brings is the level that its expand migrations lead to; it runs on no schema below.
	Brings int32
	// Drops is what its contract migration makes the oldest compatible level.
	Drops int32
}

// Database is the one database of the instance.
type Database struct {
	Current, Oldest int32
}

// slots lists all Deployments in a fixed order, so that a seed replays. The routed ones come first.
var slots = [6]world.Slot{
	{Component: v1alpha1.Frontend, Color: v1alpha1.Blue}, {Component: v1alpha1.Frontend, Color: v1alpha1.Green},
	{Component: v1alpha1.API, Color: v1alpha1.Blue}, {Component: v1alpha1.API, Color: v1alpha1.Green},
	{Component: v1alpha1.Worker, Color: v1alpha1.Blue}, {Component: v1alpha1.Worker, Color: v1alpha1.Green},
}

var slotNames [6]string

func init() {
	for i, s := range slots {
		slotNames[i] = plan.SlotName(instanceName, s)
	}
}

const (
	instanceName = "demo"
	routedSlots  = 4
)

// index is a slot's place in slots.
func index(s world.Slot) int {
	i := 0
	switch s.Component {
	case v1alpha1.API:
		i = 2
	case v1alpha1.Worker:
		i = 4
	case v1alpha1.Frontend:
	}
	if s.Color == v1alpha1.Green {
		i++
	}
	return i
}

// routeIndex is a routed component's place in world.Routed.
func routeIndex(c v1alpha1.ComponentName) int {
	if c == v1alpha1.API {
		return 1
	}
	return 0
}

// deployment is one simulated Deployment with its autoscaler. Its pods are replaced as a whole, never changed in place: worlds that were
// observed share them.
type deployment struct {
	world.Workload
	// load is how many pods its autoscaler finds right.
	load int32
	// made counts the pods of the revision that it was made for.
	made    int
	madeFor string
}

// service is one simulated Service: who it selects, and what its EndpointSlices list, which comes later.
type service struct {
	exists   bool
	color    v1alpha1.Color
	revision string
	listed   world.Endpoints
	// epoch, version and author matter for live Services only.
	epoch   int64
	version string
	author  author
}

// weights is one simulated route that leads to both colors by weights.
type weights struct {
	exists  bool
	to      map[v1alpha1.Color]int32
	epoch   int64
	version string
	author  author
}

// shows says whether a color gets everything; a route that is not there shows nothing.
func (r *weights) shows(c v1alpha1.Color) bool { return r.to[c] > 0 && r.to[world.Other(c)] == 0 }

// author is who has moved a live route last.
type author int

const (
	leader author = iota
	overtaken
	person
)

// Cluster is the simulated world. What is handed out by Observe is never changed afterwards.
type Cluster struct {
	Now time.Time
	// Instance is replaced with each change.
	Instance *v1alpha1.EngLogInstance
	// Target is the revision that the spec asks for.
	Target     string
	Characters map[string]Character
	Levels     map[string]Level
	Database   Database

	deployments [6]deployment
	colors      [routedSlots]service
	live        [2]service
	weights     [2]weights
	known       map[string]world.Known
	jobs        map[string]world.Job
	approvals   map[string]string // what the migration Jobs were started with
	probes      []plan.Probe
	findings    map[string]world.Finding
	missing     []world.Problem
	conflicts   []world.Problem
	quota       *world.Problem
	stores      map[v1alpha1.ComponentName]world.Store
	refusals    []world.Problem

	serial    int
	written   int // the serial of the last write that changed something
	resolved  *v1alpha1.EngLogInstanceSpec
	workloads map[world.Slot]world.Workload // as Observe shows them; nil when they have changed
	previews  map[world.Slot]world.Endpoints
	routes    map[v1alpha1.ComponentName]world.Route
	// lax leaves out a rule of the API server, for mutants.
	lax laxity
}

// laxity says which preconditions of writes are ignored.
type laxity struct {
	scale, route, remove, ensure, generation, status bool
}

// NewCluster returns an empty cluster with one instance.
func NewCluster(spec v1alpha1.EngLogInstanceSpec) *Cluster {
	c := &Cluster{
		Now:        time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Characters: map[string]Character{}, Levels: map[string]Level{}, Database: Database{Current: 1, Oldest: 1},
		known: map[string]world.Known{}, jobs: map[string]world.Job{}, approvals: map[string]string{}, findings: map[string]world.Finding{},
	}
	c.Instance = &v1alpha1.EngLogInstance{
		ObjectMeta: metav1.ObjectMeta{Name: instanceName, Namespace: "model", UID: "1", ResourceVersion: c.next()}, Spec: spec,
	}
	return c
}

// next is a resourceVersion that was never given before.
func (c *Cluster) next() string { c.serial++; return strconv.Itoa(c.serial) }

// Edit changes the spec as a person does.
func (c *Cluster) Edit(change func(*v1alpha1.EngLogInstanceSpec)) {
	instance := *c.Instance
	instance.Spec = *c.Instance.Spec.DeepCopy()
	change(&instance.Spec)
	instance.ResourceVersion = c.next()
	c.Instance, c.resolved = &instance, nil
	for i, component := range world.Routed {
		if !byWeights(c.spec()) || !slices.Contains(routedIn(c.spec()), component) {
			c.weights[i] = weights{} // it is tidied up, or made anew with the live Service as its only backend
		}
	}
}

// spec is the instance's spec with every default.
func (c *Cluster) spec() *v1alpha1.EngLogInstanceSpec {
	if c.resolved == nil {
		spec := c.Instance.Resolve()
		c.resolved = &spec
	}
	return c.resolved
}

func (c *Cluster) setStatus(s v1alpha1.EngLogInstanceStatus) {
	instance := *c.Instance
	instance.Status = s
	instance.ResourceVersion = c.next()
	c.Instance = &instance
}

// Observe is what a perfect cache would show now.
func (c *Cluster) Observe() *world.World {
	c.refresh()
	target := world.Target{Revision: c.Target, Version: c.Target + ".0.0"}
	if len(c.missing) > 0 || len(c.refusals) > 0 {
		target = world.Target{}
	}
	return &world.World{
		Instance: c.Instance, Spec: *c.spec(), Target: target,
		Known: c.known, Workloads: c.workloads, Routes: c.routes, Weighted: c.weighted(), Previews: c.previews, Jobs: c.jobs, Findings: maps.Clone(c.findings),
		Missing: c.missing, Conflicts: c.conflicts, Refusals: c.refusals, Quota: c.quota, Stores: c.stores,
	}
}

// byWeights says whether the spec wants routes that lead by weights.
func byWeights(spec *v1alpha1.EngLogInstanceSpec) bool {
	return spec.Exposure.Type == v1alpha1.ExposureGateway
}

// weighted is what Observe shows of such routes.
func (c *Cluster) weighted() map[v1alpha1.ComponentName]world.WeightedRoute {
	if !byWeights(c.spec()) {
		return nil
	}
	all := make(map[v1alpha1.ComponentName]world.WeightedRoute, len(c.weights))
	for _, component := range routedIn(c.spec()) {
		r := &c.weights[routeIndex(component)]
		seen := world.WeightedRoute{Exists: r.exists, Weights: r.to, Epoch: r.epoch}
		if r.exists {
			seen.Identity = world.Identity{UID: "w", ResourceVersion: r.version}
		}
		all[component] = seen
	}
	return all
}

// refresh rebuilds what Observe shows where it has changed.
func (c *Cluster) refresh() {
	if c.workloads == nil {
		c.workloads = make(map[world.Slot]world.Workload, len(slots))
		for i := range c.deployments {
			if d := &c.deployments[i]; d.Exists || len(d.Pods) > 0 || d.Autoscaler != nil {
				c.workloads[slots[i]] = d.Workload
			}
		}
	}
	if c.previews == nil {
		c.previews = make(map[world.Slot]world.Endpoints, routedSlots)
		for i := range c.colors {
			if c.colors[i].exists {
				c.previews[slots[i]] = c.colors[i].listed
			}
		}
	}
	if c.routes == nil {
		c.routes = make(map[v1alpha1.ComponentName]world.Route, len(c.live))
		for i, component := range world.Routed {
			if s := &c.live[i]; s.exists {
				c.routes[component] = world.Route{
					Exists: true, Color: s.color, Revision: s.revision, Epoch: s.epoch, Endpoints: s.listed,
					Identity: world.Identity{UID: types.UID("r"), ResourceVersion: s.version},
				}
			}
		}
	}
}

// Persist writes the status with a compare-and-swap.
func (c *Cluster) Persist(seenVersion string, status v1alpha1.EngLogInstanceStatus) (bool, error) {
	if seenVersion != c.Instance.ResourceVersion && !c.lax.status {
		return false, errConflict
	}
	if sameStatus(&c.Instance.Status, &status) {
		return false, nil
	}
	keepSeconds(&status)
	c.setStatus(status)
	return true, nil
}

// keepSeconds makes times what JSON makes of them: whole seconds.
func keepSeconds(s *v1alpha1.EngLogInstanceStatus) {
	cut := func(t *metav1.Time) {
		if t != nil {
			t.Time = t.Truncate(time.Second)
		}
	}
	for _, r := range []*v1alpha1.RevisionStatus{s.Active, s.Candidate, s.Previous} {
		if r != nil {
			cut(r.Since)
			cut(r.RetainedUntil)
		}
	}
	if r := s.Rollout; r != nil {
		cut(r.StepEnteredAt)
		cut(r.Deadline)
		cut(r.FloorUntil)
		cut(r.SwitchedAt)
		cut(r.VerifiedAt)
		cut(r.StartedAt)
	}
}
