package model

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

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
}

// Add adds another tally.
func (t *Tally) Add(o Tally) {
	t.Schedules += o.Schedules
	t.States += o.States
	for p, n := range o.Pairs {
		t.Pairs[p] += n
	}
}

// Faults lists the faults that schedules inject.
var Faults = []Fault{Fails, DiesBefore, DiesAfter, RepeatedByPeer}

var characters = []Character{Good, Good, Good, NeverReady, MigrationFails, FailsBefore, FailsAfter, WorkersFail}

// schedule is one random run.
type schedule struct {
	c     *Cluster
	rand  *rand.Rand
	watch *Watcher
	tally Tally
	old   []*world.World
	next  int
	out   io.Writer
}

// Trace plays one schedule and writes down every moment of it.
func Trace(seed uint64, template v1alpha1.EngLogInstanceSpec, out io.Writer) error {
	s := newSchedule(seed, template)
	s.out = out
	return s.play()
}

func (s *schedule) say(format string, args ...any) {
	if s.out != nil {
		fmt.Fprintf(s.out, format+"\n", args...) //nolint:errcheck // a trace
	}
}

func newSchedule(seed uint64, template v1alpha1.EngLogInstanceSpec) *schedule {
	return &schedule{
		c: NewCluster(*template.DeepCopy()), rand: rand.New(rand.NewPCG(seed, 1)), watch: NewWatcher(), //nolint:gosec // replayable, not secret
		tally: Tally{Schedules: 1, Pairs: map[Pair]int{}},
	}
}

// Run plays one schedule: an installation, then spec changes, faults and disturbances at random, then rest. It returns what it covered and
// the first broken invariant.
func Run(seed uint64, template v1alpha1.EngLogInstanceSpec) (Tally, error) {
	s := newSchedule(seed, template)
	err := s.play()
	if err != nil {
		err = fmt.Errorf("seed %d: %w", seed, err)
	}
	return s.tally, err
}

func (s *schedule) play() error {
	s.request()
	if s.rand.IntN(4) > 0 {
		if err := s.rest(); err != nil {
			return err
		}
	}
	s.request()
	for range 30 + s.rand.IntN(40) {
		if err := s.tick(); err != nil {
			return err
		}
	}
	s.heal()
	if err := s.rest(); err != nil {
		return err
	}
	return s.watch.Rested(s.c, func(v1alpha1.Step) bool { return false })
}

// request makes the spec ask for a revision: mostly a new one, sometimes an earlier one again.
func (s *schedule) request() {
	if s.next > 0 && s.rand.IntN(4) == 0 {
		s.c.Target = name(s.rand.IntN(s.next))
		return
	}
	s.c.Target = name(s.next)
	s.c.Characters[s.c.Target] = characters[s.rand.IntN(len(characters))]
	if s.next == 0 {
		s.c.Characters[s.c.Target] = Good
	}
	s.next++
	s.say("the spec asks for %s (%s)", s.c.Target, s.c.Characters[s.c.Target])
}

func name(n int) string { return fmt.Sprintf("r%d", n) }

// tick is one moment: a round with or without a fault, and something that moves.
func (s *schedule) tick() error {
	s.tally.States++
	switch s.rand.IntN(12) {
	case 0:
		s.say("%s", s.c.Disturb(s.rand))
	case 1:
		if s.rand.IntN(3) == 0 {
			s.request()
		}
	case 2:
		if s.rand.IntN(8) == 0 {
			s.meddle()
		}
	case 3, 4, 5, 6:
		s.c.Settle()
	default:
	}
	return s.round()
}

// meddle changes what people change in place, or loses the status.
func (s *schedule) meddle() {
	if s.rand.IntN(5) == 0 {
		if s.c.Routes[v1alpha1.API] != nil {
			s.c.Instance.Status, s.watch.last = v1alpha1.EngLogInstanceStatus{}, nil
			s.c.Version = s.c.next()
			s.old = nil // an overtaken leader is of the same life
			s.say("the status is lost")
		}
		return
	}
	change := edits[s.rand.IntN(len(edits))]
	s.c.Edit(func(spec *v1alpha1.EngLogInstanceSpec) { change(spec, s.rand) })
}

// edits are changes of the spec that start no rollout.
var edits = []func(*v1alpha1.EngLogInstanceSpec, *rand.Rand){
	func(spec *v1alpha1.EngLogInstanceSpec, r *rand.Rand) {
		spec.API.Replicas, spec.API.Autoscaling = int32(1+r.IntN(4)), nil
	},
	func(spec *v1alpha1.EngLogInstanceSpec, r *rand.Rand) {
		spec.API.Replicas, spec.API.Autoscaling = 0, &v1alpha1.AutoscalingSpec{MinReplicas: int32(1 + r.IntN(2)), MaxReplicas: 5}
	},
	func(spec *v1alpha1.EngLogInstanceSpec, r *rand.Rand) { spec.Rollout.RetryToken = name(r.IntN(100)) },
	func(spec *v1alpha1.EngLogInstanceSpec, r *rand.Rand) {
		overlap := []v1alpha1.WorkerOverlap{v1alpha1.WorkerOverlapAllowed, v1alpha1.WorkerOverlapForbidden}
		spec.Rollout.Workers = &v1alpha1.WorkerHandoverSpec{Overlap: overlap[r.IntN(2)]}
	},
}

func (s *schedule) round() error {
	seen := s.c.Observe()
	fault, n := NoFault, -1
	if s.rand.IntN(3) == 0 {
		fault = Faults[s.rand.IntN(len(Faults))]
		n = s.rand.IntN(len(plan.Next(s.c.Observe(), s.c.Now).Writes) + 1)
	}
	s.tally.Pairs[Pair{stepOf(&seen.Instance.Status), fault}]++
	if fault == RepeatedByPeer {
		if err := s.overtaken(seen); err != nil {
			return err
		}
	}
	s.remember(seen)
	round, err := s.c.act(seen, n, fault, s.judge)
	s.say("%s, fault %s at %d: %v → %s", round.Step, fault, n, round.Changes, stepOf(&s.c.Instance.Status))
	return s.after(err)
}

// overtaken lets a leader that lost its lease act on what it saw some rounds ago.
func (s *schedule) overtaken(now *world.World) error {
	old := now
	if len(s.old) > 0 {
		old = s.old[s.rand.IntN(len(s.old))]
	}
	probes := s.c.Probes
	round, err := s.c.act(clone(old), -1, NoFault, s.judge)
	s.say("an overtaken leader in %s: %v", round.Step, round.Changes)
	s.c.Probes = probes
	return s.after(err)
}

func clone(w *world.World) *world.World {
	c := *w
	c.Findings = nil
	return &c
}

func (s *schedule) remember(w *world.World) {
	s.old = append(s.old, w)
	if len(s.old) > 6 {
		s.old = s.old[1:]
	}
}

func (s *schedule) after(err error) error {
	if err != nil && !errors.Is(err, errDied) {
		return err
	}
	return s.watch.Persisted(&s.c.Instance.Status)
}

func (s *schedule) judge(seen *world.World, w plan.Write, before Route) error {
	return s.watch.Written(s.c, seen, w, before)
}

// heal makes every revision good and every pod able to get ready.
func (s *schedule) heal() {
	for r := range s.c.Characters {
		s.c.Characters[r] = Good
	}
}

func (s *schedule) rest() error {
	s.say("resting")
	return s.after(s.c.Rest(s.judge))
}
