package model

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Persisted checks a status that was written: I4 and I8, that epochs grow and timers do not shrink; I7, that it tells the truth about
// traffic; and that what a step asks for had been seen when it was entered.
func (Watcher) Persisted(c *Cluster, round *Round, before *v1alpha1.EngLogInstanceStatus) error {
	now := &c.Instance.Status
	if err := kept(before, now); err != nil {
		return err
	}
	if err := truthful(c, now); err != nil {
		return err
	}
	from, to := stepOf(before), stepOf(now)
	if from == v1alpha1.StepAborting && before.Rollout.VerifiedAt == nil && now.Rollout.VerifiedAt != nil {
		return (&edge{seen: round.World, status: before, from: from}).heardBack()
	}
	if from == to {
		return nil
	}
	if err := longEnough(round.World, round.Decided, before, now); err != nil {
		return err
	}
	if entered := entries[to]; entered != nil {
		return entered(&edge{seen: round.World, status: before, now: now, at: round.Decided, from: from})
	}
	return nil
}

// kept checks I4 and I8 between two statuses.
func kept(was, is *v1alpha1.EngLogInstanceStatus) error {
	if was.Rollout == nil || is.Rollout == nil {
		return nil
	}
	a, b := was.Rollout, is.Rollout
	if b.Epoch < a.Epoch {
		return broken("I4", "the epoch shrank from %d to %d", a.Epoch, b.Epoch)
	}
	if a.ID != b.ID {
		return nil
	}
	if a.Step == b.Step && shorter(a.Deadline, b.Deadline) {
		return broken("I8", "the deadline of %s became shorter", b.Step)
	}
	if a.Step == b.Step && !sameTime(a.StepEnteredAt, b.StepEnteredAt) {
		return broken("I8", "the time at which %s was entered has changed", b.Step)
	}
	p, q := was.Previous, is.Previous
	if p != nil && q != nil && p.Revision == q.Revision && shorter(p.RetainedUntil, q.RetainedUntil) {
		return broken("I8", "the retention of %s became shorter", q.Revision)
	}
	if shorter(a.FloorUntil, b.FloorUntil) {
		return broken("I8", "the floor is let go earlier than it was said")
	}
	return nil
}

func shorter(a, b *metav1.Time) bool { return a != nil && (b == nil || b.Before(a)) }

// truthful checks I7: outside of a switch users are where the status says, unless somebody else has just moved them.
func truthful(c *Cluster, s *v1alpha1.EngLogInstanceStatus) error {
	step := stepOf(s)
	if s.Active == nil || step == v1alpha1.StepSwitching || step == v1alpha1.StepRollingBack {
		return nil
	}
	for i, component := range world.Routed {
		r := &c.live[i]
		if r.exists && r.author == leader && (r.color != s.Active.Color || r.revision != s.Active.Revision) && routes(c, component) {
			return broken("I7", "in %s the status says %s %s, the route of %s shows %s %s", step, s.Active.Color, s.Active.Revision, component, r.color, r.revision)
		}
		w := &c.weights[i]
		if byWeights(c.spec()) && w.exists && w.author == leader && !w.shows(s.Active.Color) && routes(c, component) {
			return broken("I7", "in %s the status says %s %s, the weights of %s are %v", step, s.Active.Color, s.Active.Revision, component, w.to)
		}
	}
	return nil
}

func routes(c *Cluster, component v1alpha1.ComponentName) bool {
	return component == v1alpha1.API || len(routedIn(c.spec())) > 1
}

