package englog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// EntryID identifies an entry; a UUID of version 7, so ids of one user sort by
// time of creation.
type EntryID = uuid.UUID

// Limits of an entry's fields; lengths in characters unless said otherwise.
const (
	DefaultMaxContentSize = 50_000 // bytes of body plus metadata: MAX_CONTENT_SIZE
	MaxTitleLength        = 200
	MaxProjectLength      = 100
	MaxImpactLength       = 1_000
	MaxTags               = 20
	MaxTagLength          = 50
	MaxDurationMinutes    = 7 * 24 * 60
)

// Kinds of an entry.
var entryKinds = []string{"note", "delivery", "review", "design", "incident", "mentoring", "learning", "meeting"}

// EntryKinds lists the kinds an entry may have; the first is the default.
func EntryKinds() []string { return slices.Clone(entryKinds) }

// Entry is one version of what a user wrote.
type Entry struct {
	ID     EntryID
	UserID UserID
	// Version starts at 1 and grows by one with each edit; it is the entry's ETag.
	Version int32
	EntryContent
	// Summary is the newest summary insight; empty until there is one. It is
	// searched, and never written by the user.
	Summary string
	// Source is "session" or the name of the personal access token used.
	Source    string
	CreatedAt time.Time
	UpdatedAt time.Time
	// ReadingMinutes is computed from the body (200 words a minute, rounded up).
	// Releases that do not know it leave it 0.
	ReadingMinutes int32
}

// EntryContent is the part of an entry that its author decides.
type EntryContent struct {
	Title   string
	Body    string // Markdown, stored as it was sent
	Kind    string
	Project string
	Impact  string
	// DurationMinutes is how long the work took; 0 means not said.
	DurationMinutes int32
	// Mood is 1 (bad) to 10 (good); 0 means not said.
	Mood int16
	// OccurredAt is when it happened; the time of creation unless said.
	OccurredAt time.Time
	Tags       []string
	// Metadata is any JSON object; nil means none.
	Metadata json.RawMessage
}

// Check normalises the content in place and reports every field that breaks a
// rule. maxContent is the limit for body plus metadata, in bytes.
func (c *EntryContent) Check(maxContent int, now time.Time) error {
	c.Title, c.Project = strings.TrimSpace(c.Title), strings.TrimSpace(c.Project)
	if c.Kind == "" {
		c.Kind = entryKinds[0]
	}
	if c.OccurredAt.IsZero() {
		c.OccurredAt = now
	}
	c.OccurredAt = c.OccurredAt.UTC().Truncate(time.Microsecond)
	bad := c.checkText()
	bad = append(bad, c.checkNumbers()...)
	bad = append(bad, c.checkTags()...)
	bad = append(bad, c.checkMetadata()...)
	if len(bad) > 0 {
		return InvalidFields(bad)
	}
	if n := len(c.Body) + len(c.Metadata); n > maxContent {
		return &Error{Code: CodeTooLarge, Message: fmt.Sprintf("Body and metadata have %d bytes together; the limit is %d.", n, maxContent)}
	}
	return nil
}

func (c *EntryContent) checkText() (bad []FieldError) {
	if strings.TrimSpace(c.Body) == "" {
		bad = append(bad, FieldError{"body", "must not be empty"})
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{{"title", c.Title, MaxTitleLength}, {"project", c.Project, MaxProjectLength}, {"impact", c.Impact, MaxImpactLength}, {"body", c.Body, 1 << 30}} {
		switch {
		case !utf8.ValidString(f.value) || strings.ContainsRune(f.value, 0):
			bad = append(bad, FieldError{f.name, "must be valid UTF-8 without NUL"})
		case len(f.value) > f.limit && utf8.RuneCountInString(f.value) > f.limit:
			bad = append(bad, FieldError{f.name, fmt.Sprintf("must have at most %d characters", f.limit)})
		}
	}
	if !slices.Contains(entryKinds, c.Kind) {
		bad = append(bad, FieldError{"kind", "must be one of " + strings.Join(entryKinds, ", ")})
	}
	return bad
}

func (c *EntryContent) checkNumbers() (bad []FieldError) {
	if c.Mood < 0 || c.Mood > 10 {
		bad = append(bad, FieldError{"mood", "must be an integer from 1 to 10"})
	}
	if c.DurationMinutes < 0 || c.DurationMinutes > MaxDurationMinutes {
		bad = append(bad, FieldError{"duration_minutes", "must be an integer from 1 to 10080"})
	}
	if y := c.OccurredAt.Year(); y < 1900 || y > 2200 {
		bad = append(bad, FieldError{"occurred_at", "must lie between the years 1900 and 2200"})
	}
	return bad
}

func (c *EntryContent) checkTags() (bad []FieldError) {
	if len(c.Tags) > MaxTags {
		return []FieldError{{"tags", "must have at most 20 items"}}
	}
	kept := make([]string, 0, len(c.Tags))
	for i, raw := range c.Tags {
		tag, err := NormalizeTag(raw)
		if err != nil {
			bad = append(bad, FieldError{fmt.Sprintf("tags[%d]", i), err.Error()})
			continue
		}
		if !slices.Contains(kept, tag) {
			kept = append(kept, tag)
		}
	}
	c.Tags = kept
	return bad
}

func (c *EntryContent) checkMetadata() []FieldError {
	trimmed := bytes.TrimSpace(c.Metadata)
	if len(trimmed) == 0 || bytes.Equal(trimmed, []byte("null")) {
		c.Metadata = nil
		return nil
	}
	if trimmed[0] != '{' || !json.Valid(trimmed) {
		return []FieldError{{"metadata", "must be a JSON object"}}
	}
	// PostgreSQL's jsonb cannot hold U+0000.
	if bytes.Contains(trimmed, []byte(`\u0000`)) || !utf8.Valid(trimmed) {
		return []FieldError{{"metadata", "must be valid UTF-8 without NUL"}}
	}
	if depth(trimmed) > 32 {
		return []FieldError{{"metadata", "must not nest deeper than 32 levels"}}
	}
	c.Metadata = trimmed
	return nil
}

// depth returns the deepest nesting of valid JSON.
func depth(raw []byte) (deepest int) {
	level, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch ch := raw[i]; {
		case inString && ch == '\\':
			i++
		case ch == '"':
			inString = !inString
		case inString:
		case ch == '{' || ch == '[':
			level++
			deepest = max(deepest, level)
		case ch == '}' || ch == ']':
			level--
		}
	}
	return deepest
}

// NormalizeTag returns a tag in the form that is stored: lower case, single
// inner spaces, letters, digits and - _ . / + # only.
func NormalizeTag(raw string) (string, error) {
	tag := strings.Join(strings.Fields(strings.ToLower(raw)), " ")
	if n := utf8.RuneCountInString(tag); n == 0 || n > MaxTagLength {
		return "", fmt.Errorf("must have 1 to %d characters", MaxTagLength)
	}
	for _, r := range tag {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune(" -_./+#", r) {
			return "", fmt.Errorf("must hold letters, digits, spaces and - _ . / + # only")
		}
	}
	return tag, nil
}

// WordCount counts the words of a text as a reader would.
func WordCount(text string) int { return len(strings.Fields(text)) }

// ReadingMinutes is the reading time of a text at 200 words a minute, rounded up.
func ReadingMinutes(text string) int32 { return int32((WordCount(text) + 199) / 200) }
