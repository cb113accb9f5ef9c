package model

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

var characters = []Character{
	Good, Good, Good, Good, Good, Good, Good, Good,
	NeverReady, MigrationFails, FailsBefore, FailsAfter, FailsAfter, WorkersFail, WorkerCheckBad, TwoImages, TagMoves, TagMoves, ContractsEarly,
	TakesAway, NoImage,
}

func revisionName(n int) string { return "r" + strconv.Itoa(n) }

// request makes the spec ask for a revision: mostly a new one, sometimes an earlier one again.
func (s *schedule) request() {
	if s.next > 0 && s.rand.IntN(4) == 0 {
		s.ask(s.earlier())
		return
	}
	character := Good
	if s.next > 0 {
		character = characters[s.rand.IntN(len(characters))]
	}
	s.create(character)
}

// earlier is a revision of the past; the one before this is what people go back to.
func (s *schedule) earlier() string {
	if p := s.c.Instance.Status.Previous; p != nil && s.rand.IntN(2) == 0 {
		return p.Revision
	}
	if a := s.c.Instance.Status.Active; a != nil && s.rand.IntN(2) == 0 {
		return a.Revision
	}
	return revisionName(s.rand.IntN(s.next))
}

func (s *schedule) ask(revision string) {
	s.c.Target = revision
	s.tally.Doings["the spec asks for a revision"]++
	if s.out != nil {
		s.say("the spec asks for %s (%s), level %v of %v", revision, s.c.Characters[revision], s.c.Levels[revision], s.c.Database)
	}
}

// create invents a revision and asks for it.
func (s *schedule) create(character Character) {
	name, level := revisionName(s.next), Level{Brings: 1, Drops: 1}
	if s.next > 0 {
		level.Brings = s.c.Levels[revisionName(s.next-1)].Brings + int32(s.rand.IntN(2))
		switch s.rand.IntN(4) {
		case 0:
			level.Drops = level.Brings
		case 1:
			level.Drops = max(level.Brings-1, 1)
		}
	}
	s.next++
	s.c.Characters[name], s.c.Levels[name] = character, level
	if s.rand.IntN(2) == 0 { // what a release takes away is mostly known before
		s.approve(drops(level))
	}
	s.ask(name)
}

// approve lets a destructive migration run.
func (s *schedule) approve(migration string) {
	s.edit(func(spec *v1alpha1.EngLogInstanceSpec) {
		spec.Rollout.Migration = &v1alpha1.MigrationSpec{Destructive: v1alpha1.DestructiveWhenApproved, ApprovedMigration: migration}
	})
}

// heal makes every revision good and every pod able to get ready, lets people do what is waited for, and asks for something that can run on
// the schema.
func (s *schedule) heal() {
	s.say("everything gets well")
	for r := range s.c.Characters {
		s.c.Characters[r] = Good
	}
	s.c.missing, s.c.conflicts, s.c.quota, s.c.stores, s.c.refusals = nil, nil, nil, nil, nil
	for i := range s.c.deployments {
		d := s.c.touch(i)
		d.Pods = slices.DeleteFunc(slices.Clone(d.Pods), func(p world.Pod) bool { return p.Waiting == lostNode || p.ImageID != p.Revision })
	}
	s.approve(takes(s.c.Target))
	if a := s.c.Instance.Status.Active; a != nil { // who migrates by hand does it at last
		s.c.Database.Current = max(s.c.Database.Current, s.c.level(a.Revision).Brings)
	}
	s.edit(func(spec *v1alpha1.EngLogInstanceSpec) {
		spec.Reconciliation, spec.Activity = "", ""
		spec.Rollout.OnFailure, spec.Rollout.Promotion = "", nil
	})
	if s.c.Levels[s.c.Target].Brings < s.c.Database.Oldest {
		s.create(Good)
		level := s.c.Levels[s.c.Target]
		level.Brings = max(level.Brings, s.c.Database.Oldest)
		s.c.Levels[s.c.Target] = level
	}
}

