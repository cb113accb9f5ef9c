package check

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

var testKinds = []englog.Kind{englog.KindSentiment, englog.KindSummary}

// good is a history with its world, in which nothing is wrong.
func good() ([]Write, World) {
	a, b := uuid.New(), uuid.New()
	history := []Write{
		{Marker: "a", ID: a, Version: 1, Body: "one"}, {Marker: "a", ID: a, Version: 2, Body: "two"}, {Marker: "a", Body: "three", Outcome: Unknown},
		{Marker: "b", ID: b, Version: 1, Body: "one"}, {Marker: "c", Body: "lost", Outcome: Unknown},
		{Marker: "d", Version: 1, Body: "x"}, {Marker: "d"}, {Marker: "e", Body: "no", Outcome: Refused},
	}
	w := World{Entries: []Entry{{a, "a", 3, "three"}, {b, "b", 1, "one"}}}
	for _, k := range testKinds {
		w.Tasks = append(w.Tasks, Task{uuid.New(), a, 1, k, englog.TaskCancelled, 0, 0, 0, 0}, Task{uuid.New(), a, 3, k, englog.TaskDone, 1, 1, 2, 2},
			Task{uuid.New(), b, 1, k, englog.TaskDone, 1, 0, 1, 1})
		w.Insights = append(w.Insights, Insight{a, 3, k}, Insight{b, 1, k})
	}
	return history, w
}

func TestJudgeNoticesEachDamage(t *testing.T) {
	history, w := good()
	if problems := Judge(history, w, testKinds); len(problems) != 0 {
		t.Fatalf("a good world is blamed: %v", problems)
	}
	for name, c := range map[string]struct {
		damage func(*World)
		want   string
	}{
		"lost entry":           {func(w *World) { w.Entries = w.Entries[:1] }, "entry b was acknowledged and is lost"},
		"lost edit":            {func(w *World) { w.Entries[0].Version = 1 }, "acknowledged was 2"},
		"old body":             {func(w *World) { w.Entries[0].Body = "one" }, "overwritten"},
		"doubled entry":        {func(w *World) { w.Entries = append(w.Entries, Entry{uuid.New(), "b", 1, "one"}) }, "is there 2 times"},
		"phantom":              {func(w *World) { w.Entries = append(w.Entries, Entry{uuid.New(), "z", 1, "one"}) }, "entry z was never written"},
		"deleted came back":    {func(w *World) { w.Entries = append(w.Entries, Entry{uuid.New(), "d", 1, "x"}) }, "entry d was never written, or is deleted"},
		"refused happened":     {func(w *World) { w.Entries = append(w.Entries, Entry{uuid.New(), "e", 1, "no"}) }, "entry e was never written"},
		"lost task":            {func(w *World) { w.Tasks = w.Tasks[:5] }, "has 0 tasks of kind summary"},
		"stuck task":           {func(w *World) { w.Tasks[1].State = englog.TaskQueued }, "still queued"},
		"dead task":            {func(w *World) { w.Tasks[1].State = englog.TaskDead }, "belongs to the present version and is dead"},
		"doubled task":         {func(w *World) { w.Tasks = append(w.Tasks, w.Tasks[2]) }, "has 2 tasks of kind sentiment"},
		"lost insight":         {func(w *World) { w.Insights = w.Insights[1:] }, "is done with 0 insights"},
		"doubled insight":      {func(w *World) { w.Insights = append(w.Insights, w.Insights[0]) }, "2 insights"},
		"stray insight":        {func(w *World) { w.Insights = append(w.Insights, Insight{uuid.New(), 1, testKinds[0]}) }, "and 0 tasks"},
		"late insight":         {func(w *World) { w.Insights = append(w.Insights, Insight{w.Entries[0].ID, 1, testKinds[0]}) }, "is cancelled with 1 insights"},
		"a run too many":       {func(w *World) { w.Tasks[2].Runs = 2 }, "2 runs for 1 attempts"},
		"asked once too often": {func(w *World) { w.Tasks[2].Asked = 2 }, "asked 2 times"},
	} {
		t.Run(name, func(t *testing.T) {
			history, w := good()
			c.damage(&w)
			if problems := strings.Join(Judge(history, w, testKinds), "; "); !strings.Contains(problems, c.want) {
				t.Errorf("problems %q do not tell of %q", problems, c.want)
			}
		})
	}
}
