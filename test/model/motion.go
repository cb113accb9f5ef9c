package model

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Settle lets controllers and kubelets do all they can at once, and returns whether anything moved.
func (c *Cluster) Settle() bool {
	moved := false
	for i := range slots {
		moved = c.autoscale(i) || moved
		moved = c.settlePods(i) || moved
	}
	moved = c.settleEndpoints() || moved
	for _, name := range c.activeJobs() {
		moved = c.settleJob(name) || moved
	}
	for _, p := range c.probes {
		moved = c.settleProbe(p) || moved
	}
	return moved
}

// Move lets one controller or kubelet, chosen at random, do one thing; some are slow.
func (c *Cluster) Move(r *rand.Rand) bool {
	switch n := r.IntN(14); {
	case n < 6:
		return c.movePod(r.IntN(6), r)
	case n < 9:
		return c.moveEndpoints(r)
	case n < 11:
		if jobs := c.activeJobs(); len(jobs) > 0 {
			return c.settleJob(jobs[r.IntN(len(jobs))])
		}
	case n < 13:
		if len(c.probes) > 0 {
			return c.settleProbe(c.probes[r.IntN(len(c.probes))])
		}
	default:
		return c.autoscale(r.IntN(6))
	}
	return false
}

// movePod advances one pod of a slot: it is made, gets ready, begins to end, or has ended.
func (c *Cluster) movePod(i int, r *rand.Rand) bool {
	d := &c.deployments[i]
	pods := slices.Clone(d.Pods)
	for _, at := range r.Perm(len(pods)) {
		if p := &pods[at]; p.Terminating && p.Waiting != lostNode {
			if p.Ready { // endpoints go first, then the container
				p.Ready = false
				return c.setPods(i, pods)
			}
			return c.setPods(i, slices.Delete(pods, at, at+1))
		} else if want := c.healthy(i, p.Revision); !p.Terminating && p.Ready != want {
			p.Ready, p.ReadySince = want, c.Now
			return c.setPods(i, pods)
		}
	}
	if replaced, ok := c.replace(i, pods, 1); ok {
		return c.setPods(i, replaced)
	}
	return false
}

// settlePods ends, makes and readies all pods of a slot.
func (c *Cluster) settlePods(i int) bool {
	d := &c.deployments[i]
	if c.calm(i) {
		return false
	}
	pods := slices.DeleteFunc(slices.Clone(d.Pods), func(p world.Pod) bool { return p.Terminating && p.Waiting != lostNode })
	for at := range pods {
		if p := &pods[at]; !p.Terminating {
			if want := c.healthy(i, p.Revision); p.Ready != want {
				p.Ready, p.ReadySince = want, c.Now
			}
		}
	}
	pods, _ = c.replace(i, pods, 100)
	return !slices.Equal(pods, d.Pods) && c.setPods(i, pods)
}

// calm is true when nothing of a slot has to move.
func (c *Cluster) calm(i int) bool {
	d := &c.deployments[i]
	var n int32
	for at := range d.Pods {
		p := &d.Pods[at]
		if p.Terminating && p.Waiting == lostNode {
			continue
		}
		if p.Terminating || p.Revision != d.Revision || p.Ready != c.healthy(i, p.Revision) {
			return false
		}
		n++
	}
	return n == c.wanted(i)
}

func (c *Cluster) wanted(i int) int32 {
	if d := &c.deployments[i]; d.Exists {
		return d.Replicas
	}
	return 0
}

// setPods also changes the Deployment: its status counts them.
func (c *Cluster) setPods(i int, pods []world.Pod) bool {
	d := c.touch(i)
	d.Pods = pods
	if d.Exists {
		c.counted(d)
	}
	return true
}

// lostNode marks a Terminating pod whose node is gone: it never ends.
const lostNode = "NodeLost"

