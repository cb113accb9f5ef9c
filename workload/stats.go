package englog

import (
	"slices"
	"time"
)

// TagCount is how many entries carry a tag.
type TagCount struct {
	Tag      string    `json:"tag"`
	Count    int64     `json:"count"`
	LastUsed time.Time `json:"last_used"`
}

// NamedCount is how many entries have a kind or belong to a project.
type NamedCount struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// Day is what was written on one day of the user's calendar.
type Day struct {
	Date    Date  `json:"date"`
	Entries int64 `json:"entries"`
	Words   int64 `json:"words"`
	// Mood is the mean of the moods that were given; 0 if none was.
	Mood float64 `json:"mood,omitempty"`
}

// Totals are counts over all entries of a user.
type Totals struct {
	Entries  int64
	Words    int64
	Mood     float64 // mean of the moods that were given; 0 if none was
	First    time.Time
	Last     time.Time
	Kinds    []NamedCount
	Projects []NamedCount // the twenty largest
}

// Date is a day without a time, written as 2026-03-01.
type Date struct{ time.Time }

// DateOf returns the day of an instant in a zone.
func DateOf(t time.Time, zone *time.Location) Date {
	y, m, d := t.In(zone).Date()
	return Date{time.Date(y, m, d, 0, 0, 0, 0, time.UTC)}
}

// ParseDate reads 2026-03-01.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	return Date{t}, err
}

// Start is the first instant of the day in a zone.
func (d Date) Start(zone *time.Location) time.Time {
	return time.Date(d.Year(), d.Month(), d.Day(), 0, 0, 0, 0, zone)
}

// Add returns the day so many days later.
func (d Date) Add(days int) Date { return Date{d.AddDate(0, 0, days)} }

// Monday returns the first day of the week that holds the day.
func (d Date) Monday() Date { return d.Add(-(int(d.Weekday()) + 6) % 7) }

// String writes the day as 2026-03-01.
func (d Date) String() string { return d.Format(time.DateOnly) }

// MarshalText writes the day as 2026-03-01.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalJSON writes the day as "2026-03-01".
func (d Date) MarshalJSON() ([]byte, error) { return []byte(`"` + d.String() + `"`), nil }

// Streaks returns the longest run of consecutive days with an entry, and the
// one that reaches today or yesterday (today is not over yet).
func Streaks(days []Day, today Date) (current, longest int) {
	days = slices.Clone(days)
	slices.SortFunc(days, func(a, b Day) int { return a.Date.Compare(b.Date.Time) })
	run, last := 0, Date{}
	for _, d := range days {
		if d.Entries == 0 {
			continue
		}
		if run > 0 && d.Date.Equal(last.Add(1).Time) {
			run++
		} else {
			run = 1
		}
		last, longest = d.Date, max(longest, run)
	}
	if run > 0 && !last.Before(today.Add(-1).Time) {
		current = run
	}
	return current, longest
}
