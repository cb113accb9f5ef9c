package cutover

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/load"
)

// Result is what a cutover did to its users. Its JSON form is the last line of the demo.
type Result struct {
	Requests       int                       `json:"requests"` // answered or failed
	Rate           int                       `json:"rate"`
	Due            int                       `json:"due"`
	Sent           int                       `json:"sent"`
	Failed         int                       `json:"failed"`
	Entries        int                       `json:"entries"`
	LostEntries    int                       `json:"lost_entries"`
	Tasks          int                       `json:"tasks"`
	LostTasks      int                       `json:"lost_tasks"`
	DuplicateRuns  int                       `json:"duplicate_runs"`
	CutoverSeconds float64                   `json:"cutover_seconds"` // from the applied spec until the old color is retired
	Steps          map[v1alpha1.Step]float64 `json:"steps"`           // seconds

	// Of the switch, as the clients saw it, in seconds after the applied spec and after the switch was observed.
	FirstNewSeconds    float64      `json:"first_new_seconds"`
	LastOldFreshMs     float64      `json:"switch_to_last_old_ms"`
	LastOldKeepAliveMs float64      `json:"switch_to_last_old_keepalive_ms"`
	OperatorKilledIn   string       `json:"operator_killed_in,omitempty"`
	OldRevision        string       `json:"-"`
	NewRevision        string       `json:"-"`
	Load               *load.Report `json:"-"`
	Check              *load.Check  `json:"-"`
	Path               []StepTime   `json:"-"`
}

// Clean reports whether no user noticed anything.
func (r *Result) Clean() bool {
	return r.Failed == 0 && r.LostEntries == 0 && r.LostTasks == 0 && r.DuplicateRuns == 0
}

// newResult puts together what the load, the check and the operator's record say.
func newResult(rep *load.Report, check *load.Check, path []StepTime, applied, ended time.Time) *Result {
	r := &Result{
		Requests: rep.Sent, Rate: rep.Rate, Due: rep.Due, Sent: rep.Sent, Failed: rep.Failed,
		Entries: check.Entries, LostEntries: check.LostEntries, Tasks: check.Tasks, LostTasks: check.LostTasks,
		DuplicateRuns: check.DuplicateRuns, CutoverSeconds: round(ended.Sub(applied).Seconds()),
		Steps: map[v1alpha1.Step]float64{}, Load: rep, Check: check, Path: path,
	}
	for _, s := range path {
		r.Steps[s.Step] = round(r.Steps[s.Step] + s.Seconds)
	}
	return r
}

// seen adds what the clients saw of the switch: the first answer of the new revision, the last ones of the old.
func (r *Result) seen(applied, switched time.Time, oldRevision, newRevision string) {
	r.OldRevision, r.NewRevision = oldRevision, newRevision
	if first := r.Load.FirstAnswer(newRevision); !first.IsZero() {
		r.FirstNewSeconds = round(first.Sub(applied).Seconds())
	}
	if switched.IsZero() {
		return
	}
	r.LastOldFreshMs = sinceMs(switched, r.Load.LastAnswer(oldRevision, load.Fresh))
	r.LastOldKeepAliveMs = sinceMs(switched, r.Load.LastAnswer(oldRevision, load.KeepAlive))
}

func sinceMs(from, to time.Time) float64 {
	if to.Before(from) {
		return 0
	}
	return math.Round(float64(to.Sub(from)) / float64(time.Millisecond))
}

func round(f float64) float64 { return math.Round(f*100) / 100 }

// Print writes the summary for a person.
func (r *Result) Print(w io.Writer) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	all := r.Load.Latency["all"]
	line("")
	line("  requests   %d due, %d sent, %d failed at %d/s; latency p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms",
		r.Due, r.Sent, r.Failed, r.Rate, all.P50, all.P99, all.P999)
	line("  entries    %d acknowledged, %d lost", r.Entries, r.LostEntries)
	line("  tasks      %d expected (%s), %d lost, %d run twice", r.Tasks, strings.Join(r.Check.Kinds, ", "), r.LostTasks, r.DuplicateRuns)
	line("  switch     first new answer %.1f s after apply; last old answer %.0f ms (fresh) and %.0f ms (keep-alive) after the switch",
		r.FirstNewSeconds, r.LastOldFreshMs, r.LastOldKeepAliveMs)
	line("  cutover    %.1f s", r.CutoverSeconds)
	for _, s := range r.Path {
		line("             %-18s %6.1f s", s.Step, s.Seconds)
	}
	r.printFailures(line)
}

func (r *Result) printFailures(line func(string, ...any)) {
	kinds := make([]string, 0, len(r.Load.FailedByKind))
	for k := range r.Load.FailedByKind {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for _, k := range kinds {
		line("  FAILED     %d × %s", r.Load.FailedByKind[k], k)
	}
	for _, f := range r.Load.Failures[:min(len(r.Load.Failures), 10)] {
		line("             %s %s %s over %s, revision %s: %s", f.Time.Format("15:04:05.000"), f.Kind, f.Op, f.Class,
			orDefault(f.Revision, "unknown"), f.Detail)
	}
	for _, s := range r.Check.Samples {
		line("  LOST       %s", s)
	}
}
