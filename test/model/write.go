package model

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// errConflict is the API server's answer to a write whose preconditions do not hold.
var errConflict = errors.New("conflict")

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

// effective is true for a write that reaches the API server: one that the skip cache would not leave out. One that will be refused counts.
func (c *Cluster) effective(w plan.Write) bool {
	switch w := w.(type) {
	case plan.Ensure:
		return c.news(w)
	case plan.Scale:
		return true
	case plan.Delete:
		return true
	default:
		return false
	}
}

func (c *Cluster) news(e plan.Ensure) bool {
	slot := world.Slot{Component: e.Component, Color: e.Color}
	switch e.Kind {
	case plan.Snapshot:
		_, stored := c.known[e.Revision]
		return !stored
	case plan.Config:
		return c.known[e.Revision].Config == ""
	case plan.Deployment:
		d := &c.deployments[index(slot)]
		return !d.Exists || d.Revision != e.Revision
	case plan.Autoscaler:
		a := c.deployments[index(slot)].Autoscaler
		return a == nil || a.Min != e.Min || a.Max != e.Max
	case plan.ColorService:
		s := &c.colors[index(slot)]
		return !s.exists || s.revision != e.Revision
	case plan.LiveService:
		s := &c.live[routeIndex(e.Component)]
		return !s.exists || s.color != e.Color || s.revision != e.Revision || s.epoch != e.Epoch
	case plan.Weights:
		r := &c.weights[routeIndex(e.Component)]
		return !r.exists || !r.shows(e.Color) || r.epoch != e.Epoch
	case plan.Job:
		_, exists := c.jobs[plan.JobName(instanceName, e)]
		return !exists
	default:
		return false // children without a part in the machine
	}
}

func (c *Cluster) ensure(e plan.Ensure) (bool, error) {
	if e.Kind == plan.LiveService {
		return c.ensureRoute(e)
	}
	if e.Kind == plan.Weights {
		return c.ensureWeights(e)
	}
	slot := world.Slot{Component: e.Component, Color: e.Color}
	if c.overtaken(index(slot), e) {
		return false, errConflict
	}
	if !c.news(e) {
		return false, nil
	}
	switch e.Kind {
	case plan.Snapshot:
		c.remember(e.Revision, world.Known{Version: e.Revision + ".0.0"})
	case plan.Config:
		known := c.known[e.Revision]
		known.Config = "config-" + e.Revision
		c.remember(e.Revision, known)
	case plan.Deployment:
		return c.ensureDeployment(index(slot), e)
	case plan.Autoscaler:
		d := c.touch(index(slot))
		d.Autoscaler = &world.Autoscaler{Min: e.Min, Max: e.Max, Desired: d.Replicas, Identity: c.incarnation("h")}
	case plan.ColorService:
		s := &c.colors[index(slot)]
		s.exists, s.color, s.revision = true, e.Color, e.Revision
		s.listed.Identity = c.incarnation("s")
		c.previews = nil
	case plan.Job:
		c.putJob(plan.JobName(instanceName, e), e)
	default:
	}
	return true, nil
}

// overtaken is true for a write that was decided on about another incarnation of its object.
func (c *Cluster) overtaken(i int, e plan.Ensure) bool {
	var now world.Identity
	switch e.Kind {
	case plan.Deployment:
		d := c.deployments[i].Identity
		if c.lax.generation {
			d.Generation = e.Identity.Generation
		}
		return !e.Identity.SameSpec(d) && !c.lax.ensure
	case plan.Autoscaler:
		if a := c.deployments[i].Autoscaler; a != nil {
			now = a.Identity
		}
	case plan.ColorService:
		now = c.colors[i].listed.Identity
	default:
		return false
	}
	return e.Identity != now && !c.lax.ensure
}

func (c *Cluster) remember(revision string, known world.Known) {
	c.known = maps.Clone(c.known)
	c.known[revision] = known
}

func (c *Cluster) incarnation(kind types.UID) world.Identity {
	return world.Identity{UID: kind, ResourceVersion: c.next()}
}

// touch is a Deployment that is about to change.
func (c *Cluster) touch(i int) *deployment {
	c.workloads = nil
	return &c.deployments[i]
}

// changed gives a Deployment a new resourceVersion and, since its spec has changed, a new generation.
func (c *Cluster) changed(d *deployment) {
	c.counted(d)
	d.Identity.Generation++
}

// deleteDeployment takes a Deployment away, and its pods with it. Its autoscaler is an object of its own.
func (c *Cluster) deleteDeployment(i int) {
	d := c.touch(i)
	pods := slices.Clone(d.Pods)
	for at := range pods {
		pods[at].Terminating = true
	}
	d.Workload = world.Workload{Pods: pods, Autoscaler: d.Autoscaler}
}

