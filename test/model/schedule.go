package model

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Steps lists all steps in their order.
var Steps = []v1alpha1.Step{
	v1alpha1.StepStable, v1alpha1.StepPreparing, v1alpha1.StepMigrating, v1alpha1.StepScaling, v1alpha1.StepVerifying,
	v1alpha1.StepAwaitingPromotion, v1alpha1.StepSwitching, v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRetaining,
	v1alpha1.StepRetiring, v1alpha1.StepContracting, v1alpha1.StepAborting, v1alpha1.StepRollingBack,
}

// Faults lists the faults that schedules inject.
var Faults = []Fault{Fails, AnswerLost, DiesBefore, DiesAfter, RepeatedByPeer}

// Pair is a step and a fault that hit a write in it.
type Pair struct {
	Step  v1alpha1.Step
	Fault Fault
}

// Tally counts what schedules have covered.
type Tally struct {
	Schedules int
	States    int
	Pairs     map[Pair]int
	// Doings counts what people did and what became of revisions, to see that nothing is played without ever happening.
	Doings map[string]int
}

// NewTally returns an empty tally.
func NewTally() *Tally { return &Tally{Pairs: map[Pair]int{}, Doings: map[string]int{}} }

// Add adds another tally.
func (t *Tally) Add(o *Tally) {
	t.Schedules += o.Schedules
	t.States += o.States
	for p, n := range o.Pairs {
		t.Pairs[p] += n
	}
	for what, n := range o.Doings {
		t.Doings[what] += n
	}
}

// MinPair is the number of hits of the pair that was hit least.
func (t *Tally) MinPair() int {
	least := -1
	for _, step := range Steps {
		for _, fault := range Faults {
			if n := t.Pairs[Pair{step, fault}]; least < 0 || n < least {
				least = n
			}
		}
	}
	return least
}

// schedule is one random run.
type schedule struct {
	c      *Cluster
	rand   *rand.Rand
	watch  Watcher
	mutant *Mutant
	tally  *Tally
	old    []memory
	next   int
	wake   time.Time // when the last round asked to be woken
	past   *world.World
	seen   int    // the serial of the cluster when past was seen
	later  func() // what a person does in the next moment
	out    io.Writer
}

// Template is the spec that schedules begin with.
func Template() v1alpha1.EngLogInstanceSpec {
	confirm := int32(10)
	return v1alpha1.EngLogInstanceSpec{
		Version: "1.0.0", Environment: v1alpha1.EnvironmentStaging,
		Database: v1alpha1.DatabaseSpec{Type: v1alpha1.StoreExternal}, Cache: v1alpha1.CacheSpec{Type: v1alpha1.StoreExternal},
		API:     &v1alpha1.APISpec{ComponentSpec: v1alpha1.ComponentSpec{Replicas: 2}},
		Rollout: &v1alpha1.RolloutSpec{ConfirmSeconds: &confirm, RetentionSeconds: 60, ProgressDeadlineSeconds: 60},
	}
}

// Run plays one schedule: an installation, then spec changes, faults and disturbances at random, then rest. It adds what it covered to the
// tally and returns the first broken invariant. A mutant and a trace may be nil.
func Run(seed uint64, m *Mutant, tally *Tally, trace io.Writer) error {
	s := &schedule{
		c: NewCluster(Template()), rand: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // replayable, not secret
		mutant: m, tally: tally, out: trace,
	}
	if m != nil {
		s.c.lax = m.Lax
	}
	tally.Schedules++
	if err := s.play(); err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	return nil
}

func (s *schedule) say(format string, args ...any) {
	if s.out != nil {
		fmt.Fprintf(s.out, "%s  ", s.c.Now.Format("15:04:05.000")) //nolint:errcheck // a trace
		fmt.Fprintf(s.out, format+"\n", args...)                   //nolint:errcheck // a trace
	}
}

func (s *schedule) play() error {
	s.begin()
	s.request()
	if s.rand.IntN(4) > 0 {
		if err := s.rest(); err != nil {
			return err
		}
	}
	for range 1 + s.rand.IntN(3) {
		s.request()
		for range 15 + s.rand.IntN(40) {
			if err := s.tick(); err != nil {
				return err
			}
		}
		if s.rand.IntN(4) == 0 { // some stories go to where a person has to act
			if err := s.pauseForBreath(); err != nil {
				return err
			}
		}
	}
	return s.recover()
}

// pauseForBreath rests in the middle: whatever is broken stays broken.
func (s *schedule) pauseForBreath() error {
	if err := s.rest(); err != nil {
		return err
	}
	return s.watch.Rested(s.c, s.mutant, false)
}

// recover makes everything well, and wants the instance to be where the spec says.
func (s *schedule) recover() error {
	s.heal()
	if err := s.rest(); err != nil {
		return err
	}
	if schema := s.c.Instance.Status.Schema; schema != nil && len(schema.AwaitingApproval) > 0 {
		s.approve(schema.AwaitingApproval[0])
	}
	s.edit(func(spec *v1alpha1.EngLogInstanceSpec) { spec.Rollout.RetryToken = "the-last" })
	if err := s.rest(); err != nil {
		return err
	}
	return s.watch.Rested(s.c, s.mutant, true)
}

