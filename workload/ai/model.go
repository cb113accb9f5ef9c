package ai

import (
	"context"
	"encoding/json"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Schema is the shape of an answer.
type Schema struct {
	Name string          // letters, digits, underscores
	JSON json.RawMessage // JSON Schema, in the subset that strict structured output takes
	// Check returns the answer reduced to the shape: unknown fields dropped, texts clipped. Its error says what is wrong
	// with the answer in words that a model can act on.
	Check func(json.RawMessage) (json.RawMessage, error)
}

// Request asks for one thing about one subject.
type Request struct {
	Kind        englog.Kind // what Builtin computes
	Instruction string      // what the model is told to do
	Subject     englog.Subject
	Prompt      string // what a user asks for (generation); data as well
	Schema      Schema
	// RequestID is sent along, so that the provider's records can be matched with ours: the id of the task.
	RequestID string
}

// Completion is an answer that passed its schema.
type Completion struct {
	Data       json.RawMessage
	Provider   string
	Model      string
	Confidence float32 // 0 to 1; 0: not given
	Tokens     int32
	Requests   int32 // how many requests it took
}

// Model is one provider. Its errors are *englog.Failure; a Completion beside an error tells what was used nonetheless.
type Model interface {
	Name() string
	// Paid says whether requests count against a user's budget.
	Paid() bool
	Complete(ctx context.Context, r Request) (Completion, error)
}
