// Command check plays random schedules of the rollout state machine, shows what they have covered, and shows that each mutant of it is caught.
// Its last line is JSON. It fails when an invariant is broken, a mutant lives, or a step has seen too little of a fault.
//
// It must never import a Kubernetes client: what it checks is a value.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/garnizeh/englog-operator/test/model"
)

func main() {
	schedules := flag.Uint64("schedules", 100000, "how many schedules to play")
	seed := flag.Uint64("seed", 0, "print this schedule moment by moment, and play no other")
	first := flag.Uint64("first", 1, "the first seed")
	perMutant := flag.Uint64("mutant-schedules", 20000, "in how many schedules a mutant has to be caught; 0 plays none")
	pairs := flag.Int("pairs", 100, "how often each fault has to hit each step")
	verbose := flag.Bool("v", false, "also say what people have done")
	flag.Parse()
	debug.SetGCPercent(800) // schedules are short-lived and memory is not short
	if *seed != 0 {
		os.Exit(trace(*seed, os.Stdout))
	}
	c := checker{out: os.Stdout, began: time.Now(), verbose: *verbose} //nolint:forbidigo // a command measures its own time
	os.Exit(c.run(*first, *schedules, *perMutant, *pairs))
}

func trace(seed uint64, out io.Writer) int {
	if err := model.Run(seed, nil, model.NewTally(), out); err != nil {
		fmt.Fprintln(out, err) //nolint:errcheck // a trace
		return 1
	}
	return 0
}

// summary is the last line.
type summary struct {
	Schedules     int `json:"schedules"`
	States        int `json:"states"`
	Violations    int `json:"violations"`
	Mutants       int `json:"mutants"`
	MutantsCaught int `json:"mutants_caught"`
	MinPairHits   int `json:"min_pair_hits"`
}

type checker struct {
	out     io.Writer
	began   time.Time
	verbose bool
}

func (c *checker) say(format string, args ...any) {
	fmt.Fprintf(c.out, format+"\n", args...) //nolint:errcheck // nobody listens any more
}

func (c *checker) elapsed() time.Duration {
	return time.Since(c.began).Round(time.Second / 10) //nolint:forbidigo // a command measures its own time
}

func (c *checker) run(first, schedules, perMutant uint64, pairs int) int {
	r := model.Explore(first, schedules, nil, 20)
	for _, err := range r.Failures {
		c.say("%v (go run ./test/model/check -seed N shows it)", err)
	}
	c.table(r.Tally)
	s := summary{Schedules: r.Tally.Schedules, States: r.Tally.States, Violations: r.Violations, MinPairHits: r.Tally.MinPair()}
	c.say("%d schedules, %d states in %v", s.Schedules, s.States, c.elapsed())
	if perMutant > 0 {
		c.mutants(&s, first, perMutant)
	}
	line, err := json.Marshal(s)
	if err != nil {
		c.say("%v", err)
		return 1
	}
	c.say("%s", line)
	if s.Violations > 0 || s.MutantsCaught < s.Mutants || s.MinPairHits < pairs {
		return 1
	}
	return 0
}

// table shows how often each fault hit a write of each step.
func (c *checker) table(t *model.Tally) {
	c.say("\nHow often a fault hit a write, by the step in which it did:")
	head := fmt.Sprintf("%-18s", "")
	for _, f := range model.Faults {
		head += fmt.Sprintf("%28s", f)
	}
	c.say("%s", head)
	for _, step := range model.Steps {
		line := fmt.Sprintf("%-18s", step)
		for _, f := range model.Faults {
			line += fmt.Sprintf("%28d", t.Pairs[model.Pair{Step: step, Fault: f}])
		}
		c.say("%s", line)
	}
	c.say("")
	if c.verbose {
		for what, n := range t.Doings {
			c.say("%8d  %s", n, what)
		}
	}
}

// mutants shows for each mutant which invariant it breaks.
func (c *checker) mutants(s *summary, first, schedules uint64) {
	c.say("\nMutants, the invariant that each breaks, and after how many schedules:")
	for _, m := range model.Mutants() {
		r := model.Explore(first, schedules, m, 1)
		s.Mutants++
		verdict := "lives"
		if len(r.Failures) > 0 {
			if by := model.Caught(r.Failures[0]); by != "" {
				s.MutantsCaught++
				verdict = by
			} else {
				verdict = r.Failures[0].Error()
			}
		}
		c.say("  %-62s %s %8d", m.Name, verdict, r.Tally.Schedules)
		if c.verbose && len(r.Failures) > 0 {
			c.say("      %v", r.Failures[0])
		}
	}
	c.say("%d of %d mutants caught, in %v", s.MutantsCaught, s.Mutants, c.elapsed())
}
