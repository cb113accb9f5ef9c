package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A stage is a set of packages whose tests run together.
type stage struct {
	name     string
	packages []string
	// parallel is how many packages run at a time. Those that start a control plane or databases of their own take turns.
	parallel string
}

// stages are the packages whose tests show rows of the requirements.
var stages = []stage{
	{"operator and service", []string{
		"./api/...", "./controllers/...", "./cmd/...", "./workload/auth", "./workload/config", "./workload/redisx", "./workload/run",
		"./test/contract/...", "./test/defects/...", "./test/images/...",
	}, "2"},
	{"against a real API server", []string{"./test/validation/...", "./test/envtest/objects", "./test/envtest/operator", "./test/stores/..."}, "1"},
}

// patience is how long the tests of one package may take; the first that needs Kubernetes builds it, where that has not been done before.
const patience = "30m"

// runTests runs the tests of all stages and returns what they said. Packages in which a test has failed are run a second time, alone: on a
// busy machine a wait may have ended too early. What they say then is what counts.
func runTests(progress io.Writer) (results, error) {
	all := results{said: map[test][]string{}}
	for _, s := range stages {
		_, _ = fmt.Fprintf(progress, "%s\n", s.name)
		said, err := goTest(progress, s.parallel, s.packages)
		if err != nil {
			return all, err
		}
		if again := said.packagesThatFailed(); len(again) > 0 {
			_, _ = fmt.Fprintf(progress, "  once more: %s\n", strings.Join(again, " "))
			second, err := goTest(progress, "1", again)
			if err != nil {
				return all, err
			}
			said = said.without(again).and(second)
		}
		all = all.and(said)
	}
	return all, nil
}

// goTest runs go test and reads what it prints. That tests have failed is in the results; an error is only about running them at all.
func goTest(progress io.Writer, parallel string, packages []string) (results, error) {
	command := exec.Command("go", append([]string{"test", "-count=1", "-json", "-timeout", patience, "-p", parallel}, packages...)...)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return results{}, fmt.Errorf("connecting to go test: %w", err)
	}
	if err := command.Start(); err != nil {
		return results{}, fmt.Errorf("starting go test: %w", err)
	}
	r, err := read(io.TeeReader(out, &teller{to: progress}))
	if err != nil {
		return r, err
	}
	if err := command.Wait(); err != nil && len(r.failed) == 0 {
		return r, fmt.Errorf("go test %s: %w", strings.Join(packages, " "), err)
	}
	return r, nil
}

// packagesThatFailed lists the packages of tests that have failed.
func (r results) packagesThatFailed() []string {
	var all []string
	for _, t := range r.failed {
		if !slices.Contains(all, t.Package) {
			all = append(all, t.Package)
		}
	}
	return all
}

// without leaves out what some packages have said.
func (r results) without(packages []string) results {
	drop := func(t test) bool { return slices.Contains(packages, t.Package) }
	left := results{passed: slices.DeleteFunc(slices.Clone(r.passed), drop), failed: slices.DeleteFunc(slices.Clone(r.failed), drop), said: map[test][]string{}}
	for t, ids := range r.said {
		if !drop(t) {
			left.said[t] = ids
		}
	}
	return left
}

func (r results) and(more results) results {
	sum := results{passed: slices.Concat(r.passed, more.passed), failed: slices.Concat(r.failed, more.failed), said: map[test][]string{}}
	for _, each := range []results{r, more} {
		for t, ids := range each.said {
			sum.said[t] = append(sum.said[t], ids...)
		}
	}
	return sum
}

// A teller shows how far the tests are: one line for each package that has ended, and for each test that has failed with what it said.
type teller struct {
	to   io.Writer
	rest []byte
	said map[test][]string
}

func (t *teller) Write(p []byte) (int, error) {
	t.rest = append(t.rest, p...)
	for {
		at := slices.Index(t.rest, '\n')
		if at < 0 {
			return len(p), nil
		}
		t.line(t.rest[:at])
		t.rest = t.rest[at+1:]
	}
}

func (t *teller) line(line []byte) {
	var e struct {
		event
		Elapsed float64
	}
	if json.Unmarshal(line, &e) != nil {
		return
	}
	if t.said == nil {
		t.said = map[test][]string{}
	}
	about := test{e.Package, e.Test}
	switch {
	case e.Action == "output":
		t.said[about] = append(t.said[about], e.Output)
	case e.Action == "fail":
		_, _ = fmt.Fprintf(t.to, "  FAILED %s\n", about)
		for _, said := range t.said[about] {
			_, _ = fmt.Fprint(t.to, "    ", said)
		}
	case e.Action == "pass" && e.Test == "":
		_, _ = fmt.Fprintf(t.to, "  %-6s %s\n", time.Duration(e.Elapsed*float64(time.Second)).Round(time.Second), strings.TrimSpace(about.String()))
	}
	if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
		delete(t.said, about)
	}
}
