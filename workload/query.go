package englog

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"
)

// Page sizes of every list.
const (
	DefaultPageSize = 20
	MaxPageSize     = 100
)

// EntryQuery selects entries of one user. Zero fields do not filter.
type EntryQuery struct {
	// Text is searched in title, summary and body with the syntax of web search
	// engines: words, "a phrase", or, -not. A query with Text is ordered by rank.
	Text string
	// AllTags must all be on the entry, one of AnyTags must, none of NoTags may.
	AllTags, AnyTags, NoTags []string
	// Untagged keeps entries without any tag.
	Untagged bool
	Kind     string
	Project  string
	// From and Until bound OccurredAt: From is included, Until is not.
	From, Until time.Time
	// MinMood and MaxMood bound the mood; an entry without one is left out.
	MinMood, MaxMood int16
	// Limit is the size of the page, 1 to MaxPageSize.
	Limit int
	// After continues behind the last entry of the page before.
	After Cursor
}

// Plain reports whether the query does not filter at all: the common list.
func (q EntryQuery) Plain() bool {
	return q.Text == "" && len(q.AllTags)+len(q.AnyTags)+len(q.NoTags) == 0 && !q.Untagged &&
		q.Kind == "" && q.Project == "" && q.From.IsZero() && q.Until.IsZero() && q.MinMood == 0 && q.MaxMood == 0
}

// Cursor is the position of an entry in a list: by time, newest first, or by
// rank, best first.
type Cursor struct {
	OccurredAt time.Time
	Rank       float32
	ID         EntryID
}

// IsZero reports whether the cursor stands before the first entry.
func (c Cursor) IsZero() bool { return c.ID == uuid.Nil }

// Next returns the position of a hit in the list that the query makes.
func (q EntryQuery) Next(h Hit) Cursor {
	if q.Text != "" {
		return Cursor{Rank: h.Rank, ID: h.ID}
	}
	return Cursor{OccurredAt: h.OccurredAt, ID: h.ID}
}

// String encodes the cursor for a client: opaque, safe in a URL.
func (c Cursor) String() string {
	var raw [28]byte
	binary.BigEndian.PutUint32(raw[:4], math.Float32bits(c.Rank))
	if !c.OccurredAt.IsZero() {
		binary.BigEndian.PutUint64(raw[4:12], uint64(c.OccurredAt.UnixMicro()))
	}
	copy(raw[12:], c.ID[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// ParseCursor decodes a cursor that a client sent back; the empty string is the start.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	bad := Invalid("cursor", "must be the next_cursor of an earlier page")
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != 28 {
		return Cursor{}, bad
	}
	rank := math.Float32frombits(binary.BigEndian.Uint32(raw[:4]))
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(raw[4:12]))).UTC()
	if y := at.Year(); y < 1000 || y > 3000 || rank != rank {
		return Cursor{}, bad
	}
	return Cursor{Rank: rank, OccurredAt: at, ID: uuid.UUID(raw[12:])}, nil
}

// Hit is an entry that a query found.
type Hit struct {
	Entry
	// Rank is higher for a better match; 0 without a text.
	Rank float32
	// Highlights is a passage of the entry in which matching words stand between
	// U+E000 and U+E001, two private characters that no HTML parser minds. Empty
	// without a text.
	Highlights string
}

// IdempotencyKey makes a create safe to repeat. The zero value means that the
// client sent none.
type IdempotencyKey struct {
	Key string
	// RequestHash tells whether a repeated key carries the same request.
	RequestHash []byte
}

// Saved is the answer that was stored with an idempotency key.
type Saved struct {
	Status int
	ETag   string
	Body   []byte
}

// Once makes a create safe to repeat: the key that came with it, and the answer
// that a repetition gets. The zero value is a create without a key.
type Once struct {
	Key   IdempotencyKey
	Saved Saved
}

// ErrKeyUsed is wrapped by the error of a create whose key was used before.
var ErrKeyUsed = errors.New("the key was used before")