func (s *schedule) edit(change func(*v1alpha1.EngLogInstanceSpec)) { s.c.Edit(change) }

// meddle changes what people change in place, or loses the status.
func (s *schedule) meddle() {
	if s.rand.IntN(3) > 0 {
		return
	}
	if s.rand.IntN(16) == 0 {
		s.lose()
		return
	}
	change := edits[s.rand.IntN(len(edits))]
	s.edit(func(spec *v1alpha1.EngLogInstanceSpec) { change.change(spec, s) })
	s.did(change.name)
}

// lose takes the status away; what a first installation has done is not found again without a route.
func (s *schedule) lose() {
	if !s.c.live[routeIndex(v1alpha1.API)].exists {
		return
	}
	s.c.setStatus(v1alpha1.EngLogInstanceStatus{})
	s.c.disown()
	s.did("the status is lost")
}

// begin makes instances differ from the start.
func (s *schedule) begin() {
	for _, change := range edits[:initial] {
		if s.rand.IntN(5) == 0 {
			s.edit(func(spec *v1alpha1.EngLogInstanceSpec) { change.change(spec, s) })
			s.say("%s", change.name)
		}
	}
}

// initial is how many of the edits may also be in a first spec.
const initial = 7

func (s *schedule) did(what string) {
	s.tally.Doings[what]++
	s.say("%s", what)
}

type edit struct {
	name   string
	change func(*v1alpha1.EngLogInstanceSpec, *schedule)
}

