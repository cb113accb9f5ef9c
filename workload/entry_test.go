package englog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) // a Wednesday

func TestContentIsNormalised(t *testing.T) {
	c := EntryContent{Title: "  A  title ", Body: "b", Tags: []string{"Go", " go ", "Load  Test"}, Metadata: []byte(" null ")}
	if err := c.Check(1000, noon); err != nil {
		t.Fatal(err)
	}
	if c.Title != "A  title" || c.Kind != "note" || !c.OccurredAt.Equal(noon) || !slices.Equal(c.Tags, []string{"go", "load test"}) || c.Metadata != nil {
		t.Errorf("got %+v", c)
	}
}

func TestContentRulesNameTheField(t *testing.T) {
	for field, c := range map[string]EntryContent{
		"body":             {Body: "\n\t "},
		"title":            {Body: "b", Title: strings.Repeat("é", MaxTitleLength+1)},
		"kind":             {Body: "b", Kind: "poem"},
		"impact":           {Body: "b", Impact: "a\x00b"},
		"mood":             {Body: "b", Mood: 11},
		"duration_minutes": {Body: "b", DurationMinutes: -1},
		"occurred_at":      {Body: "b", OccurredAt: time.Date(1, 1, 1, 1, 0, 0, 0, time.UTC)},
		"tags":             {Body: "b", Tags: make([]string, MaxTags+1)},
		"tags[1]":          {Body: "b", Tags: []string{"ok", "a\u202eb"}},
		"metadata":         {Body: "b", Metadata: []byte(`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`)},
	} {
		var e *Error
		if err := c.Check(1000, noon); !errors.As(err, &e) || len(e.Fields) != 1 || e.Fields[0].Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	c := EntryContent{Body: strings.Repeat("x", 1001)}
	if err := c.Check(1000, noon); CodeOf(err) != CodeTooLarge {
		t.Errorf("got %v, want too_large", err)
	}
}

func TestCursorsSurviveTheRoundTrip(t *testing.T) {
	for _, c := range []Cursor{{OccurredAt: noon, ID: uuid.New()}, {Rank: 0.25, OccurredAt: time.UnixMicro(0).UTC(), ID: uuid.New()}} {
		got, err := ParseCursor(c.String())
		if err != nil || got != c {
			t.Errorf("got %+v, %v; want %+v", got, err, c)
		}
	}
	for _, bad := range []string{"x", "AAAA", strings.Repeat("_", 38)} {
		if _, err := ParseCursor(bad); CodeOf(err) != CodeInvalid {
			t.Errorf("%q: got %v, want invalid", bad, err)
		}
	}
}

func TestStreaks(t *testing.T) {
	today := DateOf(noon, time.UTC)
	for _, c := range []struct {
		days             []int
		current, longest int
	}{
		{nil, 0, 0}, {[]int{0}, 1, 1}, {[]int{-1}, 1, 1}, {[]int{-2}, 0, 1}, {[]int{0, -1, -2}, 3, 3}, {[]int{-5, -1, -4, -3, 0}, 2, 3},
	} {
		var days []Day
		for _, n := range c.days {
			days = append(days, Day{Date: today.Add(n), Entries: 1})
		}
		if current, longest := Streaks(days, today); current != c.current || longest != c.longest {
			t.Errorf("%v: got %d and %d, want %d and %d", c.days, current, longest, c.current, c.longest)
		}
	}
}

func TestMondays(t *testing.T) {
	for n := range 14 {
		d := DateOf(noon, time.UTC).Add(n)
		if m := d.Monday(); m.Weekday() != time.Monday || m.After(d.Time) || d.Sub(m.Time) > 6*24*time.Hour {
			t.Errorf("the Monday of %s is %s", d, m)
		}
	}
}

// What a user writes cannot change the shape of a summary, nor the order in
// which entries come.
func TestADigestIsDeterministicAndInert(t *testing.T) {
	entry := func(title string, hour int) Entry {
		return Entry{ID: uuid.NewSHA1(uuid.Nil, []byte(title)), EntryContent: EntryContent{Title: title, Kind: "note", OccurredAt: noon.Add(time.Duration(hour) * time.Hour)}}
	}
	entries := []Entry{entry("b\n# heading\n- item", 2), entry("a <script> [x](y) *z*", 1)}
	d := Digest{Kind: DigestWeek, Name: "Ada", From: DateOf(noon, time.UTC).Monday(), Until: DateOf(noon, time.UTC).Monday().Add(7), Zone: time.UTC, Entries: entries}
	first := d.Markdown()
	slices.Reverse(d.Entries)
	if again := d.Markdown(); again != first {
		t.Errorf("another order of entries gives\n%s\nafter\n%s", again, first)
	}
	if n := strings.Count(first, "\n#"); n != 1 || strings.Contains(first, "<script>") || !strings.Contains(first, `\[x\](y) \*z\*`) {
		t.Errorf("%d headings after the first in\n%s", n, first)
	}
}

func TestErrorsKeepTheirCode(t *testing.T) {
	wrapped := fmt.Errorf("do a thing: %w", Stale(7))
	if CodeOf(wrapped) != CodeStale || CodeOf(errors.New("x")) != CodeInternal || CodeOf(nil) != "" {
		t.Error("a code was lost")
	}
}

func TestReadingMinutes(t *testing.T) {
	for words, want := range map[int]int32{0: 0, 1: 1, 200: 1, 201: 2} {
		if got := ReadingMinutes(strings.Repeat("word ", words)); got != want {
			t.Errorf("%d words take %d minutes, want %d", words, got, want)
		}
	}
}