// replace brings the pods to the template and number that are wanted, as a ReplicaSet does, with at most so many changes. Pods of an older
// template go only as new ones are ready.
func (c *Cluster) replace(i int, pods []world.Pod, most int) ([]world.Pod, bool) {
	d, moved := &c.deployments[i], false
	var current, up, old int
	for at := range pods {
		switch p := &pods[at]; {
		case p.Terminating:
		case p.Revision != d.Revision:
			old++
		default:
			current++
			if p.Ready {
				up++
			}
		}
	}
	want := int(c.wanted(i))
	for ; current < want && most > 0; most-- {
		pods, current, moved = append(pods, c.newPod(i)), current+1, true
	}
	for at := len(pods) - 1; at >= 0 && most > 0; at-- {
		p := &pods[at]
		surplus := p.Revision == d.Revision && current > want
		outdated := p.Revision != d.Revision && old > max(want-up, 0)
		if p.Terminating || !surplus && !outdated {
			continue
		}
		p.Terminating, moved = true, true
		if most--; surplus {
			current--
		} else {
			old--
		}
	}
	return pods, moved
}

func (c *Cluster) newPod(i int) world.Pod {
	d, n := &c.deployments[i], c.next()
	if d.madeFor != d.Revision {
		d.made, d.madeFor = 0, d.Revision
	}
	d.made++
	p := world.Pod{Name: slotNames[i] + "-" + n, IP: "10.0.0." + n, Revision: d.Revision, ReadySince: c.Now, ImageID: d.Revision}
	if kind := c.Characters[d.Revision]; kind == TwoImages && d.made%2 == 0 || kind == TagMoves && d.made > 2 {
		p.ImageID += "-moved"
	}
	if c.Characters[d.Revision] == NoImage {
		p.Waiting = noImage
	}
	return p
}

// healthy says whether a pod of a revision gets ready: its own doing, and the schema's.
func (c *Cluster) healthy(i int, revision string) bool {
	level, known := c.Levels[revision]
	if known && (c.Database.Current < level.Brings || level.Brings < c.Database.Oldest) {
		return false
	}
	switch c.Characters[revision] {
	case NeverReady, NoImage:
		return false
	case WorkersFail:
		return slots[i].Component != v1alpha1.Worker
	default:
		return true
	}
}

// autoscale lets an HPA act: it follows the load within its bounds, and is switched off by a Deployment of zero.
func (c *Cluster) autoscale(i int) bool {
	d := &c.deployments[i]
	if d.Autoscaler == nil || !d.Exists || d.Replicas == 0 {
		return false
	}
	want := d.Replicas
	if d.load > 0 {
		want = d.load
	}
	want = min(max(want, d.Autoscaler.Min), d.Autoscaler.Max)
	if want == d.Replicas && want == d.Autoscaler.Desired {
		return false
	}
	scaler := *d.Autoscaler
	scaler.Desired = want
	d = c.touch(i)
	d.Autoscaler, d.Replicas = &scaler, want
	c.changed(d)
	return true
}

// settleEndpoints makes every EndpointSlice list what its Service selects.
func (c *Cluster) settleEndpoints() bool {
	moved := false
	for i := range c.colors {
		moved = c.converge(&c.colors[i], i, false) || moved
	}
	for i := range c.live {
		moved = c.convergeLive(i) || moved
	}
	return moved
}

func (c *Cluster) moveEndpoints(r *rand.Rand) bool {
	n := r.IntN(routedSlots + len(c.live))
	if n < routedSlots {
		return c.converge(&c.colors[n], n, false)
	}
	return c.convergeLive(n - routedSlots)
}

func (c *Cluster) convergeLive(i int) bool {
	s := &c.live[i]
	if !s.exists {
		return false
	}
	return c.converge(s, index(world.Slot{Component: world.Routed[i], Color: s.color}), true)
}

// converge lists the ready pods that a Service selects: those of its revision in its color.
func (c *Cluster) converge(s *service, slot int, live bool) bool {
	if !s.exists {
		return false
	}
	n := ready(&c.deployments[slot], s.revision)
	if of, others := s.listed.Of(s.revision); of == n && others == 0 && s.listed.Ready != nil {
		return false
	}
	s.listed = world.Endpoints{Identity: s.listed.Identity, ClusterIP: "10.96.0.1", Ready: map[string]int32{}}
	if n > 0 {
		s.listed.Ready[s.revision] = n
	}
	if live {
		c.routes = nil
	} else {
		c.previews = nil
	}
	return true
}

