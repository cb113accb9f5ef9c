package plan

import (
	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// foundation ensures what holds in every step: the children that follow from the spec alone, both colors' own Services (they exist
// before any pod of that color does), and the configuration of every revision that has a role.
func (m *machine) foundation() {
	for _, c := range m.components() {
		m.add(Ensure{Kind: ServiceAccount, Component: c})
		m.add(Ensure{Kind: NetworkPolicy, Component: c})
	}
	m.add(Ensure{Kind: Store, Component: "database"})
	m.add(Ensure{Kind: Store, Component: "cache"})
	for _, r := range []*v1alpha1.RevisionStatus{m.was.Active, m.was.Candidate, m.was.Previous} {
		if r == nil {
			continue
		}
		m.add(Ensure{Kind: Snapshot, Revision: r.Revision})
		m.add(Ensure{Kind: Config, Revision: r.Revision})
	}
	for _, c := range m.routed() {
		for _, r := range []*v1alpha1.RevisionStatus{m.was.Active, m.was.Candidate, m.was.Previous} {
			if r != nil {
				m.add(Ensure{Kind: ColorService, Component: c, Color: r.Color, Revision: r.Revision, Identity: m.w.Previews[world.Slot{Component: c, Color: r.Color}].Identity})
			}
		}
		m.add(Ensure{Kind: Route, Component: c})
	}
	m.add(Ensure{Kind: Monitoring})
}

// capacity ensures the Deployments, replicas and autoscalers of every color that has a role.
func (m *machine) capacity() {
	if m.asleep() {
		m.sleep()
		return
	}
	if !m.policy.Frontend {
		m.dismissFrontend()
	}
	if a := m.was.Active; a != nil {
		m.roleOfActive(*a)
	}
	if p := m.was.Previous; p != nil {
		m.roleOfPrevious(*p)
	}
	if c := m.was.Candidate; c != nil {
		m.roleOfCandidate(*c)
	}
}

// dismissFrontend takes a frontend away that the spec has disabled: its route first, then the pods.
func (m *machine) dismissFrontend() {
	if r := m.w.Routes[v1alpha1.Frontend]; r.Exists {
		m.add(Delete{Kind: Service, Name: LiveName(m.w.Instance.Name, v1alpha1.Frontend), Identity: r.Identity})
	}
	for _, color := range world.Colors {
		m.empty(color, v1alpha1.Frontend)
	}
}

// asleep is true when the instance is hibernated and no rollout has to end first.
func (m *machine) asleep() bool {
	return m.policy.Hibernated && m.was.Rollout.Step == v1alpha1.StepStable
}

func (m *machine) sleep() {
	for _, color := range world.Colors {
		m.empty(color, world.Components...)
	}
}

func (m *machine) roleOfActive(a v1alpha1.RevisionStatus) {
	for _, c := range m.routed() {
		m.run(c, a, m.activeMinimum(c))
	}
	if m.activeWorks() {
		m.run(v1alpha1.Worker, a, m.activeMinimum(v1alpha1.Worker))
	} else if m.was.Rollout.Step == v1alpha1.StepRollingBack {
		m.empty(a.Color, v1alpha1.Worker)
	}
}

// activeWorks says whether the active color's workers run. Right after the switch the previous color's still do: a version's workers
// start only when its API has proved itself.
func (m *machine) activeWorks() bool {
	switch m.was.Rollout.Step {
	case v1alpha1.StepConfirming, v1alpha1.StepRollingBack:
		return false
	case v1alpha1.StepRetaining, v1alpha1.StepContracting:
		return true // the others have had their time
	default:
		return !m.mustWaitFor(world.Other(m.was.Active.Color))
	}
}

// mustWaitFor is true while the workers of a color have not ended and must not meet others. One on a dead node never ends: there is a
// limit, the time that workers have to drain.
func (m *machine) mustWaitFor(color v1alpha1.Color) bool {
	if !m.policy.ForbidOverlap || len(m.w.Workloads[world.Slot{Component: v1alpha1.Worker, Color: color}].Pods) == 0 {
		return false
	}
	entered := m.was.Rollout.StepEnteredAt
	if entered == nil || !m.now.Before(entered.Add(m.policy.WorkerDrain)) {
		return false
	}
	m.wake(entered.Add(m.policy.WorkerDrain))
	return true
}

func (m *machine) roleOfPrevious(p v1alpha1.RevisionStatus) {
	switch m.was.Rollout.Step {
	case v1alpha1.StepRetiring, v1alpha1.StepContracting:
		return // their acts are the step's own
	case v1alpha1.StepHandover, v1alpha1.StepRetaining:
		if m.previousWorkersDismissed() {
			m.empty(p.Color, v1alpha1.Worker)
		} else {
			m.run(v1alpha1.Worker, p, m.floor(v1alpha1.Worker))
		}
	case v1alpha1.StepRollingBack:
		if !m.mustWaitFor(m.was.Active.Color) {
			m.run(v1alpha1.Worker, p, m.floor(v1alpha1.Worker))
		}
	default:
		m.run(v1alpha1.Worker, p, m.floor(v1alpha1.Worker))
	}
	for _, c := range m.routed() {
		m.run(c, p, m.floor(c))
	}
}

// previousWorkersDismissed says whether the old workers may drain: when the new ones are ready, or first of all when both must not
// work at the same time.
func (m *machine) previousWorkersDismissed() bool {
	return m.was.Rollout.Step == v1alpha1.StepRetaining || m.policy.ForbidOverlap || m.newWorkersReady()
}

func (m *machine) newWorkersReady() bool {
	a := m.was.Active
	w := m.w.Workloads[world.Slot{Component: v1alpha1.Worker, Color: a.Color}]
	return w.Exists && w.Revision == a.Revision && w.Ready(a.Revision) >= max(m.floor(v1alpha1.Worker), 1)
}

// workersOf counts the worker pods of a revision that have not ended.
func (m *machine) workersOf(r *v1alpha1.RevisionStatus) int32 {
	if r == nil {
		return 0
	}
	return m.w.Workloads[world.Slot{Component: v1alpha1.Worker, Color: r.Color}].Alive(r.Revision)
}

func (m *machine) roleOfCandidate(c v1alpha1.RevisionStatus) {
	switch m.was.Rollout.Step {
	case v1alpha1.StepScaling, v1alpha1.StepVerifying, v1alpha1.StepAwaitingPromotion, v1alpha1.StepSwitching:
		for _, component := range m.routed() {
			m.run(component, c, m.floor(component))
		}
		m.empty(c.Color, v1alpha1.Worker) // of an earlier rollout that a lost status has forgotten
	default: // Preparing clears the slot and Aborting empties it, by acts of their own.
	}
}

// run ensures that a component of a revision runs in its color with at least floor pods.
func (m *machine) run(c v1alpha1.ComponentName, r v1alpha1.RevisionStatus, floor int32) {
	slot := world.Slot{Component: c, Color: r.Color}
	w, size := m.w.Workloads[slot], m.size(c)
	m.add(Ensure{Kind: Deployment, Component: c, Color: r.Color, Revision: r.Revision, Epoch: m.was.Rollout.Epoch, Identity: w.Identity})
	m.add(Ensure{Kind: DisruptionBudget, Component: c, Color: r.Color})
	if w.Exists && w.Revision != r.Revision {
		return // how many there are to be is said to the Deployment as it is then
	}
	if !size.Auto {
		if w.Autoscaler != nil {
			m.add(Delete{Kind: Autoscaler, Name: SlotName(m.w.Instance.Name, slot), Identity: w.Autoscaler.Identity})
		}
		if want := max(size.Fixed, floor); !w.Exists || w.Replicas != want {
			m.add(Scale{Slot: slot, Replicas: want, Identity: w.Identity})
		}
		return
	}
	least := min(max(size.Min, floor), size.Max)
	// An autoscaler never wakes a Deployment of zero, and a fresh one would first judge what it finds: the pods come first.
	if !w.Exists || w.Replicas == 0 || (w.Autoscaler == nil && w.Replicas < least) {
		m.add(Scale{Slot: slot, Replicas: least, Identity: w.Identity})
	}
	scaler := Ensure{Kind: Autoscaler, Component: c, Color: r.Color, Min: least, Max: size.Max}
	if w.Autoscaler != nil {
		scaler.Identity = w.Autoscaler.Identity
	}
	m.add(scaler)
}

// empty takes all pods of the components away from a color. Each write names the incarnation that was judged. It returns whether there is still
// something to take.
func (m *machine) empty(color v1alpha1.Color, components ...v1alpha1.ComponentName) (busy bool) {
	for _, c := range components {
		slot := world.Slot{Component: c, Color: color}
		w := m.w.Workloads[slot]
		if m.reached(slot) || w.Autoscaler == nil && w.Replicas == 0 {
			continue
		}
		busy = true
		if !m.asleep() && !m.fenced(c) {
			continue
		}
		if w.Autoscaler != nil {
			m.add(Delete{Kind: Autoscaler, Name: SlotName(m.w.Instance.Name, slot), Identity: w.Autoscaler.Identity})
		}
		if w.Exists && w.Replicas > 0 {
			m.add(Scale{Slot: slot, Replicas: 0, Identity: w.Identity})
		}
	}
	return busy
}

// reached is true while a live route leads to a color, even if only because somebody has moved it: its pods are not taken away before it
// leads elsewhere. A hibernated instance is not to be reached at all. Where no revision is active there is nowhere else to lead, and what counts is
// whether the route selects the pods that are there.
func (m *machine) reached(slot world.Slot) bool {
	if m.asleep() {
		return false
	}
	r := m.w.Routes[slot.Component]
	selects := m.was.Active != nil || r.Revision == m.w.Workloads[slot].Revision
	return r.Exists && r.Color == slot.Color && selects || m.w.Weighted[slot.Component].Reaches(slot.Color)
}

// emptied is true when no pod of the color answers any more and none is wanted. A Terminating pod on a dead node never becomes
// unreachable knowledge: it is not ready, so it does not hold anything up.
func (m *machine) emptied(color v1alpha1.Color) bool {
	for _, c := range world.Components {
		w := m.w.Workloads[world.Slot{Component: c, Color: color}]
		if w.Replicas > 0 || w.Autoscaler != nil {
			return false
		}
		for _, p := range w.Pods {
			if p.Ready {
				return false
			}
		}
	}
	return true
}

// current is the number of pods that a color is meant to run now.
func (m *machine) current(c v1alpha1.ComponentName, color v1alpha1.Color) int32 {
	w := m.w.Workloads[world.Slot{Component: c, Color: color}]
	if w.Autoscaler != nil {
		return max(w.Replicas, w.Autoscaler.Desired)
	}
	return w.Replicas
}

// captureFloor raises the floor to what the active color runs now, and never lowers it during a rollout.
func (m *machine) captureFloor() {
	floor := v1alpha1.CapacityFloor{}
	if m.was.Rollout.Floor != nil {
		floor = *m.was.Rollout.Floor
	}
	raise := func(c v1alpha1.ComponentName, to *int32) {
		n := m.size(c).Base()
		if a := m.was.Active; a != nil {
			n = max(n, m.current(c, a.Color))
		}
		*to = max(*to, m.size(c).Clamp(n))
	}
	raise(v1alpha1.API, &floor.API)
	raise(v1alpha1.Worker, &floor.Worker)
	if m.policy.Frontend {
		raise(v1alpha1.Frontend, &floor.Frontend)
	}
	m.next.Rollout.Floor = &floor
}

// floor is the persisted floor of a component, within its autoscaler's bounds.
func (m *machine) floor(c v1alpha1.ComponentName) int32 {
	f := m.was.Rollout.Floor
	if f == nil {
		return m.size(c).Base()
	}
	switch c {
	case v1alpha1.API:
		return m.size(c).Clamp(f.API)
	case v1alpha1.Worker:
		return m.size(c).Clamp(f.Worker)
	default:
		return m.size(c).Clamp(f.Frontend)
	}
}

// activeMinimum is the least number of pods of the active color: its base, and the floor of its own promotion until that is let go.
func (m *machine) activeMinimum(c v1alpha1.ComponentName) int32 {
	r := m.was.Rollout
	switch r.Step {
	case v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRollingBack:
		return m.floor(c)
	case v1alpha1.StepRetaining, v1alpha1.StepRetiring, v1alpha1.StepContracting, v1alpha1.StepStable:
		if r.FloorUntil != nil && !m.due(r.FloorUntil) {
			return m.floor(c)
		}
	default:
	}
	return m.size(c).Base()
}