// longEnough checks I8 where timers begin: what is stored must not be earlier than now and the time that the spec gives.
func longEnough(seen *world.World, at time.Time, before, now *v1alpha1.EngLogInstanceStatus) error {
	r := now.Rollout
	if r == nil || before.Rollout == nil {
		return nil
	}
	rollout := seen.Spec.Rollout
	progress := time.Duration(rollout.ProgressDeadlineSeconds) * time.Second
	if r.Deadline != nil && r.Deadline.Before(&metav1.Time{Time: at.Add(progress)}) {
		return broken("I8", "the deadline of %s is less than %v away", r.Step, progress)
	}
	retention := time.Duration(rollout.RetentionSeconds) * time.Second
	if r.Step == v1alpha1.StepRetaining && now.Previous != nil && now.Previous.RetainedUntil.Before(&metav1.Time{Time: at.Add(retention)}) {
		return broken("I8", "%s is retained less than %v", now.Previous.Revision, retention)
	}
	if r.Step == v1alpha1.StepRetaining && r.FloorUntil.Before(&metav1.Time{Time: at.Add(5 * time.Minute)}) {
		return broken("I8", "the floor is held less than five minutes")
	}
	return nil
}

// edge is one change of step, with what had been seen.
type edge struct {
	seen *world.World
	// status is the one before, now the one that was written.
	status, now *v1alpha1.EngLogInstanceStatus
	at          time.Time
	from        v1alpha1.Step
}

// entries says what must have been seen when a step is entered.
var entries = map[v1alpha1.Step]func(*edge) error{
	v1alpha1.StepMigrating:         (*edge).migrating,
	v1alpha1.StepScaling:           (*edge).scaling,
	v1alpha1.StepVerifying:         (*edge).verifying,
	v1alpha1.StepAwaitingPromotion: (*edge).awaiting,
	v1alpha1.StepSwitching:         (*edge).switching,
	v1alpha1.StepHandover:          (*edge).handover,
	v1alpha1.StepRetaining:         (*edge).retaining,
	v1alpha1.StepRetiring:          (*edge).retiring,
	v1alpha1.StepContracting:       (*edge).contracting,
	v1alpha1.StepRollingBack:       (*edge).rollingBack,
	v1alpha1.StepStable:            (*edge).stable,
}

func (e *edge) migrating() error {
	c, w := e.status.Candidate, e.seen
	for name, store := range w.Stores {
		if !store.Ready {
			return broken("I3", "a migration may start while the %s is down", name)
		}
	}
	switch known := w.Known[c.Revision]; {
	case len(w.Conflicts) > 0:
		return broken("I3", "a migration may start among foreign objects")
	case len(w.Missing) > 0:
		return broken("I3", "a migration may start without its Secrets")
	case known.Config == "":
		return broken("I3", "a migration may start before revision %s is stored", c.Revision)
	}
	for _, component := range world.Components {
		for _, p := range w.Workloads[world.Slot{Component: component, Color: c.Color}].Pods {
			if p.Ready && p.Revision != c.Revision {
				return broken("I2", "%s is to be filled while %s of %s serves there", c.Color, component, p.Revision)
			}
		}
	}
	for _, j := range w.Jobs {
		if j.Component == "migrate" && j.Phase == world.JobActive && j.Revision != c.Revision {
			return broken("I3", "a migration may start beside %s", j.Name)
		}
	}
	return nil
}

func (e *edge) scaling() error {
	job, exists := e.seen.Jobs[jobName("migrate", e.status)]
	if !exists && ownMigrations(&e.seen.Spec) {
		return nil
	}
	if job.Phase != world.JobComplete {
		return broken("I3", "pods are started although migration Job %s has not completed", job.Name)
	}
	return nil
}

func jobName(kind string, s *v1alpha1.EngLogInstanceStatus) string {
	return instanceName + "-" + kind + "-" + s.Rollout.ToRevision + "-" + number(s.Rollout.Attempt)
}

func (e *edge) verifying() error {
	return isUp(e.seen, e.status.Candidate.Color, e.status.Candidate.Revision)
}

