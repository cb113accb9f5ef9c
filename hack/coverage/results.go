package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// A test is one test or subtest.
type test struct{ Package, Name string }

func (t test) String() string {
	return strings.TrimPrefix(t.Package, "github.com/garnizeh/englog-operator/") + " " + t.Name
}

// results are what the tests said.
//
//nolint:recvcheck // take fills it, the rest reads it
type results struct {
	passed []test
	failed []test
	said   map[test][]string // the ids on lines that begin with "covers"
}

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
}

func read(in io.Reader) (results, error) {
	r := results{said: map[test][]string{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // what a tool printed in between
		}
		r.take(e)
	}
	if err := lines.Err(); err != nil {
		return r, fmt.Errorf("reading the tests' output: %w", err)
	}
	return r, nil
}

var covers = regexp.MustCompile(`^\s*\S+\.go:\d+: covers (.*)`)

func (r *results) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "pass":
		if e.Test != "" {
			r.passed = append(r.passed, t)
		}
	case "fail":
		r.failed = append(r.failed, t)
	case "output":
		if m := covers.FindStringSubmatch(e.Output); m != nil {
			r.said[t] = append(r.said[t], ids(m[1])...)
		}
	}
}

// The names of invariants look like ids in these packages.
var others = regexp.MustCompile(`/(test/model|controllers/plan|controllers/guard)(/|$)`)

var id = regexp.MustCompile(`(?:^|[^A-Za-z0-9])([BEFIJK]\d{1,2}|X\d{2})(?:$|[^A-Za-z0-9])`)

// ids finds the ids of rows in a text. Neighbours share a separator, so each search begins at the end of the id before.
func ids(text string) []string {
	var all []string
	for {
		m := id.FindStringSubmatchIndex(text)
		if m == nil {
			return all
		}
		all = append(all, text[m[2]:m[3]])
		text = text[m[3]:]
	}
}

// shown lists the tests that passed by the ids that they show.
func (r results) shown() map[string][]test {
	all := map[string][]test{}
	add := func(t test, list []string) {
		for _, i := range list {
			if !slices.Contains(all[i], t) {
				all[i] = append(all[i], t)
			}
		}
	}
	for _, t := range r.passed {
		if !others.MatchString(t.Package) {
			add(t, ids(t.Name))
		}
		add(t, r.said[t])
		add(t, named()[t])
	}
	return all
}

//go:embed tests.txt
var testsText string

// named are tests whose names say what the service does in its own words; tests.txt gives the rows that they show.
func named() map[test][]string {
	all := map[test][]string{}
	for line := range strings.Lines(testsText) {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(line, "#") {
			continue
		}
		all[test{"github.com/garnizeh/englog-operator/" + fields[0], fields[1]}] = fields[2:]
	}
	return all
}