// edits are changes of the spec that start no rollout, but for the frontend's mode, which is a part of the revision too.
var edits = []edit{
	{"API size fixed", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.API.Replicas, spec.API.Autoscaling = int32(1+s.rand.IntN(4)), nil
	}},
	{"API autoscaled", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.API.Replicas, spec.API.Autoscaling = 0, bounds(s.rand)
	}},
	{"workers autoscaled or not", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.Worker = &v1alpha1.WorkerSpec{DrainTimeoutSeconds: 30}
		if s.rand.IntN(2) == 0 {
			spec.Worker.Autoscaling = &v1alpha1.WorkerAutoscalingSpec{AutoscalingSpec: *bounds(s.rand)}
		} else {
			spec.Worker.Replicas = int32(1 + s.rand.IntN(3))
		}
	}},
	{"worker overlap", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		overlap := []v1alpha1.WorkerOverlap{v1alpha1.WorkerOverlapAllowed, v1alpha1.WorkerOverlapForbidden, v1alpha1.WorkerOverlapForbidden}
		spec.Rollout.Workers = &v1alpha1.WorkerHandoverSpec{Overlap: overlap[s.rand.IntN(3)]}
	}},
	{"automatic promotion", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.Rollout.Promotion = &v1alpha1.PromotionSpec{DelaySeconds: new(int32(s.rand.IntN(20)))}
	}},
	{"hold on failure or not", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.Rollout.OnFailure = []v1alpha1.OnFailure{v1alpha1.OnFailureHold, v1alpha1.OnFailureRollBack}[s.rand.IntN(2)]
	}},
	{"users come by weights or not", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		if spec.Exposure = nil; s.rand.IntN(3) > 0 {
			spec.Exposure = &v1alpha1.ExposureSpec{Type: v1alpha1.ExposureGateway, Hosts: []v1alpha1.Hostname{"api.example.org"}}
		}
	}},
	{"checks", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.Rollout.Checks = nil
		for _, c := range checks {
			if s.rand.IntN(2) == 0 {
				spec.Rollout.Checks = append(spec.Rollout.Checks, c)
			}
		}
	}},
	{"frontend enabled or disabled", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.Frontend = &v1alpha1.FrontendSpec{Mode: v1alpha1.ModeDisabled}
		if s.rand.IntN(2) == 0 {
			spec.Frontend.Mode = v1alpha1.ModeEnabled
			spec.Frontend.Autoscaling = bounds(s.rand)
		}
		s.request()
	}},
	{"retry token", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.Rollout.RetryToken = revisionName(s.rand.IntN(100))
	}},
	{"manual promotion", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.Rollout.Promotion = &v1alpha1.PromotionSpec{Mode: v1alpha1.PromotionManual}
		if c := s.c.Instance.Status.Candidate; c != nil && s.rand.IntN(2) == 0 {
			spec.Rollout.Promotion.ApprovedRevision = c.Revision
		}
	}},
	{"approval", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		if p := spec.Rollout.Promotion; p != nil && s.c.Instance.Status.Candidate != nil {
			p.ApprovedRevision = s.c.Instance.Status.Candidate.Revision
		}
	}},
	{"paused, dry run or enabled", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		modes := []v1alpha1.Reconciliation{v1alpha1.ReconciliationPaused, v1alpha1.ReconciliationDryRun, v1alpha1.ReconciliationEnabled}
		spec.Reconciliation = modes[s.rand.IntN(3)]
	}},
	{"enabled again", func(spec *v1alpha1.EngLogInstanceSpec, _ *schedule) { spec.Reconciliation = "" }},
	{"hibernated", func(spec *v1alpha1.EngLogInstanceSpec, _ *schedule) { spec.Activity = v1alpha1.ActivityHibernated }},
	{"woken", func(spec *v1alpha1.EngLogInstanceSpec, _ *schedule) { spec.Activity = "" }},
	{"migrations approved", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		status, name := &s.c.Instance.Status, takes(s.c.Target)
		if status.Schema != nil && len(status.Schema.AwaitingApproval) > 0 {
			name = status.Schema.AwaitingApproval[0]
		}
		spec.Rollout.Migration = &v1alpha1.MigrationSpec{Destructive: v1alpha1.DestructiveWhenApproved, ApprovedMigration: name}
		if s.rand.IntN(4) == 0 {
			spec.Rollout.Migration.ApprovedMigration = ""
		}
	}},
	{"destructive migrations refused", func(spec *v1alpha1.EngLogInstanceSpec, _ *schedule) { spec.Rollout.Migration = nil }},
	{"own migrations", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.Rollout.Migration = &v1alpha1.MigrationSpec{Policy: v1alpha1.MigrationDisabled}
		if s.rand.IntN(2) == 0 {
			s.c.Database.Current = max(s.c.Database.Current, s.c.level(s.c.Target).Brings)
		}
	}},
	{"timers", func(spec *v1alpha1.EngLogInstanceSpec, s *schedule) {
		spec.Rollout.RetentionSeconds, spec.Rollout.ProgressDeadlineSeconds = int32(15+s.rand.IntN(60)), int32(10+s.rand.IntN(60))
		spec.Rollout.ConfirmSeconds = new(int32(s.rand.IntN(20)))
	}},
}

func bounds(r *rand.Rand) *v1alpha1.AutoscalingSpec {
	return &v1alpha1.AutoscalingSpec{MinReplicas: int32(1 + r.IntN(2)), MaxReplicas: int32(3 + r.IntN(3))}
}

// checks are a user's, one of each kind and stage.
var checks = []v1alpha1.CheckSpec{
	{Name: "smoke", Stage: v1alpha1.CheckPrePromotion, Type: v1alpha1.CheckHTTP, HTTP: &v1alpha1.HTTPCheck{Path: "/health"}},
	{Name: "suite", Stage: v1alpha1.CheckPrePromotion, Type: v1alpha1.CheckJob, Job: &v1alpha1.JobCheck{Args: []string{"version"}}},
	{Name: "after", Stage: v1alpha1.CheckPostPromotion, Type: v1alpha1.CheckJob, Job: &v1alpha1.JobCheck{Args: []string{"version"}}},
	{Name: "live", Stage: v1alpha1.CheckPostPromotion, Type: v1alpha1.CheckHTTP, HTTP: &v1alpha1.HTTPCheck{Path: "/health", Target: v1alpha1.CheckTargetLive}},
	{Name: "errors", Stage: v1alpha1.CheckPostPromotion, Type: v1alpha1.CheckPrometheus, Prometheus: &v1alpha1.PrometheusCheck{
		Query: "errors", Comparison: v1alpha1.ComparisonLessThan, Threshold: "1",
	}},
}