// awaiting: every check has passed, those that the spec adds included, and no pod runs another image.
func (e *edge) awaiting() error {
	c := e.status.Candidate
	for _, component := range routedIn(&e.seen.Spec) {
		w := e.seen.Workloads[world.Slot{Component: component, Color: c.Color}]
		if w.Revision != c.Revision || w.Ready(c.Revision) < max(1, floorOf(e.seen, component)) || images(w, c.Revision) > 1 {
			return broken("I1", "%s waits for promotion although its %s pods are not all there", c.Revision, component)
		}
		if e.finding("ready-"+string(component)) != v1alpha1.CheckPassed {
			return broken("I1", "%s waits for promotion although its %s pods have not been asked", c.Revision, component)
		}
	}
	if e.seen.Jobs[jobName("workercheck", e.status)].Phase != world.JobComplete {
		return broken("I1", "%s waits for promotion although its workers have not proved themselves", c.Revision)
	}
	return e.passed(v1alpha1.CheckPrePromotion)
}

func (e *edge) finding(name string) v1alpha1.CheckResult {
	return e.seen.Findings[e.status.Rollout.ID+"/"+string(e.from)+"/"+name].Result
}

// passed checks those checks of the spec that belong to a stage.
func (e *edge) passed(stage v1alpha1.CheckStage) error {
	for _, check := range e.seen.Spec.Rollout.Checks {
		if check.Stage != stage {
			continue
		}
		ok := e.finding(check.Name) == v1alpha1.CheckPassed
		if check.Type == v1alpha1.CheckJob {
			ok = e.seen.Jobs[jobName("check-"+check.Name, e.status)].Phase == world.JobComplete
		}
		if !ok {
			return broken("I1", "%s goes on although check %s has not passed", e.status.Rollout.ToRevision, check.Name)
		}
	}
	return nil
}

// switching: the candidate is up to what the active color runs now, and a person has let it through where one has to.
func (e *edge) switching() error {
	if e.from == v1alpha1.StepAborting {
		return nil // an overtaken leader has moved the first users already
	}
	c := e.status.Candidate
	if p := e.seen.Spec.Rollout.Promotion; p != nil && p.Mode == v1alpha1.PromotionManual && p.ApprovedRevision != c.Revision {
		return broken("I1", "%s was promoted without approval", c.Revision)
	}
	if e.now.Rollout.Epoch <= e.status.Rollout.Epoch {
		return broken("I4", "%s is promoted without an epoch of its own", c.Revision)
	}
	for _, component := range routedIn(&e.seen.Spec) {
		a := e.status.Active
		if a == nil {
			continue
		}
		w := e.seen.Workloads[world.Slot{Component: component, Color: a.Color}]
		runs := w.Replicas
		if w.Autoscaler != nil {
			runs = max(runs, w.Autoscaler.Desired)
		}
		promised := *e.seen
		promised.Instance = &v1alpha1.EngLogInstance{Status: *e.now}
		if runs = clamp(&e.seen.Spec, component, runs); floorOf(&promised, component) < runs {
			return broken("I1", "%s is promoted with a floor of %d %s pods while %d run", c.Revision, floorOf(&promised, component), component, runs)
		}
	}
	return isUp(e.seen, c.Color, c.Revision)
}

// heardBack: after a rollback fresh connections have answered with the revision that users went back to.
func (e *edge) heardBack() error {
	for _, component := range routedIn(&e.seen.Spec) {
		if e.finding("live-"+string(component)) != v1alpha1.CheckPassed {
			return broken("I7", "%s is said to have its users back although its %s was not seen to answer", e.status.Active.Revision, component)
		}
	}
	return nil
}

// handover: fresh connections have answered with the new revision for long enough.
func (e *edge) handover() error {
	if e.from == v1alpha1.StepRollingBack && e.status.Rollout.VerifiedAt != nil {
		return nil // it was confirmed before it was to go back
	}
	for _, component := range routedIn(&e.seen.Spec) {
		if e.finding("live-"+string(component)) != v1alpha1.CheckPassed {
			return broken("I1", "%s is confirmed although its %s was not seen to answer", e.status.Active.Revision, component)
		}
	}
	confirm := time.Duration(*e.seen.Spec.Rollout.ConfirmSeconds) * time.Second
	if e.at.Before(e.status.Rollout.SwitchedAt.Add(confirm)) {
		return broken("I8", "%s is confirmed before %v are over", e.status.Active.Revision, confirm)
	}
	return e.passed(v1alpha1.CheckPostPromotion)
}

