package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/guard"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// leader is the revision that the live routes are to show in this step; nil before the first switch.
func (m *machine) leader() *v1alpha1.RevisionStatus {
	switch m.was.Rollout.Step {
	case v1alpha1.StepSwitching:
		return m.was.Candidate
	case v1alpha1.StepRollingBack:
		if m.canGoBack() {
			return m.was.Previous
		}
	default:
	}
	return m.was.Active
}

// routes keeps the live routes where they belong. One that shows something else is moved with one write, fenced by an epoch that is
// higher than the one it carries; outside a switch that is drift, and its repair takes an epoch of its own first. One that shows the right thing
// under an older epoch gets the new one: whatever was decided under the old one fails from then on.
func (m *machine) routes() {
	leader := m.leader()
	if leader == nil {
		return
	}
	for _, c := range m.turns() {
		m.bothColors(c, *leader)
		if !m.mayFollow(c) {
			continue
		}
		held := false
		for _, r := range m.carriers(c, *leader) { // the later one leads nobody before the first
			if !held || r.shows {
				held = !m.route(r, *leader) || held
			}
		}
	}
}

// turns lists the routed components in the order in which their routes are written. A way back begins with the API: it has most of the users,
// and each of them meets an error until then.
func (m *machine) turns() []v1alpha1.ComponentName {
	order := slices.Clone(m.routed())
	if m.was.Rollout.Step == v1alpha1.StepRollingBack {
		slices.Reverse(order)
	}
	return order
}

// What carries traffic follows the first of several changes at once, and those that come soon after it late: kube-proxy's minSyncPeriod is a
// second, Traefik's providersThrottleDuration two. A second route that is written at the same time would lead its users to the old color for
// that long. The rest of each is what the first write itself may take.
const (
	afterService = 1300 * time.Millisecond
	afterWeights = 2300 * time.Millisecond
)

// mayFollow is false while a switch is still too young for the route of a component: the first has its turn when the step is entered, the next
// when what carries traffic listens again. Nobody waits for it in a first installation, where no user is led anywhere yet, nor on the way back.
func (m *machine) mayFollow(c v1alpha1.ComponentName) bool {
	r := m.was.Rollout
	if r.Step != v1alpha1.StepSwitching || m.was.Active == nil || c == m.routed()[0] || len(r.Steps) == 0 {
		return true
	}
	gap := afterService
	if len(m.w.Weighted) > 0 {
		gap = afterWeights
	}
	at := r.Steps[len(r.Steps)-1].At.Add(gap)
	if m.now.Before(at) {
		m.wake(at)
		return false
	}
	return true
}

// carrier is one object that leads users of a component.
type carrier struct {
	Ensure
	exists, shows bool
	now           string
}

// carriers are the objects that lead users of a component: its live Service and, before that, the route that leads by weights if there is one.
func (m *machine) carriers(c v1alpha1.ComponentName, leader v1alpha1.RevisionStatus) []carrier {
	r := m.w.Routes[c]
	live := carrier{
		Ensure: Ensure{Kind: LiveService, Component: c, Color: leader.Color, Revision: leader.Revision, Epoch: r.Epoch, Identity: r.Identity},
		exists: r.Exists, shows: r.Exists && r.Color == leader.Color && r.Revision == leader.Revision, now: lower(r.Color) + " " + r.Revision,
	}
	w, weighted := m.w.Weighted[c]
	if !weighted {
		return []carrier{live}
	}
	byWeights := carrier{
		Ensure: Ensure{Kind: Weights, Component: c, Color: leader.Color, Revision: leader.Revision, Epoch: w.Epoch, Identity: w.Identity},
		exists: w.Exists, shows: w.Shows(leader.Color), now: fmt.Sprintf("weights %d to blue and %d to green", w.Weights[v1alpha1.Blue], w.Weights[v1alpha1.Green]),
	}
	return []carrier{byWeights, live}
}

// bothColors makes the Service of the color that nobody has used yet: a route by weights names both from the start. It selects nothing, as
// the leader's revision only runs in its own color.
func (m *machine) bothColors(c v1alpha1.ComponentName, leader v1alpha1.RevisionStatus) {
	slot := world.Slot{Component: c, Color: world.Other(leader.Color)}
	if len(m.w.Weighted) == 0 || m.hasRole(slot.Color) {
		return
	}
	if _, exists := m.w.Previews[slot]; !exists {
		m.add(Ensure{Kind: ColorService, Component: c, Color: slot.Color, Revision: leader.Revision})
	}
}

