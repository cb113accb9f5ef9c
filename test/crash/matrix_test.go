package crash

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// A kill is one death of the operator, at a write that has a name.
type kill struct {
	step   v1alpha1.Step // whose write it is
	moment string        // before or after
	write  string        // its first words; $from and $to are the colors of the cutover, * is any word
}

// String names the kill.
func (k kill) String() string { return k.moment + " " + k.write }

// armed is the kill as a line of the fail-points' script.
func (k kill) armed(from, to string) string {
	return strings.NewReplacer("$from", strings.ToLower(from), "$to", strings.ToLower(to)).Replace(k.String())
}

// A path is a way through the state machine, with the writes on it that the operator is killed at, in their order. Where a step makes no
// write of a child, it is the status write that enters it.
type path struct {
	name string
	// revert is the step in which the spec is turned back; none on the straight path.
	revert  v1alpha1.Step
	outcome v1alpha1.Outcome
	writes  []kill
}

var paths = []path{
	{
		name: "straight", outcome: v1alpha1.OutcomePromoted,
		writes: []kill{
			{step: v1alpha1.StepStable, write: "status Preparing"},
			{step: v1alpha1.StepPreparing, write: "apply ControllerRevision"},
			{step: v1alpha1.StepMigrating, write: "apply Job * expand"},
			{step: v1alpha1.StepScaling, write: "apply Deployment api $to"},
			{step: v1alpha1.StepVerifying, write: "status Verifying"},
			{step: v1alpha1.StepAwaitingPromotion, write: "status AwaitingPromotion"},
			{step: v1alpha1.StepSwitching, write: "switch frontend to $to"},
			{step: v1alpha1.StepSwitching, write: "switch api to $to"},
			{step: v1alpha1.StepConfirming, write: "status Confirming"},
			{step: v1alpha1.StepHandover, write: "scale worker $to"},
			{step: v1alpha1.StepRetaining, write: "status Retaining"},
			{step: v1alpha1.StepRetiring, write: "scale api $from to 0"},
			{step: v1alpha1.StepContracting, write: "apply Job * contract"},
		},
	},
	{
		name: "rolled back", revert: v1alpha1.StepRetaining, outcome: v1alpha1.OutcomeRolledBack,
		writes: []kill{
			{step: v1alpha1.StepRollingBack, write: "switch api to $from"},
			{step: v1alpha1.StepRollingBack, write: "switch frontend to $from"},
			{step: v1alpha1.StepAborting, write: "scale api $to to 0"},
		},
	},
	{
		name: "aborted", revert: v1alpha1.StepScaling, outcome: v1alpha1.OutcomeSuperseded,
		writes: []kill{{step: v1alpha1.StepAborting, write: "status Aborting"}},
	},
}

// perCutover bounds the kills in one cutover: each takes the time that a lease takes to run out.
const perCutover = 7

// A story is one change of the spec with the deaths of the operator in it.
type story struct {
	path

	kills []kill
}

func (s story) name() string {
	names := make([]string, len(s.kills))
	for i, k := range s.kills {
		names[i] = string(k.step) + " " + k.String()
	}
	return s.path.name + ": " + strings.Join(names, ", ")
}

// twice is the kills of a path: before and after each write. A process that dies before a write is followed by one that makes it, and dies.
func (p path) twice() []kill {
	var all []kill
	for _, w := range p.writes {
		for _, moment := range []string{"before", "after"} {
			w.moment = moment
			all = append(all, w)
		}
	}
	return all
}

// matrix is every kill, or n of them drawn by seed, in as few cutovers as their order allows.
func matrix(seed uint64, n int) []story {
	var all []story
	for _, p := range paths {
		for _, k := range p.twice() {
			all = append(all, story{p, []kill{k}})
		}
	}
	if n > 0 && n < len(all) {
		rng := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // replayable, not secret
		chosen := rng.Perm(len(all))[:n]
		slices.Sort(chosen)
		some := make([]story, 0, n)
		for _, i := range chosen {
			some = append(some, all[i])
		}
		all = some
	}
	return joined(all)
}

func joined(single []story) []story {
	var out []story
	for _, s := range single {
		last := len(out) - 1
		if last < 0 || out[last].path.name != s.path.name || len(out[last].kills) == perCutover {
			out = append(out, s)
			continue
		}
		out[last].kills = append(out[last].kills, s.kills...)
	}
	return out
}

func TestMatrixKillsInEveryStepBeforeAndAfterAWrite(t *testing.T) {
	hit := map[v1alpha1.Step]map[string]bool{}
	for _, s := range matrix(1, 0) {
		if len(s.kills) > perCutover {
			t.Errorf("%d kills in one cutover", len(s.kills))
		}
		for _, k := range s.kills {
			if hit[k.step] == nil {
				hit[k.step] = map[string]bool{}
			}
			hit[k.step][k.moment] = true
		}
	}
	for _, step := range []v1alpha1.Step{
		v1alpha1.StepStable, v1alpha1.StepPreparing, v1alpha1.StepMigrating, v1alpha1.StepScaling, v1alpha1.StepVerifying,
		v1alpha1.StepAwaitingPromotion, v1alpha1.StepSwitching, v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRetaining,
		v1alpha1.StepRetiring, v1alpha1.StepContracting, v1alpha1.StepAborting, v1alpha1.StepRollingBack,
	} {
		if !hit[step]["before"] || !hit[step]["after"] {
			t.Errorf("step %s is killed only %v", step, hit[step])
		}
	}
}

func TestMatrixIsDrawnBySeed(t *testing.T) {
	count := func(seed uint64) (n int, names string) {
		for _, s := range matrix(seed, 3) {
			n += len(s.kills)
			names += s.name() + "\n"
		}
		return n, names
	}
	n, names := count(7)
	if _, again := count(7); n != 3 || names != again {
		t.Errorf("%d kills: %s, then %s", n, names, again)
	}
	if _, other := count(8); other == names {
		t.Error("another seed draws the same")
	}
}