// counted gives a Deployment whose status alone has moved a new resourceVersion.
func (c *Cluster) counted(d *deployment) { d.Identity.ResourceVersion = c.next() }

func (c *Cluster) ensureDeployment(i int, e plan.Ensure) (bool, error) {
	if _, stored := c.known[e.Revision]; !stored {
		return false, fmt.Errorf("the snapshot of revision %s is not stored", e.Revision)
	}
	d := c.touch(i)
	if !d.Exists {
		d.Exists, d.Replicas, d.Settled = true, 1, true
		d.Identity.UID = types.UID("d" + c.next())
	}
	d.Revision = e.Revision
	c.changed(d)
	return true, nil
}

func (c *Cluster) ensureRoute(e plan.Ensure) (bool, error) {
	s := &c.live[routeIndex(e.Component)]
	if s.exists && e.Identity.ResourceVersion != s.version && !c.lax.route || !s.exists && e.Identity.UID != "" {
		return false, errConflict
	}
	if !c.news(e) {
		return false, nil
	}
	s.exists, s.color, s.revision, s.epoch, s.version = true, e.Color, e.Revision, e.Epoch, c.next()
	c.routes = nil
	return true, nil
}

func (c *Cluster) ensureWeights(e plan.Ensure) (bool, error) {
	r := &c.weights[routeIndex(e.Component)]
	if r.exists && e.Identity.ResourceVersion != r.version && !c.lax.route || !r.exists && e.Identity.UID != "" {
		return false, errConflict
	}
	if !c.news(e) {
		return false, nil
	}
	r.exists, r.to, r.epoch, r.version = true, map[v1alpha1.Color]int32{e.Color: 100, world.Other(e.Color): 0}, e.Epoch, c.next()
	return true, nil
}

func (c *Cluster) putJob(name string, e plan.Ensure) {
	component := "check"
	if e.Purpose == plan.Expand || e.Purpose == plan.Contract {
		component = "migrate"
	}
	c.approvals[name] = e.Approve
	j := world.Job{Name: name, Revision: e.Revision, Component: component, Phase: world.JobActive, Reason: string(e.Purpose), Identity: c.incarnation("j")}
	if c.Characters[e.Revision] == NoImage {
		j.Waiting, j.Unstarted = noImage, true
	} else if component == "migrate" {
		j.Plan = c.tells(c.migration(&j))
	}
	c.setJob(j)
}

func (c *Cluster) setJob(j world.Job) {
	c.jobs = maps.Clone(c.jobs)
	c.jobs[j.Name] = j
}

func (c *Cluster) scale(s plan.Scale) (bool, error) {
	i := index(s.Slot)
	if !c.deployments[i].Exists {
		return false, fmt.Errorf("no Deployment in %v", s.Slot)
	}
	if s.Identity.UID != "" && s.Identity != c.deployments[i].Identity && !c.lax.scale {
		return false, errConflict
	}
	if c.deployments[i].Replicas == s.Replicas {
		return false, nil
	}
	d := c.touch(i)
	d.Replicas = s.Replicas
	c.changed(d)
	return true, nil
}

func (c *Cluster) remove(d plan.Delete) (bool, error) {
	switch d.Kind {
	case plan.Autoscaler:
		return c.removeScaler(d)
	default:
		return c.removeLeftover(d)
	}
}

func (c *Cluster) removeScaler(d plan.Delete) (bool, error) {
	i := slices.Index(slotNames[:], d.Name)
	if i < 0 || c.deployments[i].Autoscaler == nil {
		return false, nil
	}
	if d.Identity != c.deployments[i].Autoscaler.Identity && !c.lax.remove {
		return false, errConflict
	}
	c.touch(i).Autoscaler = nil
	return true, nil
}

func (c *Cluster) removeLeftover(d plan.Delete) (bool, error) {
	switch d.Kind {
	case plan.Job:
		if j, ok := c.jobs[d.Name]; ok && (j.Identity == d.Identity || c.lax.remove) {
			c.jobs = maps.Clone(c.jobs)
			delete(c.jobs, d.Name)
			return true, nil
		}
	default:
		for i, component := range world.Routed {
			if s := &c.live[i]; s.exists && d.Name == plan.LiveName(instanceName, component) {
				if d.Identity.ResourceVersion != s.version {
					return false, errConflict
				}
				*s, c.routes = service{}, nil
				return true, nil
			}
		}
	}
	return false, nil
}

// ready counts the ready pods of a Deployment that carry a revision.
func ready(d *deployment, revision string) int32 { return d.Workload.Ready(revision) }