func (c *Cluster) activeJobs() []string {
	var names []string
	for name, j := range c.jobs {
		if j.Phase == world.JobActive {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// settleProbe lets a running check come to its result. One that has failed stays so.
func (c *Cluster) settleProbe(p plan.Probe) bool {
	if c.findings[p.ID].Result == v1alpha1.CheckFailed {
		return false
	}
	f := c.ask(p)
	if c.findings[p.ID].Result == f.Result {
		return false
	}
	c.find(p.ID, f)
	return true
}

func (c *Cluster) find(id string, f world.Finding) {
	c.findings = maps.Clone(c.findings)
	c.findings[id] = f
}

// Unwatched is the character of a revision whose metrics nobody can ask for.
const Unwatched Character = "its metrics cannot be asked for"

// ask is what a check learns: its own revision's answers, or nothing while another revision answers or nobody does.
func (c *Cluster) ask(p plan.Probe) world.Finding {
	stage, bad := stageOf(p.ID), c.Characters[revisionOf(p.ID)]
	switch {
	case stage == v1alpha1.StepVerifying && bad == FailsBefore, stage == v1alpha1.StepConfirming && bad == FailsAfter:
		return world.Finding{Result: v1alpha1.CheckFailed, Failures: p.Failures + 1, Message: "answers 500"}
	case bad == Unwatched && p.Protocol == plan.Prometheus, !c.reachable(p):
		return world.Finding{Result: v1alpha1.CheckInconclusive, Message: "nobody answers"}
	default:
		return world.Finding{Result: v1alpha1.CheckPassed, Successes: p.Successes, Message: "checked"}
	}
}

// reachable says whether the revision that a check is about would answer it.
func (c *Cluster) reachable(p plan.Probe) bool {
	if len(p.Targets) == 0 {
		return p.Protocol == plan.Prometheus
	}
	for _, t := range p.Targets {
		if !c.answers(t, p.Revision) {
			return false
		}
	}
	return true
}

func (c *Cluster) answers(t plan.Address, revision string) bool {
	if t.Pod != "" {
		for i := range c.deployments {
			for _, p := range c.deployments[i].Pods {
				if p.Name == t.Pod {
					return p.Ready
				}
			}
		}
		return false
	}
	for i := range c.live {
		if c.live[i].exists && t.Service == plan.LiveName(instanceName, world.Routed[i]) {
			return c.live[i].listed.Ready[revision] > 0
		}
	}
	for i := range c.colors {
		if t.Service == slotNames[i] {
			return c.colors[i].listed.Ready[revision] > 0
		}
	}
	return t.Host != ""
}

func stageOf(probeID string) v1alpha1.Step {
	_, rest, _ := strings.Cut(probeID, "/")
	step, _, _ := strings.Cut(rest, "/")
	return v1alpha1.Step(step)
}

func revisionOf(probeID string) string {
	name, _, _ := strings.Cut(probeID, "-")
	return name
}

// Watch keeps exactly the wanted checks.
func (c *Cluster) Watch(probes []plan.Probe) {
	if len(c.probes) == 0 && len(probes) == 0 {
		return
	}
	old := c.probes
	c.probes = probes
	findings := make(map[string]world.Finding, len(probes))
	for _, p := range probes {
		f, known := c.findings[p.ID]
		if !known {
			continue
		}
		if f.Result == v1alpha1.CheckPassed && !sameTargets(old, p) {
			f = world.Finding{Result: v1alpha1.CheckRunning, Failures: f.Failures, Message: "the pods have changed; asking them again"}
		}
		findings[p.ID] = f
	}
	c.findings = findings
}

func sameTargets(old []plan.Probe, p plan.Probe) bool {
	for i := range old {
		if old[i].ID == p.ID {
			return old[i].Revision == p.Revision && slices.Equal(old[i].Targets, p.Targets)
		}
	}
	return false
}

// forget is what the death of the operator's process does: checks start again.
func (c *Cluster) forget() { c.probes, c.findings = nil, map[string]world.Finding{} }
