package model

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

func equalStatus(a, b *v1alpha1.EngLogInstanceStatus) bool {
	return equality.Semantic.DeepEqual(a, b)
}

// Settle lets controllers and kubelets do all they can at once, and returns whether anything moved.
func (c *Cluster) Settle() bool {
	moved := false
	for _, slot := range c.slots() {
		moved = c.settleDeployment(slot) || moved
	}
	for _, name := range slices.Sorted(maps.Keys(c.Jobs)) {
		moved = c.settleJob(c.Jobs[name]) || moved
	}
	return c.settleChecks() || moved
}

func (c *Cluster) settleDeployment(slot world.Slot) bool {
	d := c.Deployments[slot]
	before := fmt.Sprint(d.Pods)
	c.autoscale(slot)
	d.Pods = slices.DeleteFunc(d.Pods, func(p Pod) bool { return p.Terminating })
	for i := range d.Pods {
		if !d.Pods[i].Ready && c.healthy(slot, d.Pods[i].Revision) {
			d.Pods[i].Ready, d.Pods[i].Since = true, c.Now
		}
	}
	c.replace(slot, d)
	if fmt.Sprint(d.Pods) == before {
		return false
	}
	d.Version = c.next() // its status changed
	return true
}

func (c *Cluster) autoscale(slot world.Slot) {
	s, d := c.Scalers[slot], c.Deployments[slot]
	if s == nil || d.Replicas == 0 {
		return
	}
	s.Desired = min(max(d.Replicas, s.Min), s.Max)
	if d.Replicas != s.Desired {
		d.Replicas, d.Version = s.Desired, c.next()
	}
}

// replace brings the pods to the template and number that are wanted, as a ReplicaSet does.
func (c *Cluster) replace(slot world.Slot, d *Deployment) {
	var current []int
	for i := range d.Pods {
		switch {
		case d.Pods[i].Terminating:
		case d.Pods[i].Revision != d.Revision:
			d.Pods[i].Terminating, d.Pods[i].Ready = true, false
		default:
			current = append(current, i)
		}
	}
	for n := len(current); n < int(d.Replicas); n++ {
		d.Pods = append(d.Pods, Pod{Name: fmt.Sprintf("%s-%s-%d", slot.Component, slot.Color, c.next()), Revision: d.Revision, Since: c.Now})
	}
	for n := len(current) - 1; n >= int(d.Replicas); n-- {
		d.Pods[current[n]].Terminating, d.Pods[current[n]].Ready = true, false
	}
}

func (c *Cluster) healthy(slot world.Slot, revision string) bool {
	switch c.Characters[revision] {
	case NeverReady:
		return false
	case WorkersFail:
		return slot.Component != v1alpha1.Worker
	default:
		return true
	}
}

func (c *Cluster) settleJob(j *Job) bool {
	if j.Phase != world.JobActive {
		return false
	}
	j.Phase = world.JobComplete
	if j.Component == "migrate" {
		j.Message = `{"phase":"expand","from":1,"to":2,"current":2,"oldestCompatible":1}`
		if c.Characters[j.Revision] == MigrationFails {
			j.Phase, j.Message = world.JobFailed, `{"phase":"expand","error":"relation does not exist"}`
		}
	}
	return true
}

// settleChecks lets running checks come to their result.
func (c *Cluster) settleChecks() bool {
	moved := false
	for id, p := range c.Probes {
		want := v1alpha1.CheckPassed
		bad := c.Characters[revisionOf(id)]
		if strings.Contains(id, "/Verifying/") && bad == FailsBefore || strings.Contains(id, "/Confirming/") && bad == FailsAfter {
			want = v1alpha1.CheckFailed
		}
		if c.Findings[id].Result != want {
			c.Findings[id] = world.Finding{Result: want, Successes: p.Successes, Message: "checked"}
			moved = true
		}
	}
	return moved
}

func revisionOf(probeID string) string {
	name, _, _ := strings.Cut(probeID, "-")
	return name
}

// Watch keeps exactly the wanted checks.
func (c *Cluster) Watch(probes []plan.Probe) {
	wanted := map[string]plan.Probe{}
	for _, p := range probes {
		wanted[p.ID] = p
	}
	c.Probes = wanted
	maps.DeleteFunc(c.Findings, func(id string, _ world.Finding) bool {
		_, ok := wanted[id]
		return !ok
	})
}

// Disturb makes one random thing happen that nobody planned: a pod dies, comes back or stays away, a person meddles.
func (c *Cluster) Disturb(r *rand.Rand) string {
	switch r.IntN(8) {
	case 0, 1, 2:
		return c.disturbPod(r)
	case 3:
		return c.disturbReplicas(r)
	case 4:
		return c.disturbRoute(r)
	case 5:
		return c.disturbJob(r)
	default:
		c.Now = c.Now.Add(time.Duration(r.IntN(40)) * time.Second)
		return "time passes"
	}
}

func (c *Cluster) disturbPod(r *rand.Rand) string {
	slots := c.slots()
	if len(slots) == 0 {
		return "nothing to disturb"
	}
	d := c.Deployments[slots[r.IntN(len(slots))]]
	if len(d.Pods) == 0 {
		return "nothing to disturb"
	}
	p := &d.Pods[r.IntN(len(d.Pods))]
	p.Ready, d.Version = false, c.next()
	return "pod " + p.Name + " is unready"
}

func (c *Cluster) disturbReplicas(r *rand.Rand) string {
	slots := c.slots()
	if len(slots) == 0 {
		return "nothing to disturb"
	}
	slot := slots[r.IntN(len(slots))]
	if d := c.Deployments[slot]; d.Replicas > 0 {
		d.Replicas, d.Version = d.Replicas+int32(r.IntN(2)), c.next()
	}
	return fmt.Sprintf("a person scales %v", slot)
}

func (c *Cluster) disturbRoute(r *rand.Rand) string {
	for _, component := range world.Routed {
		route := c.Routes[component]
		if route == nil || r.IntN(2) == 0 {
			continue
		}
		other := c.Deployments[world.Slot{Component: component, Color: world.Other(route.Color)}]
		if other == nil {
			continue
		}
		route.Color, route.Revision, route.Version = world.Other(route.Color), other.Revision, c.next()
		return "a person moves the route of " + string(component)
	}
	return "nothing to disturb"
}

func (c *Cluster) disturbJob(r *rand.Rand) string {
	for _, name := range slices.Sorted(maps.Keys(c.Jobs)) {
		if r.IntN(4) == 0 {
			delete(c.Jobs, name)
			return "a person deletes Job " + name
		}
	}
	return "nothing to disturb"
}
