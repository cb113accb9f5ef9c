package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	englog "github.com/garnizeh/englog-operator/workload"
)

// entryInput is an entry as a client sends it.
type entryInput struct {
	Title           string          `json:"title"`
	Body            string          `json:"body"`
	Kind            string          `json:"kind"`
	Project         string          `json:"project"`
	Impact          string          `json:"impact"`
	DurationMinutes int32           `json:"duration_minutes"`
	Mood            int16           `json:"mood"`
	OccurredAt      time.Time       `json:"occurred_at"`
	Tags            []string        `json:"tags"`
	Metadata        json.RawMessage `json:"metadata"`
}

func (in entryInput) content() englog.EntryContent {
	return englog.EntryContent{Title: in.Title, Body: in.Body, Kind: in.Kind, Project: in.Project, Impact: in.Impact,
		DurationMinutes: in.DurationMinutes, Mood: in.Mood, OccurredAt: in.OccurredAt, Tags: in.Tags, Metadata: in.Metadata}
}

func etag[V int32 | int64](version V) string {
	return `"v` + strconv.FormatInt(int64(version), 10) + `"`
}

// parseETag reads the version that an edit is based on; bits are those of versions of its kind.
func parseETag(raw string, bits int) (int64, error) {
	if len(raw) < 4 || raw[:2] != `"v` || raw[len(raw)-1] != '"' {
		return 0, errNoETag
	}
	n, err := strconv.ParseInt(raw[2:len(raw)-1], 10, bits)
	if err != nil || n < 1 {
		return 0, errNoETag
	}
	return n, nil
}

var errNoETag = englog.Invalid("If-Match", `must be the ETag of the version that the edit is based on, for example "v1"`)

// appendEntry appends the JSON of an entry. It is written by hand because the
// lists and reads of entries are most of all traffic.
func appendEntry(b []byte, e *englog.Entry) []byte {
	b = append(b, `{"id":"`...)
	b = appendUUID(b, e.ID)
	b = append(b, `","version":`...)
	b = strconv.AppendInt(b, int64(e.Version), 10)
	b = appendText(b, `,"title":`, e.Title)
	b = appendText(b, `,"body":`, e.Body)
	b = appendText(b, `,"kind":`, e.Kind)
	b = appendText(b, `,"project":`, e.Project)
	b = appendText(b, `,"impact":`, e.Impact)
	if e.DurationMinutes > 0 {
		b = strconv.AppendInt(append(b, `,"duration_minutes":`...), int64(e.DurationMinutes), 10)
	}
	if e.Mood > 0 {
		b = strconv.AppendInt(append(b, `,"mood":`...), int64(e.Mood), 10)
	}
	b = append(b, `,"tags":[`...)
	for i, tag := range e.Tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, tag)
	}
	b = append(b, ']')
	if len(e.Metadata) > 0 {
		b = append(append(b, `,"metadata":`...), e.Metadata...)
	}
	b = appendText(b, `,"summary":`, e.Summary)
	b = appendText(b, `,"source":`, e.Source)
	if englog.HasReadingMinutes {
		b = strconv.AppendInt(append(b, `,"reading_minutes":`...), int64(englog.ReadingMinutes(e.Body)), 10)
	}
	b = appendTime(b, `,"occurred_at":"`, e.OccurredAt)
	b = appendTime(b, `,"created_at":"`, e.CreatedAt)
	b = appendTime(b, `,"updated_at":"`, e.UpdatedAt)
	return append(b, '}')
}

func appendText(b []byte, name, value string) []byte { return appendString(append(b, name...), value) }

func appendTime(b []byte, name string, t time.Time) []byte {
	return append(t.AppendFormat(append(b, name...), time.RFC3339Nano), '"')
}

const hexDigits = "0123456789abcdef"

func appendUUID(b []byte, id [16]byte) []byte {
	for i, v := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, hexDigits[v>>4], hexDigits[v&15])
	}
	return b
}

// appendString appends a JSON string (RFC 8259, section 7). Bytes that are no
// UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		ch := s[i]
		if ch >= 0x20 && ch != '"' && ch != '\\' && ch < utf8.RuneSelf {
			i++
			continue
		}
		if ch >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			b = append(append(b, s[start:i]...), "\ufffd"...)
			i++
			start = i
			continue
		}
		b = appendEscaped(append(b, s[start:i]...), ch)
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscaped(b []byte, ch byte) []byte {
	switch ch {
	case '"', '\\':
		return append(b, '\\', ch)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, fmt.Sprintf(`\u%04x`, ch)...)
}