// disturb makes one thing happen that nobody planned: a pod dies, comes back or stays away, the load changes, a person meddles with what is
// the operator's.
func (s *schedule) disturb() {
	switch s.rand.IntN(20) {
	case 0, 1, 2, 3:
		s.disturbPod()
	case 4, 5, 6:
		s.changeLoad()
	case 7:
		s.scaleByHand()
	case 8:
		s.moveRoute()
	case 9:
		s.deleteJob()
	case 10, 11:
		s.trouble()
	case 12:
		s.deleteByHand()
	case 13, 14:
		s.undoTemplate()
	case 15:
		if s.rand.IntN(4) == 0 {
			s.contractByHand()
		}
	default:
		s.c.Now = s.c.Now.Add(time.Duration(s.rand.IntN(120)) * time.Second)
		s.did("time passes")
	}
}

// spoil makes something happen that matters to the step.
func (s *schedule) spoil() {
	switch stepOf(&s.c.Instance.Status) {
	case v1alpha1.StepRollingBack:
		if s.rand.IntN(2) == 0 {
			s.contractByHand()
			return
		}
		s.undoTemplate()
	case v1alpha1.StepScaling, v1alpha1.StepVerifying, v1alpha1.StepConfirming:
		s.undoTemplate()
	case v1alpha1.StepAwaitingPromotion, v1alpha1.StepSwitching:
		if s.rand.IntN(3) == 0 {
			s.request()
			return
		}
		s.disturbPod()
	case v1alpha1.StepMigrating, v1alpha1.StepContracting:
		if s.rand.IntN(4) == 0 {
			s.lose()
		}
	default:
		s.disturb()
	}
}

func (s *schedule) disturbPod() {
	i := s.rand.IntN(len(slots))
	d := s.c.touch(i)
	if len(d.Pods) == 0 {
		return
	}
	pods := slices.Clone(d.Pods)
	at := s.rand.IntN(len(pods))
	switch p := &pods[at]; s.rand.IntN(6) {
	case 0:
		p.Ready, p.Terminating, p.Waiting = false, true, lostNode
		s.did("a pod's node is lost")
	case 1:
		p.Terminating = true
		s.did("a pod is evicted")
	case 2:
		pods = slices.Delete(pods, at, at+1)
		s.did("a pod is gone")
	default:
		p.Ready = false
		s.did("a pod is unready")
	}
	s.c.setPods(i, pods)
}

func (s *schedule) changeLoad() {
	for _, component := range world.Components {
		load := int32(s.rand.IntN(7))
		for _, color := range world.Colors {
			s.c.deployments[index(world.Slot{Component: component, Color: color})].load = load
		}
	}
	s.did("the load changes")
	s.c.autoscale(s.rand.IntN(len(slots)))
}

func (s *schedule) scaleByHand() {
	i := s.rand.IntN(len(slots))
	if d := s.c.touch(i); d.Exists && d.Replicas > 0 {
		d.Replicas = max(1, d.Replicas-1+int32(s.rand.IntN(3)))
		s.c.changed(d)
		s.did("a person scales a Deployment")
	}
}

