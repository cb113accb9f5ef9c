package englog

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Kind names what a task finds out about an entry (or, for KindWeeklyInsight, about a week).
// It is also the name of the feature switch and of the insight that the task writes.
type Kind string

// The kinds that this build knows.
const (
	KindSentiment         Kind = "sentiment"
	KindContentExtraction Kind = "content_extraction"
	KindThemes            Kind = "themes"
	KindEntities          Kind = "entities"
	KindSummary           Kind = "summary"
	KindTagSuggestions    Kind = "tag_suggestions"
	KindWeeklyInsight     Kind = "weekly_insight"
)

// EntryTaskKinds returns the kinds that one entry version can make, in the order in which they are worth having.
func EntryTaskKinds() []Kind {
	return []Kind{KindSentiment, KindContentExtraction, KindThemes, KindEntities, KindSummary, KindTagSuggestions}
}

// TaskKinds returns all task kinds that this build knows.
func TaskKinds() []Kind { return append(EntryTaskKinds(), KindWeeklyInsight) }

// ParseKind accepts the name of a known kind.
func ParseKind(s string) (Kind, error) {
	for _, k := range TaskKinds() {
		if string(k) == s {
			return k, nil
		}
	}
	return "", fmt.Errorf("kind %q is not known: use one of %v", s, TaskKinds())
}

// Version is the version of what a task of this kind means. It is raised when a handler of an older build
// could not do the work any more; workers claim only the versions they know.
func (k Kind) Version() int16 { return 1 }

// Priority orders due tasks: higher first. The numbers follow the reference's table of task types.
func (k Kind) Priority() int16 {
	switch k {
	case KindSentiment:
		return 6
	case KindContentExtraction, KindThemes:
		return 5
	case KindWeeklyInsight:
		return 3
	default:
		return 4
	}
}

// PriorityHigh is for tasks that a user waits for (a re-run); at or above it a task travels in the fast lane.
// PriorityLow is for imports.
const (
	PriorityHigh int16 = 8
	PriorityLow  int16 = 1
)

// EditDebounce is how long the analysis of an edit waits: an editor that saves by
// itself soon sends the next version, and only the last one is worth a model's time.
const EditDebounce = 5 * time.Second

// KindVersion says what a worker must know to run a task.
type KindVersion struct {
	Kind    Kind
	Version int16
}

// KindRoom says how many more tasks of a kind fit into their stream.
type KindRoom struct {
	KindVersion
	Room int
}

// TaskState is the state of a task. Done, dead and cancelled are final, though a re-run makes a dead task ready again.
type TaskState string

// The states of a task.
const (
	TaskReady     TaskState = "ready"     // waits for its time and for room in the stream
	TaskQueued    TaskState = "queued"    // its id was handed to Redis
	TaskRunning   TaskState = "running"   // a worker holds its lease
	TaskDone      TaskState = "done"      // its insight is written
	TaskDead      TaskState = "dead"      // given up; last error says why
	TaskCancelled TaskState = "cancelled" // superseded by a newer version, or switched off
)

// Final says whether nothing more will happen to a task by itself.
func (s TaskState) Final() bool { return s == TaskDone || s == TaskDead || s == TaskCancelled }

// Task is a task as users and operators see it. EntryID is uuid.Nil for a weekly task, whose Period is the Monday of its week.
type Task struct {
	ID            uuid.UUID
	UserID        uuid.UUID
	EntryID       uuid.UUID
	EntryVersion  int32
	Period        time.Time
	Kind          Kind
	State         TaskState
	Attempt       int16
	MaxAttempts   int16
	Crashes       int16
	Runs          int32
	RunAt         time.Time
	LastErrorCode string
	LastError     string
	CreatedAt     time.Time
	FinishedAt    time.Time
}

// NewTasks describes the tasks that one entry version makes.
type NewTasks struct {
	UserID       uuid.UUID
	EntryID      uuid.UUID
	EntryVersion int32
	Kinds        []Kind
	Debounce     time.Duration // how long to wait for a newer version first (autosave); 0 runs at once
	Priority     int16         // 0: the priority of each kind
	Queued       bool          // the caller will kick the ids itself right after the commit
	RequestID    string
	TraceParent  string
}

// TaskRef is all that travels through Redis: which task, and which stream carries it.
type TaskRef struct {
	ID       uuid.UUID
	Kind     Kind
	Version  int16
	Priority int16
}

// Delivery is a message that brought a task's id. Stream and Message are the transport's receipt.
type Delivery struct {
	ID      uuid.UUID
	Stream  string
	Message string
}

// Claimed is a task that this worker may run until its lease ends. Token fences every later write.
type Claimed struct {
	ID           uuid.UUID
	UserID       uuid.UUID
	EntryID      uuid.UUID
	EntryVersion int32
	Period       time.Time
	Kind         Kind
	Version      int16
	Priority     int16
	Attempt      int16 // this one included, starting at 1
	MaxAttempts  int16
	Crashes      int16
	Token        uuid.UUID
	RequestID    string
	TraceParent  string
	CreatedAt    time.Time
}

// Ref returns what Redis carries for the task.
func (c Claimed) Ref() TaskRef {
	return TaskRef{ID: c.ID, Kind: c.Kind, Version: c.Version, Priority: c.Priority}
}

// ErrLeaseLost means that the task went on without this worker: its lease ended, or it was cancelled.
// Whatever the worker had found is dropped.
var ErrLeaseLost = errors.New("the lease of the task was lost")

// FailureClass says what becomes of a task after a failed run.
type FailureClass int

// The classes of failure.
const (
	FailureRetryable   FailureClass = iota // again later; costs an attempt
	FailurePermanent                       // dead at once
	FailureUnavailable                     // nothing was tried: again later at no cost
	FailureCancelled                       // switched off or gone: no longer wanted
)

// Failure is the error of a handler, with its consequence. An error that is not a Failure counts as retryable.
// Code is stable and may be shown to users; the text of Err goes to the task's last_error, clipped.
type Failure struct {
	Class FailureClass
	Code  string
	After time.Duration // the earliest next try that the other side asked for (Retry-After); 0: none
	Err   error
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Code
	}
	return f.Code + ": " + f.Err.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Fail makes a Failure.
func Fail(class FailureClass, code string, err error) *Failure {
	return &Failure{Class: class, Code: code, Err: err}
}

// Finished is a claimed task with what it found; a nil insight ends the task without one.
type Finished struct {
	Claimed
	Insight *Insight
}

// Cause is what is recorded of a failed run.
type Cause struct {
	Code string
	Text string
}

// TaskCount is how many tasks of a kind are in a state that is not done or cancelled.
type TaskCount struct {
	Kind  Kind
	State TaskState
	Count int64
}

// Swept says what a sweep repaired.
type Swept struct {
	Requeued int // their message was lost
	Crashed  int // their worker was lost
	Poisoned int // lost too many workers: dead
}
