// Package check looks for lost and doubled work: it disturbs the real programs on real servers while clients write, and then
// compares what clients were told with what is there.
//
// The judgement is a pure function, so that a test can show that it notices each kind of damage. No shipped program may
// import the package.
package check

import (
	"fmt"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Outcome is what a client knows about a write.
type Outcome int

// The outcomes.
const (
	Acknowledged Outcome = iota // answered with success
	Unknown                     // no answer, or 5xx: it may have happened
	Refused                     // answered with 4xx: it did not happen
)

// Write is one write of a client. Entries of one client are its own, and it writes one after the other.
type Write struct {
	Marker  string // the entry, whatever its id: the title carries it
	ID      uuid.UUID
	Version int32  // the version that an acknowledged write made
	Body    string // the body that was sent; empty for a deletion
	Outcome Outcome
}

// Entry is an entry as it stands in the database.
type Entry struct {
	ID      uuid.UUID
	Marker  string
	Version int32
	Body    string
}

// Task is a task as it stands in the database, and how often its provider was asked.
type Task struct {
	ID      uuid.UUID
	EntryID uuid.UUID
	Version int32
	Kind    englog.Kind
	State   englog.TaskState
	Attempt int
	Crashes int
	Runs    int
	Asked   int
}

// Insight is an insight as it stands in the database.
type Insight struct {
	EntryID uuid.UUID
	Version int32
	Kind    englog.Kind
}

// World is everything that is there after the healing.
type World struct {
	Entries  []Entry
	Tasks    []Task
	Insights []Insight
}

// Judge returns what is wrong with a world, given what clients did and the kinds that each entry version makes.
func Judge(history []Write, w World, kinds []englog.Kind) []string {
	problems := judgeEntries(history, w.Entries)
	return append(problems, judgeTasks(w, kinds)...)
}

// expectation is what may stand in the database for one entry.
type expectation struct {
	sure    bool // it must be there
	maybe   bool // it may be there
	version int32
	bodies  map[string]bool // possible bodies of the present version
}

func judgeEntries(history []Write, entries []Entry) (problems []string) {
	expected := expectations(history)
	found := map[string]int{}
	for _, e := range entries {
		found[e.Marker]++
		x := expected[e.Marker]
		switch {
		case x == nil || (!x.sure && !x.maybe):
			problems = append(problems, fmt.Sprintf("entry %s was never written, or is deleted, and is there", e.Marker))
		case e.Version < x.version:
			problems = append(problems, fmt.Sprintf("entry %s is at version %d, acknowledged was %d", e.Marker, e.Version, x.version))
		case !x.bodies[e.Body]:
			problems = append(problems, fmt.Sprintf("entry %s has a body that was overwritten", e.Marker))
		}
	}
	for marker, x := range expected {
		if x.sure && found[marker] == 0 {
			problems = append(problems, fmt.Sprintf("entry %s was acknowledged and is lost", marker))
		}
		if found[marker] > 1 {
			problems = append(problems, fmt.Sprintf("entry %s is there %d times", marker, found[marker]))
		}
	}
	return problems
}

func expectations(history []Write) map[string]*expectation {
	expected := map[string]*expectation{}
	for _, h := range history {
		x := expected[h.Marker]
		if x == nil {
			x = &expectation{bodies: map[string]bool{}}
			expected[h.Marker] = x
		}
		x.apply(h)
	}
	return expected
}

func (x *expectation) apply(h Write) {
	deletion := h.Body == ""
	switch {
	case h.Outcome == Refused:
	case h.Outcome == Acknowledged && deletion:
		x.sure, x.maybe = false, false
	case h.Outcome == Acknowledged:
		x.sure, x.version, x.bodies = true, h.Version, map[string]bool{h.Body: true}
	case deletion:
		x.sure, x.maybe = false, true
	default:
		x.maybe = true
		x.bodies[h.Body] = true
	}
}

type subject struct {
	entry   uuid.UUID
	version int32
	kind    englog.Kind
}

func judgeTasks(w World, kinds []englog.Kind) (problems []string) {
	tasks, insights := map[subject][]Task{}, map[subject]int{}
	current := map[uuid.UUID]int32{}
	for _, e := range w.Entries {
		current[e.ID] = e.Version
	}
	for _, i := range w.Insights {
		insights[subject{i.EntryID, i.Version, i.Kind}]++
	}
	for _, t := range w.Tasks {
		s := subject{t.EntryID, t.Version, t.Kind}
		tasks[s] = append(tasks[s], t)
		problems = append(problems, judgeTask(t, current[t.EntryID], insights[s])...)
	}
	for _, e := range w.Entries {
		for _, k := range kinds {
			if n := len(tasks[subject{e.ID, e.Version, k}]); n != 1 {
				problems = append(problems, fmt.Sprintf("entry %s version %d has %d tasks of kind %s", e.Marker, e.Version, n, k))
			}
		}
	}
	for s, n := range insights {
		if len(tasks[s]) == 0 || n > 1 {
			problems = append(problems, fmt.Sprintf("entry %s version %d has %d insights of kind %s and %d tasks", s.entry, s.version, n, s.kind, len(tasks[s])))
		}
	}
	return problems
}

func judgeTask(t Task, current int32, insights int) (problems []string) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("task %s (%s of version %d): ", t.ID, t.Kind, t.Version)+fmt.Sprintf(format, args...))
	}
	if !t.State.Final() {
		bad("it is still %s", t.State)
	}
	if t.Version == current && t.State != englog.TaskDone {
		bad("it belongs to the present version and is %s", t.State)
	}
	if (t.State == englog.TaskDone) != (insights == 1) {
		bad("it is %s with %d insights", t.State, insights)
	}
	if t.Runs != t.Attempt+t.Crashes {
		bad("%d runs for %d attempts and %d lost workers", t.Runs, t.Attempt, t.Crashes)
	}
	if t.Asked > t.Runs {
		bad("the provider was asked %d times in %d runs", t.Asked, t.Runs)
	}
	return problems
}
