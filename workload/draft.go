package englog

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// DraftRequest asks for a draft of an entry. It travels from the API to a worker.
type DraftRequest struct {
	ID          uuid.UUID
	UserID      UserID
	Prompt      string
	Background  string
	RequestID   string
	TraceParent string
}

// DraftAnswer is what became of a DraftRequest. Without data, ErrorCode says why: the code of a Failure.
type DraftAnswer struct {
	Data      json.RawMessage
	Provider  string
	ErrorCode string
	// RetryAfter is when it is worth asking again; 0: not known.
	RetryAfter time.Duration
}
