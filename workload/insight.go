package englog

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Insight is what a task found out about one entry version, or about one week of a user.
// Data has a shape fixed by Kind (package insight documents each). It comes from a model and is data only: it is
// shape-checked and clipped before it is stored, and nothing in it may change an entry, its tags or who can see it.
type Insight struct {
	ID           uuid.UUID
	UserID       uuid.UUID
	EntryID      uuid.UUID // uuid.Nil for a weekly insight
	EntryVersion int32
	Period       time.Time // the Monday of the week of a weekly insight
	Kind         Kind
	Data         json.RawMessage
	Provider     string
	Model        string
	Confidence   float32 // 0 to 1; 0: the provider gave none
	Tokens       int32
	CreatedAt    time.Time
}

// AllowsTask says whether a user's switches let tasks of the kind run. Off means off: no task is made, and one that
// waits is cancelled.
func (p Preferences) AllowsTask(k Kind) bool {
	return p.AIEnabled && !oneOf(string(k), p.DisabledTasks...)
}

// AIUsage is what a user's tasks asked of paid providers on one UTC day.
type AIUsage struct {
	Requests int32
	Tokens   int64
}

// Subject is the text that a task is about, read at the moment it runs. A weekly task has the week's entries.
type Subject struct {
	UserID  uuid.UUID
	Title   string
	Body    string
	Kind    string
	Project string
	Mood    int16 // 1 to 10; 0: none given
	Tags    []string
	At      time.Time
	Week    []SubjectEntry
}

// SubjectEntry is one entry of a week.
type SubjectEntry struct {
	Title    string
	Body     string
	Kind     string
	Project  string
	Impact   string
	Mood     int16
	Tags     []string
	Duration time.Duration
	At       time.Time
}