// retaining: the new workers are there, and the old ones are gone or out of time.
func (e *edge) retaining() error {
	a, p := e.status.Active, e.status.Previous
	w := e.seen.Workloads[world.Slot{Component: v1alpha1.Worker, Color: a.Color}]
	if need := max(1, floorOf(e.seen, v1alpha1.Worker)); w.Ready(a.Revision) < need {
		return broken("I9", "the queue was handed to %d of %d workers of %s", w.Ready(a.Revision), need, a.Revision)
	}
	left := e.seen.Workloads[world.Slot{Component: v1alpha1.Worker, Color: p.Color}].Alive(p.Revision)
	if left > 0 && e.at.Before(e.status.Rollout.Deadline.Time) {
		return broken("I9", "%d workers of %s still work", left, p.Revision)
	}
	return nil
}

// retiring: the retention is over, or the slot is needed, and nobody is led there.
func (e *edge) retiring() error {
	p := e.status.Previous
	if p == nil {
		return nil
	}
	wanted := e.seen.Target.Revision == e.status.Rollout.ToRevision || e.seen.Target.Revision == ""
	if e.from != v1alpha1.StepRetaining {
		return nil // a revision that cannot serve makes way
	}
	if wanted && e.seen.Spec.Activity != v1alpha1.ActivityHibernated && e.at.Before(p.RetainedUntil.Time) {
		return broken("I2", "%s is taken down before its retention has ended", p.Revision)
	}
	return e.deserted(p)
}

func (e *edge) deserted(r *v1alpha1.RevisionStatus) error {
	for _, component := range world.Routed {
		route := e.seen.Routes[component]
		if of, _ := route.Endpoints.Of(r.Revision); of > 0 || route.Exists && route.Color == r.Color && route.Revision == r.Revision {
			return broken("I2", "%s is to be taken down while %s leads there", r.Revision, component)
		}
		if e.seen.Weighted[component].Weights[r.Color] > 0 {
			return broken("I2", "%s is to be taken down while %s gives weight to %s", r.Revision, component, r.Color)
		}
	}
	return nil
}

func (e *edge) contracting() error { return e.emptied(e.status.Previous) }

func (e *edge) emptied(r *v1alpha1.RevisionStatus) error {
	if r == nil {
		return nil
	}
	for _, component := range world.Components {
		w := e.seen.Workloads[world.Slot{Component: component, Color: r.Color}]
		if w.Replicas > 0 || w.Ready(r.Revision) > 0 || w.Autoscaler != nil {
			return broken("I3", "%s ends although %s of %s is still there", e.from, component, r.Revision)
		}
	}
	return nil
}

func (e *edge) rollingBack() error {
	if e.now.Rollout.Epoch <= e.status.Rollout.Epoch {
		return broken("I4", "traffic goes back without an epoch of its own")
	}
	if p := e.status.Previous; p != nil && outdated(e.status, p.Revision) {
		return broken("I1", "users go back to %s, which the schema has left behind", p.Revision)
	}
	return nil
}

// stable: what did not make it is gone, and is remembered.
func (e *edge) stable() error {
	if e.from != v1alpha1.StepAborting || e.status.Candidate == nil {
		return nil
	}
	r := e.status.Rollout
	if r.Outcome == v1alpha1.OutcomeRolledBack && r.SwitchedAt != nil && e.now.Rollout.VerifiedAt == nil && e.at.Before(r.Deadline.Time) {
		return broken("I7", "the rollback to %s ended before it was seen that users are back", e.status.Active.Revision)
	}
	if err := e.deserted(e.status.Candidate); err != nil {
		return err
	}
	return e.emptied(e.status.Candidate)
}