func (s *schedule) moveRoute() {
	i := s.rand.IntN(len(s.c.live))
	if s.c.weights[i].exists && s.rand.IntN(2) == 0 {
		s.moveWeights(&s.c.weights[i])
		return
	}
	live := &s.c.live[i]
	if !live.exists {
		return
	}
	to := world.Slot{Component: world.Routed[i], Color: world.Other(live.color)}
	if d := &s.c.deployments[index(to)]; d.Exists {
		live.color, live.revision, live.author, live.version = to.Color, d.Revision, person, s.c.next()
		s.c.routes = nil
		s.did("a person moves a route")
		if a := s.c.Instance.Status.Active; a != nil && s.rand.IntN(4) == 0 {
			s.later = func() { s.undo(index(world.Slot{Component: to.Component, Color: a.Color})) }
		}
	}
}

// moveWeights is a person who spreads users over both colors, leads them all to the other one, or to neither, or deletes the route.
func (s *schedule) moveWeights(w *weights) {
	blue, green := int32(s.rand.IntN(2)), int32(s.rand.IntN(2))
	w.to = map[v1alpha1.Color]int32{v1alpha1.Blue: blue * 50, v1alpha1.Green: green * 50}
	w.author, w.version = person, s.c.next()
	if s.rand.IntN(6) == 0 {
		*w = weights{}
	}
	s.did("a person moves weights")
}

func (s *schedule) deleteJob() {
	for _, name := range slices.Sorted(maps.Keys(s.c.jobs)) {
		if s.rand.IntN(4) == 0 {
			s.c.jobs = maps.Clone(s.c.jobs)
			delete(s.c.jobs, name)
			s.did("a person deletes a Job")
			return
		}
	}
}

// deleteByHand removes an autoscaler, a color's Service, a Deployment or a record, which have to come back.
func (s *schedule) deleteByHand() {
	i := s.rand.IntN(len(slots))
	switch s.rand.IntN(4) {
	case 0:
		s.c.touch(i).Autoscaler = nil
		s.did("a person deletes an autoscaler")
	case 1:
		s.c.colors[i%routedSlots], s.c.previews = service{}, nil
		s.did("a person deletes a color's Service")
	case 2:
		s.c.deleteDeployment(i)
		s.did("a person deletes a Deployment")
	default:
		s.c.known = maps.Clone(s.c.known)
		maps.DeleteFunc(s.c.known, func(string, world.Known) bool { return true })
		s.did("a person deletes the records of revisions")
	}
}

// undoTemplate gives a Deployment the template of another revision, as kubectl rollout undo does.
func (s *schedule) undoTemplate() { s.undo(s.rand.IntN(len(slots))) }

func (s *schedule) undo(i int) {
	if d := s.c.touch(i); d.Exists {
		d.Revision = revisionName(s.rand.IntN(s.next))
		s.c.changed(d)
		s.did("a person undoes a Deployment")
	}
}

// contractByHand is a person who runs the contract migration alone, and says so in the status.
func (s *schedule) contractByHand() {
	status := s.c.Instance.Status.DeepCopy()
	if status.Schema == nil || status.Active == nil { // nobody does so in the middle of a first installation
		return
	}
	s.c.Database.Oldest = s.c.Database.Current
	status.Schema.OldestCompatible = s.c.Database.Oldest
	s.c.setStatus(*status)
	s.did("a person contracts the schema")
}

// trouble begins or ends something that the operator can only wait for.
func (s *schedule) trouble() {
	problem := []world.Problem{{Reason: "Trouble", Message: "something is wrong"}}
	if s.rand.IntN(2) == 0 {
		s.c.missing, s.c.conflicts, s.c.quota, s.c.stores, s.c.refusals = nil, nil, nil, nil, nil
		s.did("trouble ends")
		return
	}
	switch s.rand.IntN(5) {
	case 0:
		s.c.missing = problem
	case 1:
		s.c.conflicts = problem
	case 2:
		s.c.quota = &problem[0]
	case 3:
		s.c.stores = map[v1alpha1.ComponentName]world.Store{"database": {Exists: true, Problem: "its pod is not ready"}}
	default:
		s.c.refusals = problem
	}
	s.did("trouble begins")
}