func (m *machine) hasRole(c v1alpha1.Color) bool {
	for _, r := range []*v1alpha1.RevisionStatus{m.was.Active, m.was.Candidate, m.was.Previous} {
		if r != nil && r.Color == c {
			return true
		}
	}
	return false
}

// route keeps one object where it belongs; false means that the leader cannot take users now.
func (m *machine) route(r carrier, leader v1alpha1.RevisionStatus) bool {
	ensure, epoch := r.Ensure, m.was.Rollout.Epoch
	switch {
	case r.shows:
		ensure.Epoch = max(r.Epoch, epoch)
		m.add(ensure)
	case r.exists && r.Epoch >= epoch:
		m.next.Rollout.Epoch = max(r.Epoch, m.next.Rollout.Epoch) + 1
		m.event(true, "RouteDrifted", "the live %s route shows %s; taking it back to %s", r.Component, r.now, leader.Revision)
	default:
		if v := m.mayLead(r.Component, leader); !v.OK {
			m.hold(v)
			return false
		}
		ensure.Moves, ensure.Epoch = true, epoch
		m.add(ensure)
	}
	return true
}

// fenced is false while a route leads where it should under an older epoch than the status has: a leader that was overtaken just before it moved
// users could still do so. The write of the new epoch, which routes makes, is what stops it; until then no color is taken down.
func (m *machine) fenced(c v1alpha1.ComponentName) bool {
	leader := m.leader()
	if leader == nil {
		return true
	}
	return !slices.ContainsFunc(m.carriers(c, *leader), func(r carrier) bool { return r.shows && r.Epoch < m.was.Rollout.Epoch })
}

// mayLead judges, at the write itself, whether traffic may move to a revision. A switch asks for the full capacity; repairing drift only
// asks that the component serves at all.
func (m *machine) mayLead(c v1alpha1.ComponentName, leader v1alpha1.RevisionStatus) guard.Verdict {
	s := m.subject(&leader)
	switch m.was.Rollout.Step {
	case v1alpha1.StepSwitching:
		if m.due(m.was.Rollout.Deadline) && !m.anyLed(m.was.Candidate) {
			return guard.Verdict{Reason: "SwitchFailed", Message: "the time to move traffic is over"} // the step ends in this round
		}
		return guard.ToSwitching.Check(s)
	case v1alpha1.StepRollingBack:
		return rollBackAllowed(s)
	default:
		s.Required = map[v1alpha1.ComponentName]int32{c: 1}
		return guard.ToRepair.Check(s)
	}
}

// led is true when every live route shows the revision.
func (m *machine) led(by *v1alpha1.RevisionStatus) bool {
	if by == nil {
		return false
	}
	for _, c := range m.routed() {
		for _, r := range m.carriers(c, *by) {
			if !r.shows {
				return false
			}
		}
	}
	return true
}

// anyLed is true when at least one live route leads users to the revision.
func (m *machine) anyLed(by *v1alpha1.RevisionStatus) bool {
	if by == nil {
		return false
	}
	for _, c := range m.routed() {
		r := m.w.Routes[c]
		if r.Exists && r.Color == by.Color && r.Revision == by.Revision || m.w.Weighted[c].Reaches(by.Color) {
			return true
		}
	}
	return false
}

// notices tells the pods of a color that was switched away to send their clients elsewhere, the frontend's before the API's; and the pods
// of a color that was switched back to welcome them again.
func (m *machine) notices() {
	step := m.was.Rollout.Step
	switch step {
	case v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRetaining, v1alpha1.StepRetiring:
		m.notify(m.was.Previous, true)
	case v1alpha1.StepRollingBack:
		m.notify(m.was.Previous, false)
	case v1alpha1.StepAborting:
		if m.was.Rollout.Outcome == v1alpha1.OutcomeRolledBack {
			m.notify(m.was.Candidate, true)
			m.notify(m.was.Active, false)
		}
	default:
	}
}

func (m *machine) notify(r *v1alpha1.RevisionStatus, retire bool) {
	if r == nil {
		return
	}
	for _, c := range m.routed() {
		for _, p := range m.w.Workloads[world.Slot{Component: c, Color: r.Color}].Pods {
			if p.Revision == r.Revision && p.IP != "" {
				m.out.Notices = append(m.out.Notices, Notice{Pod: p.Name, IP: p.IP, Retire: retire})
			}
		}
	}
}