// tick is one moment: something moves, and mostly a round is made, with or without a fault.
func (s *schedule) tick() error {
	s.tally.States++
	s.c.Now = s.c.Now.Add(time.Duration(s.rand.IntN(1500)) * time.Millisecond)
	if s.later != nil {
		s.later()
		s.later = nil
	}
	if s.rand.IntN(14) == 0 {
		s.disturb()
	}
	switch s.rand.IntN(18) {
	case 0:
		s.spoil()
	case 1:
		if s.rand.IntN(4) == 0 {
			s.request()
		}
	case 2:
		s.meddle()
	case 3, 4, 5:
		s.c.Settle()
	case 6:
		s.c.Now = s.c.Now.Add(time.Duration(s.rand.IntN(30)) * time.Second)
	case 7, 8, 9:
		s.skip()
	default:
		for range 1 + s.rand.IntN(6) {
			s.c.Move(s.rand)
		}
	}
	return s.round()
}

// skip goes on to where the last round asked to be woken, in steps that wait for time; else it lets things settle.
func (s *schedule) skip() {
	s.c.Settle()
	switch stepOf(&s.c.Instance.Status) {
	case v1alpha1.StepAwaitingPromotion, v1alpha1.StepSwitching, v1alpha1.StepConfirming, v1alpha1.StepRetaining:
		if s.wake.After(s.c.Now) {
			s.c.Now = s.wake
		}
	default:
	}
}

func (s *schedule) round() error {
	h := Hand{Judge: s.judge, Told: s.told, Mutant: s.mutant}
	if s.rand.IntN(3) == 0 {
		h.Fault, h.At = Faults[s.rand.IntN(len(Faults))], s.rand.IntN(3)
		if s.rand.IntN(8) == 0 {
			h.At = s.rand.IntN(24)
		}
	}
	if h.Fault == RepeatedByPeer {
		return s.overtaken()
	}
	w := s.look(&h)
	decision := memory{w, s.mutant.next(w, s.c.Now), s.c.Now}
	if s.rand.IntN(4) == 0 {
		s.remember(decision)
	}
	s.wake = decision.plan.Wake
	round, err := s.c.act(decision, &h)
	if round.Hit {
		s.tally.Pairs[Pair{round.Step, h.Fault}]++
	}
	if s.out != nil {
		s.say("%s%s", round.String(), faultText(&round, &h))
	}
	return s.after(err)
}

// look is what the leader's caches show. Each kind may lag behind, but never behind its own writes.
func (s *schedule) look(h *Hand) *world.World {
	w, past := s.c.Observe(), s.past
	fresh := s.c.serial
	if past != nil && s.seen >= s.c.written && s.rand.IntN(6) == 0 {
		stale := *w
		if s.rand.IntN(2) == 0 {
			stale.Workloads = past.Workloads
		}
		if s.rand.IntN(2) == 0 {
			stale.Previews, stale.Routes = past.Previews, past.Routes
		}
		h.Stale = true
		return &stale
	}
	s.past, s.seen = w, fresh
	return w
}

func faultText(r *Round, h *Hand) string {
	if !r.Hit {
		return ""
	}
	return fmt.Sprintf(" [write %d: %s]", h.At, h.Fault)
}

// overtaken lets a leader that lost its lease carry out what it decided before: it was stopped in mid-round, or it decides anew on a stale
// cache.
func (s *schedule) overtaken() error {
	if len(s.old) == 0 {
		return nil
	}
	step := stepOf(&s.c.Instance.Status)
	m := s.old[s.rand.IntN(len(s.old))]
	if s.rand.IntN(2) == 0 {
		w := *m.world
		w.Findings = nil
		m.plan, m.at = s.mutant.next(&w, s.c.Now), s.c.Now
	}
	round, err := s.c.act(m, &Hand{Author: overtaken, Judge: s.judge, Told: s.told, Mutant: s.mutant})
	if round.made > 0 {
		s.tally.Pairs[Pair{step, RepeatedByPeer}]++
	}
	if s.out != nil {
		s.say("an overtaken leader of %s, %s", m.world.Instance.ResourceVersion, round.String())
	}
	return s.after(err)
}

// remember keeps a decision for a leader that will have been overtaken: recent ones, and some from long ago. Of the writes it keeps those
// that reach the API server; the others its skip cache leaves out.
func (s *schedule) remember(m memory) {
	writes := m.plan.Writes
	m.plan.Writes = nil
	for _, write := range writes {
		if s.c.effective(write) {
			m.plan.Writes = append(m.plan.Writes, write)
		}
	}
	if len(s.old) < 8 {
		s.old = append(s.old, m)
		return
	}
	if n := s.rand.IntN(len(s.old)); n > 2 || s.rand.IntN(6) == 0 { // some are kept for long
		s.old[n] = m
	}
	if slices.ContainsFunc(m.plan.Writes, func(w plan.Write) bool { e, ok := w.(plan.Ensure); return ok && e.Moves }) {
		s.old[1] = m
	}
	if slices.ContainsFunc(m.plan.Writes, func(w plan.Write) bool { _, deletes := w.(plan.Delete); return deletes }) {
		s.old[0] = m
	}
}

func (s *schedule) after(err error) error {
	if err != nil && !passing(err) {
		return err
	}
	return nil
}

func (s *schedule) judge(seen *world.World, w plan.Write, before Before) error {
	return s.watch.Written(s.c, seen, w, before)
}

func (s *schedule) told(round *Round, before *v1alpha1.EngLogInstanceStatus) error {
	return s.watch.Persisted(s.c, round, before)
}

func (s *schedule) rest() error {
	s.say("resting")
	_, err := s.c.Rest(&Hand{Judge: s.judge, Told: s.told, Mutant: s.mutant}, func(r *Round) {
		s.tally.States++
		if s.out != nil {
			s.say("%s", r.String())
		}
	})
	return s.after(err)
}
