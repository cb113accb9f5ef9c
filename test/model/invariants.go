package model

import (
	"errors"
	"fmt"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Violation is a broken invariant.
type Violation struct {
	Invariant string
	Message   string
}

func (v *Violation) Error() string { return v.Invariant + ": " + v.Message }

func broken(invariant, format string, args ...any) error {
	return &Violation{Invariant: invariant, Message: fmt.Sprintf(format, args...)}
}

// Watcher checks the invariants of one schedule: I1 to I8, and I9, that workers are handed over in order, and I10, that nothing is taken from the schema
// that nobody has approved. Each method returns the first that
// is broken. What it knows about a rollout it knows by itself: it must not ask the planner or its guards.
type Watcher struct{}

// Written judges a write that changed the cluster, against what its author had seen.
func (Watcher) Written(c *Cluster, seen *world.World, w plan.Write, before Before) error {
	switch w := w.(type) {
	case plan.Ensure:
		return ensured(c, seen, w, before)
	case plan.Scale:
		return scaled(c, seen, w, before)
	case plan.Delete:
		return deleted(c, seen, w, before)
	default:
		return nil
	}
}

func ensured(c *Cluster, seen *world.World, e plan.Ensure, before Before) error {
	switch e.Kind {
	case plan.LiveService:
		if before.Route.color != e.Color || before.Route.revision != e.Revision {
			return errors.Join(routeMoved(seen, e, before.Route), somebodyThere(c, e, before))
		}
	case plan.Weights:
		if !before.Weights.shows(e.Color) {
			return errors.Join(routeMoved(seen, e, service{exists: before.Weights.exists, epoch: before.Weights.epoch}), somebodyThere(c, e, before))
		}
	case plan.Job:
		if e.Approve != "" && e.Approve != approvedIn(&seen.Spec) {
			return broken("I10", "Job %s may run %s, which nobody has approved", plan.JobName(instanceName, e), e.Approve)
		}
		return oneMigration(c)
	case plan.Deployment:
		return templateReplaced(c, seen, e, before)
	case plan.Autoscaler:
		return boundsSet(seen, e, before)
	default:
	}
	return nil
}

// routeMoved checks I7 (only where the persisted step says), I1 (only to a color that was seen to be up) and I4 (with a new epoch).
func routeMoved(seen *world.World, e plan.Ensure, before service) error {
	status, step := &seen.Instance.Status, stepOf(&seen.Instance.Status)
	if to := leaderOf(status); to == nil || to.Color != e.Color || to.Revision != e.Revision {
		return broken("I7", "the route of %s was moved to %s %s in %s, which is not where the status leads", e.Component, e.Color, e.Revision, step)
	}
	switching := step == v1alpha1.StepSwitching || step == v1alpha1.StepRollingBack
	if err := mayTake(seen, e, switching); err != nil {
		return err
	}
	if step == v1alpha1.StepRollingBack && outdated(status, e.Revision) {
		return broken("I1", "traffic of %s moved back to %s, which the schema has left behind", e.Component, e.Revision)
	}
	if before.exists && e.Epoch <= before.epoch {
		return broken("I4", "the route of %s moved with epoch %d after %d", e.Component, e.Epoch, before.epoch)
	}
	if status.Rollout != nil && e.Epoch > status.Rollout.Epoch {
		return broken("I4", "the route of %s moved with epoch %d, %d is persisted", e.Component, e.Epoch, status.Rollout.Epoch)
	}
	return nil
}

// somebodyThere checks I1 where its author could not: a leader that was overtaken between its look and its write must not lead users to a color
// that its successor has taken down meanwhile, as long as there was one to lead them to.
func somebodyThere(c *Cluster, e plan.Ensure, before Before) error {
	r := &before.Route
	if e.Kind == plan.Weights {
		r = &service{exists: before.Weights.exists, author: before.Weights.author}
	}
	if !r.exists || r.author != leader || before.Author == leader || !routes(c, e.Component) || c.spec().Activity == v1alpha1.ActivityHibernated {
		return nil // there was nobody to lead, or a person has been at it
	}
	if d := &c.deployments[index(world.Slot{Component: e.Component, Color: e.Color})]; d.Exists && d.Replicas == 0 {
		return broken("I1", "traffic of %s moved to %s, which was taken down in the meantime", e.Component, e.Color)
	}
	return nil
}

// mayTake checks I1: a switch needs the whole revision at its full size, a repair a pod of the component.
func mayTake(seen *world.World, e plan.Ensure, switching bool) error {
	if switching {
		return isUp(seen, e.Color, e.Revision)
	}
	w := seen.Workloads[world.Slot{Component: e.Component, Color: e.Color}]
	if w.Revision != e.Revision || w.Ready(e.Revision) == 0 {
		return broken("I1", "traffic of %s moved to %s %s, where nobody is ready", e.Component, e.Color, e.Revision)
	}
	return nil
}

// leaderOf is where users belong in the persisted step.
func leaderOf(s *v1alpha1.EngLogInstanceStatus) *v1alpha1.RevisionStatus {
	switch stepOf(s) {
	case v1alpha1.StepSwitching:
		return s.Candidate
	case v1alpha1.StepRollingBack:
		if s.Previous != nil && outdated(s, s.Previous.Revision) {
			return s.Active
		}
		return s.Previous
	default:
		return s.Active
	}
}

// isUp checks that each routed component of a revision was seen to be up, at its full size.
func isUp(seen *world.World, color v1alpha1.Color, revision string) error {
	for _, component := range routedIn(&seen.Spec) {
		slot := world.Slot{Component: component, Color: color}
		w, required := seen.Workloads[slot], max(1, floorOf(seen, component))
		if w.Revision != revision {
			return broken("I1", "%s %s is taken for ready while the template of %s is %s", color, revision, component, w.Revision)
		}
		if n := w.Ready(revision); n < required {
			return broken("I1", "%s %s is taken for ready with %d of %d %s pods", color, revision, n, required, component)
		}
		if of, others := seen.Previews[slot].Of(revision); of < required || others > 0 {
			return broken("I1", "%s %s is taken for ready with %d of %d endpoints of %s, %d of others", color, revision, of, required, component, others)
		}
		if images(w, revision) > 1 && stepOf(&seen.Instance.Status) == v1alpha1.StepSwitching {
			return broken("I1", "traffic moved to %s %s, whose %s pods run different images", color, revision, component)
		}
	}
	return nil
}

func routedIn(spec *v1alpha1.EngLogInstanceSpec) []v1alpha1.ComponentName {
	if spec.Frontend.Mode == v1alpha1.ModeDisabled {
		return world.Routed[1:]
	}
	return world.Routed
}

// sized is what the spec says about a component's pods: the least, and the most (0 for a fixed number).
func sized(spec *v1alpha1.EngLogInstanceSpec, c v1alpha1.ComponentName) (least, most int32) {
	var a *v1alpha1.AutoscalingSpec
	var fixed int32
	switch c {
	case v1alpha1.API:
		a, fixed = spec.API.Autoscaling, spec.API.Replicas
	case v1alpha1.Frontend:
		a, fixed = spec.Frontend.Autoscaling, spec.Frontend.Replicas
	case v1alpha1.Worker:
		if fixed = spec.Worker.Replicas; spec.Worker.Autoscaling != nil {
			a = &spec.Worker.Autoscaling.AutoscalingSpec
		}
	}
	if a == nil {
		return max(fixed, 1), 0
	}
	return max(a.MinReplicas, 1), a.MaxReplicas
}

// clamp keeps a number within an autoscaler's bounds.
func clamp(spec *v1alpha1.EngLogInstanceSpec, c v1alpha1.ComponentName, n int32) int32 {
	least, most := sized(spec, c)
	if most == 0 {
		return n
	}
	return min(max(n, least), most)
}

// floorOf is the persisted floor of a component within its bounds.
func floorOf(seen *world.World, c v1alpha1.ComponentName) int32 {
	r := seen.Instance.Status.Rollout
	if r == nil || r.Floor == nil {
		least, _ := sized(&seen.Spec, c)
		return least
	}
	n := r.Floor.Frontend
	switch c {
	case v1alpha1.API:
		n = r.Floor.API
	case v1alpha1.Worker:
		n = r.Floor.Worker
	case v1alpha1.Frontend:
	}
	return clamp(&seen.Spec, c, n)
}

func images(w world.Workload, revision string) int {
	ids := make(map[string]bool, 2)
	for _, p := range w.Pods {
		if p.Revision == revision && p.Ready && !p.Terminating {
			ids[p.ImageID] = true
		}
	}
	return len(ids)
}

// outdated is true for a revision that the schema, as the status records it, no longer allows.
func outdated(s *v1alpha1.EngLogInstanceStatus, revision string) bool {
	if s.Schema == nil {
		return false
	}
	for _, l := range s.Schema.Levels {
		if l.Revision == revision && l.Level < s.Schema.OldestCompatible {
			return true
		}
	}
	return false
}

// approvedIn is the destructive migration that a spec approves.
func approvedIn(spec *v1alpha1.EngLogInstanceSpec) string {
	if m := spec.Rollout.Migration; m != nil && m.Destructive == v1alpha1.DestructiveWhenApproved {
		return m.ApprovedMigration
	}
	return ""
}

func ownMigrations(spec *v1alpha1.EngLogInstanceSpec) bool {
	return spec.Rollout.Migration != nil && spec.Rollout.Migration.Policy == v1alpha1.MigrationDisabled
}

// oneMigration checks I3. An overtaken leader may bring one back that a person has deleted; migrators queue for the database's lock.
func oneMigration(c *Cluster) error {
	running := 0
	for _, j := range c.jobs {
		if j.Component == "migrate" && j.Phase == world.JobActive && j.Identity.UID != madeByOvertaken {
			running++
		}
	}
	if running > 1 {
		return broken("I3", "%d migrations run at once", running)
	}
	return nil
}

// templateReplaced checks I2: pods that users reach are not replaced in place. It tells nothing where a person has led users elsewhere.
func templateReplaced(c *Cluster, seen *world.World, e plan.Ensure, before Before) error {
	if slot := (world.Slot{Component: e.Component, Color: e.Color}); index(slot) >= routedSlots {
		return nil
	}
	r := &c.live[routeIndex(e.Component)]
	if before.Workload.Exists && r.exists && r.color == e.Color && r.revision == before.Workload.Revision && r.author == leader {
		return broken("I2", "the template of %s in %s was replaced by %s while users are led to %s", e.Component, e.Color, e.Revision, r.revision)
	}
	if p := seen.Instance.Status.Previous; p != nil && p.Color == e.Color && p.Revision != e.Revision {
		return broken("I2", "the template of %s in %s was replaced by %s while %s is retained", e.Component, e.Color, e.Revision, p.Revision)
	}
	return nil
}

// keepsFloor lists the steps in which both colors keep the size that the switch was made with.
var keepsFloor = map[v1alpha1.Step]bool{v1alpha1.StepConfirming: true, v1alpha1.StepHandover: true, v1alpha1.StepRollingBack: true}

// boundsSet checks that an autoscaler never gets to work on nothing, and does not undercut a floor.
func boundsSet(seen *world.World, e plan.Ensure, before Before) error {
	if before.Workload.Replicas == 0 && before.Author == leader {
		return broken("I2", "the autoscaler of %s in %s was made for no pods, and so is switched off", e.Component, e.Color)
	}
	status, step := &seen.Instance.Status, stepOf(&seen.Instance.Status)
	p := status.Previous
	retained := p != nil && p.Color == e.Color && step == v1alpha1.StepRetaining
	if e.Component != v1alpha1.Worker && (keepsFloor[step] || retained) && e.Min < floorOf(seen, e.Component) {
		return broken("I2", "the autoscaler of %s in %s may go down to %d in %s, the floor is %d", e.Component, e.Color, e.Min, step, floorOf(seen, e.Component))
	}
	return nil
}

// asleep is true when nobody is to be served.
func asleep(seen *world.World) bool {
	return seen.Spec.Activity == v1alpha1.ActivityHibernated && stepOf(&seen.Instance.Status) == v1alpha1.StepStable
}

// scaled checks I2: what users reach, or may have to go back to, is not taken down or made smaller than it has to be.
func scaled(c *Cluster, seen *world.World, s plan.Scale, before Before) error {
	if err := handedOver(seen, c, s); err != nil {
		return err
	}
	if s.Replicas > 0 {
		return resized(c, seen, s, before)
	}
	if asleep(seen) {
		return nil
	}
	if err := ledTo(c, seen, s.Slot, before, "scaled to zero"); err != nil {
		return err
	}
	return neededBy(c, seen, s.Slot, before)
}

// ledTo checks that users are not led to a slot, neither by a route nor by what is listed behind it. A leader that is overtaken cannot know of
// a route that somebody has moved meanwhile. Before the first revision is active, a route that selects other pods than those which are there
// leads to nobody.
func ledTo(c *Cluster, seen *world.World, slot world.Slot, before Before, what string) error {
	if index(slot) >= routedSlots {
		return nil
	}
	if w := &c.weights[routeIndex(slot.Component)]; byWeights(c.spec()) && w.to[slot.Color] > 0 && (w.author == leader || before.Author == leader) {
		return broken("I2", "%s in %s was %s while its weighted route leads there", slot.Component, slot.Color, what)
	}
	r, revision := &c.live[routeIndex(slot.Component)], before.Workload.Revision
	known := r.author == leader || before.Author == leader
	if r.exists && known && r.color == slot.Color && (seen.Instance.Status.Active != nil || r.revision == revision) {
		return broken("I2", "%s in %s was %s while its route leads there", slot.Component, slot.Color, what)
	}
	if r.exists && known && r.revision != revision && r.listed.Ready[revision] > 0 {
		return broken("I2", "%s in %s was %s while its endpoints are still listed", slot.Component, slot.Color, what)
	}
	return nil
}

// neededBy checks that a slot which is taken down has no role that needs it.
func neededBy(c *Cluster, seen *world.World, slot world.Slot, before Before) error {
	revision := before.Workload.Revision
	status, step := &seen.Instance.Status, stepOf(&seen.Instance.Status)
	disabled := slot.Component == v1alpha1.Frontend && len(routedIn(&seen.Spec)) == 1
	if a := status.Active; a != nil && a.Color == slot.Color && a.Revision == revision && !disabled {
		if slot.Component != v1alpha1.Worker || step != v1alpha1.StepRollingBack {
			return broken("I2", "%s of the active color was scaled to zero in %s", slot.Component, step)
		}
	}
	p := status.Previous
	if p == nil || p.Color != slot.Color || p.Revision != revision || slot.Component == v1alpha1.Worker || disabled {
		return nil
	}
	if step != v1alpha1.StepRetiring {
		return broken("I2", "%s of the previous color was scaled to zero in %s", slot.Component, step)
	}
	frontend := &c.deployments[index(world.Slot{Component: v1alpha1.Frontend, Color: slot.Color})]
	if slot.Component == v1alpha1.API && ready(frontend, revision) > 0 && before.Author == leader {
		return broken("I2", "the API in %s was taken from under its frontend", slot.Color)
	}
	return nil
}

// resized checks that a number of pods is neither fought over with an autoscaler nor cut below what the spec asks for.
func resized(c *Cluster, seen *world.World, s plan.Scale, before Before) error {
	d := &before.Workload
	// An overtaken leader does not know of the autoscaler; one that makes a Deployment anew brings it to its size first.
	if d.Autoscaler != nil && d.Replicas > 0 && before.Author == leader && seen.Workloads[s.Slot].Exists {
		return broken("I2", "%s in %s was scaled to %d beside its autoscaler", s.Slot.Component, s.Slot.Color, s.Replicas)
	}
	least, _ := sized(c.spec(), s.Slot.Component)
	led := index(s.Slot) < routedSlots && c.live[routeIndex(s.Slot.Component)].color == s.Slot.Color
	if led && s.Replicas < min(d.Replicas, least) {
		return broken("I2", "%s in %s was cut from %d to %d pods", s.Slot.Component, s.Slot.Color, d.Replicas, s.Replicas)
	}
	if led && keepsFloor[stepOf(&seen.Instance.Status)] && s.Replicas < min(d.Replicas, floorOf(seen, s.Slot.Component)) {
		return broken("I2", "%s in %s was cut from %d to %d pods, below its floor", s.Slot.Component, s.Slot.Color, d.Replicas, s.Replicas)
	}
	return nil
}

// deleted checks that an autoscaler goes only from a slot that is taken down or has a fixed size.
func deleted(c *Cluster, seen *world.World, d plan.Delete, before Before) error {
	if d.Kind != plan.Autoscaler {
		return nil
	}
	for i, slot := range slots {
		if slotNames[i] != d.Name || i >= routedSlots || asleep(seen) {
			continue
		}
		if _, most := sized(&seen.Spec, slot.Component); most == 0 {
			continue
		}
		before.Workload = c.deployments[i]
		if err := ledTo(c, seen, slot, before, "left without its autoscaler"); err != nil {
			return err
		}
	}
	return nil
}

// handedOver checks I9: a version's workers start after its API has proved itself; where they must not overlap, after the others have ended.
func handedOver(seen *world.World, c *Cluster, s plan.Scale) error {
	if s.Slot.Component != v1alpha1.Worker || s.Replicas == 0 {
		return nil
	}
	status, step := &seen.Instance.Status, stepOf(&seen.Instance.Status)
	if k := status.Candidate; k != nil && k.Color == s.Slot.Color {
		return broken("I9", "workers of the candidate %s were started in %s", k.Revision, step)
	}
	if a := status.Active; a != nil && a.Color == s.Slot.Color && step == v1alpha1.StepConfirming {
		return broken("I9", "workers of %s were started before it was confirmed", a.Revision)
	}
	if r := status.Rollout; r != nil && !c.Now.Before(r.StepEnteredAt.Add(time.Duration(seen.Spec.Worker.DrainTimeoutSeconds)*time.Second)) {
		return nil // they have had their time
	}
	forbidden := seen.Spec.Rollout.Workers != nil && seen.Spec.Rollout.Workers.Overlap == v1alpha1.WorkerOverlapForbidden
	if !forbidden {
		return nil
	}
	other := &c.deployments[index(world.Slot{Component: v1alpha1.Worker, Color: world.Other(s.Slot.Color)})]
	for _, p := range other.Pods {
		if p.Waiting != lostNode && !(p.Terminating && !p.Ready) {
			return broken("I9", "workers in %s were started beside those of the other color in %s", s.Slot.Color, step)
		}
	}
	return nil
}
