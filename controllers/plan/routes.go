package plan

import (
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

// routes keeps the live routes where they belong. A route that shows something else is moved with one write, fenced by an epoch that is
// higher than the one it carries; outside a switch that is drift, and its repair takes an epoch of its own first.
func (m *machine) routes() {
	leader := m.leader()
	if leader == nil {
		return
	}
	for _, c := range m.routed() {
		m.route(c, *leader)
	}
}

func (m *machine) route(c v1alpha1.ComponentName, leader v1alpha1.RevisionStatus) {
	r, epoch := m.w.Routes[c], m.was.Rollout.Epoch
	ensure := Ensure{Kind: LiveService, Component: c, Color: leader.Color, Revision: leader.Revision, Epoch: r.Epoch, Identity: r.Identity}
	switch {
	case r.Exists && r.Color == leader.Color && r.Revision == leader.Revision:
		m.add(ensure)
	case r.Exists && r.Epoch >= epoch:
		m.next.Rollout.Epoch = max(r.Epoch, m.next.Rollout.Epoch) + 1
		m.event(true, "RouteDrifted", "the live %s route shows %s %s; taking it back to %s", c, lower(r.Color), r.Revision, leader.Revision)
	default:
		if v := m.mayLead(c, leader); !v.OK {
			m.hold(v)
			return
		}
		ensure.Moves, ensure.Epoch = true, epoch
		m.add(ensure)
	}
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
	for _, c := range m.routed() {
		r := m.w.Routes[c]
		if by == nil || !r.Exists || r.Color != by.Color || r.Revision != by.Revision {
			return false
		}
	}
	return true
}

// anyLed is true when at least one live route shows the revision.
func (m *machine) anyLed(by *v1alpha1.RevisionStatus) bool {
	for _, c := range m.routed() {
		r := m.w.Routes[c]
		if by != nil && r.Exists && r.Color == by.Color && r.Revision == by.Revision {
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