// Rested checks what must hold when nothing moves any more: I5, nothing is written; I6, the machine is at an end, or waits for a person;
// I7, the status tells the truth; and users are served. At the end of a schedule, when all is well, the spec has to be fulfilled.
func (Watcher) Rested(c *Cluster, m *Mutant, well bool) error {
	if err := quiet(c, m); err != nil {
		return err
	}
	status := &c.Instance.Status
	step := stepOf(status)
	if doomed(c) {
		return nil
	}
	if well && step != v1alpha1.StepStable {
		return broken("I6", "came to rest in %s: %s", step, status.Rollout.Message)
	}
	if well && c.level(c.Target).Brings < c.Database.Oldest {
		return nil // what the spec asks for has been left behind by the last contract migration
	}
	if well && (status.Active == nil || status.Active.Revision != c.Target) {
		return broken("I6", "came to rest without the revision %s of the spec", c.Target)
	}
	if well && contractWaits(c) {
		return broken("I6", "came to rest although %v is approved", status.Schema.AwaitingApproval)
	}
	if watched(c) {
		return nil
	}
	if step != v1alpha1.StepStable && !waits(c, step) {
		return broken("I6", "came to rest in %s: %s", step, status.Rollout.Message)
	}
	if step != v1alpha1.StepStable || status.Active == nil {
		return nil
	}
	return tidy(c, status.Active)
}

// contractWaits is true when a contract migration waits although it is approved.
func contractWaits(c *Cluster) bool {
	s := c.Instance.Status.Schema
	return s != nil && len(s.AwaitingApproval) > 0 && s.AwaitingApproval[len(s.AwaitingApproval)-1] == approvedIn(c.spec())
}

// doomed is true when the schema has locked out the revision that users belong to, or are to go back to, and a person has led users about
// meanwhile: one color cannot serve, the other is in use, and somebody has to decide.
func doomed(c *Cluster) bool {
	status := &c.Instance.Status
	locked := func(r *v1alpha1.RevisionStatus) bool {
		return r != nil && c.level(r.Revision).Brings < c.Database.Oldest
	}
	if !locked(status.Active) && !(stepOf(status) == v1alpha1.StepRollingBack && locked(status.Previous)) {
		return false
	}
	for i := range c.live {
		if r := &c.live[i]; r.exists && (r.author != leader || r.color != c.live[1].color) {
			return true
		}
		if w := &c.weights[i]; w.exists && (w.author != leader || !w.shows(c.live[1].color)) {
			return true
		}
	}
	// Users are back already, and a person has contracted the schema beyond both.
	return locked(status.Active) && stepOf(status) == v1alpha1.StepRollingBack && locked(status.Previous)
}

// watched is true while the operator is not to do anything.
func watched(c *Cluster) bool {
	mode := c.spec().Reconciliation
	return mode == v1alpha1.ReconciliationPaused || mode == v1alpha1.ReconciliationDryRun || len(c.refusals) > 0
}

// waits says whether a step may go on for ever: somebody has to do something.
func waits(c *Cluster, step v1alpha1.Step) bool {
	spec := c.spec()
	switch step {
	case v1alpha1.StepPreparing:
		return len(c.missing) > 0 || len(c.conflicts) > 0 || len(c.stores) > 0 || ill(c)
	case v1alpha1.StepMigrating:
		m := c.Instance.Status.Rollout.Migration
		return m != nil && m.Result == v1alpha1.MigrationRefused && spec.Rollout.Migration.Destructive == v1alpha1.DestructiveWhenApproved
	case v1alpha1.StepAwaitingPromotion:
		p := spec.Rollout.Promotion
		return p != nil && p.Mode == v1alpha1.PromotionManual || ill(c)
	case v1alpha1.StepConfirming, v1alpha1.StepHandover:
		return spec.Rollout.OnFailure == v1alpha1.OnFailureHold || ill(c)
	case v1alpha1.StepSwitching, v1alpha1.StepRollingBack, v1alpha1.StepAborting, v1alpha1.StepRetaining:
		return ill(c)
	default:
		return false
	}
}

