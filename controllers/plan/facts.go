package plan

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// facts is what a migration tells through its termination message: the operator never dials a database.
type facts struct {
	Phase            string `json:"phase"`
	From             int32  `json:"from"`
	To               int32  `json:"to"`
	Current          int32  `json:"current"`
	OldestCompatible int32  `json:"oldestCompatible"`
	// Approve is the newest pending migration that takes something away; empty when none does.
	Approve string   `json:"approve"`
	Pending []string `json:"pending"`
	Applied []string `json:"applied"`
	Refused bool     `json:"refused"`
	// Unapproved is a refusal that only an approval ends.
	Unapproved bool   `json:"unapproved"`
	Error      string `json:"error"`
}

// warnings takes the warnings out of the message of a Job that has passed; without any it is the message itself.
func warnings(message string) string {
	var told struct {
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal([]byte(message), &told); err != nil || len(told.Warnings) == 0 {
		return message
	}
	return world.WarningPrefix + strings.Join(told.Warnings, "; ")
}

// readFacts takes the last line of a termination message that is a JSON object; without one there are no facts.
func readFacts(message string) facts {
	for _, line := range slices.Backward(strings.Split(message, "\n")) {
		var f facts
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &f) == nil {
			return f
		}
	}
	return facts{}
}

// factsOf are those of a Job's work, or while it has told nothing, of its plan.
func factsOf(job world.Job) facts {
	if f := readFacts(job.Message); f.Phase != "" || f.Error != "" {
		return f
	}
	return readFacts(job.Plan)
}

func (f facts) status(job world.Job) *v1alpha1.MigrationStatus {
	s := &v1alpha1.MigrationStatus{
		JobName: job.Name, From: f.From, To: f.To, Pending: f.planned(), Destructive: f.destructive(), Result: v1alpha1.MigrationSucceeded,
	}
	switch {
	case job.Phase == world.JobActive:
		s.Result = v1alpha1.MigrationRunning
	case job.Phase == world.JobFailed && f.Unapproved:
		s.Result, s.Message = v1alpha1.MigrationRefused, clip(f.failure(job), 1024)
	case job.Phase == world.JobFailed:
		s.Result, s.Message = v1alpha1.MigrationFailed, clip(f.failure(job), 1024)
	}
	return s
}

// planned is what was to be run when the Job began.
func (f facts) planned() []string {
	all := slices.Concat(f.Applied, f.Pending)
	return all[:min(len(all), mostMigrations)]
}

// destructive lists what waits for the approval of its last.
func (f facts) destructive() []string {
	at := slices.Index(f.Pending, f.Approve)
	if f.Approve == "" || at < 0 {
		return nil
	}
	return slices.Clone(f.Pending[max(at+1-mostMigrations, 0) : at+1])
}

// mostMigrations is how many migrations a status lists at most.
const mostMigrations = 32

func (f facts) reason() string {
	if f.Refused {
		return "MigrationRefused"
	}
	return "MigrationFailed"
}

// failure is the most telling cause that is known.
func (f facts) failure(job world.Job) string {
	switch {
	case f.Error != "":
		return f.Error
	case job.Waiting != "":
		return job.Waiting
	case job.Reason != "":
		return job.Reason
	default:
		return "see the logs of its pods"
	}
}

// schema is the schema as the migration left it, with the level that the revision's binary brings.
func (f facts) schema(was *v1alpha1.EngLogInstanceStatus, revision string) *v1alpha1.SchemaStatus {
	s := &v1alpha1.SchemaStatus{}
	if was.Schema != nil {
		s = was.Schema.DeepCopy()
	}
	if f.Phase == "" {
		return s // a migration that told nothing moved nothing that is known
	}
	s.Current, s.OldestCompatible, s.LastMigratedRevision = f.Current, f.OldestCompatible, revision
	if f.Phase == string(Contract) {
		s.AwaitingApproval = f.destructive()
	}
	if f.Phase == string(Expand) {
		s.Levels = remember(s.Levels, v1alpha1.RevisionLevel{Revision: revision, Level: f.To})
	}
	return s
}

func remember(levels []v1alpha1.RevisionLevel, l v1alpha1.RevisionLevel) []v1alpha1.RevisionLevel {
	kept := []v1alpha1.RevisionLevel{l}
	for _, k := range levels {
		if k.Revision != l.Revision && len(kept) < 24 {
			kept = append(kept, k)
		}
	}
	return kept
}