// ill is true while some revision with a role cannot run.
func ill(c *Cluster) bool {
	s := &c.Instance.Status
	for _, r := range []*v1alpha1.RevisionStatus{s.Active, s.Candidate, s.Previous} {
		if r == nil {
			continue
		}
		brings := c.level(r.Revision).Brings
		if c.Characters[r.Revision] != Good || brings < c.Database.Oldest || brings > c.Database.Current && ownMigrations(c.spec()) {
			return true
		}
	}
	return false
}

// quiet checks I5: while spec and world do not change, nothing is written, now or later.
func quiet(c *Cluster, m *Mutant) error {
	for _, pause := range []time.Duration{0, time.Second, time.Hour} {
		if pause > 0 && watched(c) {
			return nil // only what would be done changes with time, and nobody is woken to say so
		}
		c.Now = c.Now.Add(pause)
		w := c.Observe()
		p := m.next(w, c.Now)
		if !sameStatus(&w.Instance.Status, &p.Status) {
			return broken("I5", "the status changes at rest, in %s → %s", stepOf(&w.Instance.Status), stepOf(&p.Status))
		}
		for _, write := range p.Writes {
			if c.effective(write) {
				return broken("I5", "at rest there is still to %s", write)
			}
		}
	}
	return nil
}

// tidy checks that the active color is where users are, serves them, and that nothing of the other color is left.
func tidy(c *Cluster, a *v1alpha1.RevisionStatus) error {
	sleeping := c.spec().Activity == v1alpha1.ActivityHibernated
	for i, slot := range slots {
		d := &c.deployments[i]
		if slot.Color != a.Color && !sleeping && strayed(c, a) {
			continue
		}
		if (slot.Color != a.Color || sleeping) && (d.Replicas > 0 || d.Autoscaler != nil) {
			return broken("I6", "%s in %s is left with %d replicas", slot.Component, slot.Color, d.Replicas)
		}
	}
	for i, component := range world.Routed {
		r := &c.live[i]
		if !routes(c, component) {
			if r.exists && !sleeping {
				return broken("I6", "the disabled %s still has a route", component)
			}
			continue
		}
		if ready(&c.deployments[index(world.Slot{Component: component, Color: a.Color})], a.Revision) == 0 {
			continue
		}
		if !r.exists || r.color != a.Color || r.revision != a.Revision {
			return broken("I7", "the status says %s %s, the route of %s shows %s %s", a.Color, a.Revision, component, r.color, r.revision)
		}
		if w := &c.weights[i]; byWeights(c.spec()) && !w.shows(a.Color) {
			return broken("I7", "the status says %s %s, the weights of %s are %v", a.Color, a.Revision, component, w.to)
		}
	}
	if sleeping || ill(c) {
		return nil
	}
	return served(c, a)
}

// strayed is true where a person has led users to the other color, and the one that they belong to cannot take them back.
func strayed(c *Cluster, a *v1alpha1.RevisionStatus) bool {
	for i, component := range world.Routed {
		there := c.live[i].exists && c.live[i].color != a.Color || byWeights(c.spec()) && c.weights[i].to[world.Other(a.Color)] > 0
		if there && routes(c, component) && ready(&c.deployments[index(world.Slot{Component: component, Color: a.Color})], a.Revision) == 0 {
			return true
		}
	}
	return false
}

func served(c *Cluster, a *v1alpha1.RevisionStatus) error {
	components := append([]v1alpha1.ComponentName{v1alpha1.Worker}, routedIn(c.spec())...)
	for _, component := range components {
		least, most := sized(c.spec(), component)
		d := &c.deployments[index(world.Slot{Component: component, Color: a.Color})]
		if n := ready(d, a.Revision); n < least {
			return broken("I6", "%d of %d %s pods serve", n, least, component)
		}
		if (d.Autoscaler != nil) != (most > 0) {
			return broken("I6", "%s has an autoscaler or none, against the spec", component)
		}
	}
	return nil
}
