package englog

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DigestKind is a form of summary over a period.
type DigestKind string

// The forms of summary. None needs a model: the same entries always give the
// same text.
const (
	DigestStandup DigestKind = "standup" // yesterday, today, in the way
	DigestWeek    DigestKind = "week"    // by kind, with numbers
	DigestBrag    DigestKind = "brag"    // by project, impact first
)

// Digest is a summary over a period.
type Digest struct {
	Kind     DigestKind
	Name     string // of the user
	From     Date   // included
	Until    Date   // not included
	Zone     *time.Location
	Project  string // empty: all
	Entries  []Entry
	Insights []string // sentences that a model wrote about the period; may be empty
}

// kindTitles are the headings of a weekly review, in the order of the page.
var kindTitles = []struct{ kind, title string }{
	{"delivery", "Delivered"}, {"design", "Designed"}, {"review", "Reviewed"}, {"incident", "Incidents"}, {"mentoring", "Helped others"},
	{"learning", "Learned"}, {"meeting", "Meetings"}, {"note", "Notes"},
}

// Markdown writes the summary. What users wrote is put on one line and escaped,
// so that no entry can change the shape of the document.
func (d Digest) Markdown() string {
	entries := slices.Clone(d.Entries)
	slices.SortFunc(entries, func(a, b Entry) int {
		if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	var b strings.Builder
	switch d.Kind {
	case DigestStandup:
		d.standup(&b, entries)
	case DigestBrag:
		d.brag(&b, entries)
	default:
		d.week(&b, entries)
	}
	return b.String()
}

func (d Digest) heading(b *strings.Builder, title string) {
	last := d.Until.Add(-1)
	period := d.From.String()
	if !last.Equal(d.From.Time) {
		period += " to " + last.String()
	}
	fmt.Fprintf(b, "# %s: %s\n\n%s", title, oneLine(d.Name, 100), period)
	if d.Project != "" {
		fmt.Fprintf(b, ", project %s", oneLine(d.Project, 100))
	}
	b.WriteString("\n\n")
}

func (d Digest) standup(b *strings.Builder, entries []Entry) {
	d.heading(b, "Standup")
	today := d.Until.Add(-1)
	var before, now, blocked []Entry
	for _, e := range entries {
		switch {
		case e.Kind == "incident" || slices.Contains(e.Tags, "blocked") || slices.Contains(e.Tags, "blocker"):
			blocked = append(blocked, e)
		case DateOf(e.OccurredAt, d.Zone).Before(today.Time):
			before = append(before, e)
		default:
			now = append(now, e)
		}
	}
	section(b, "Before today", before, line)
	section(b, "Today", now, line)
	section(b, "In the way", blocked, line)
}

func (d Digest) week(b *strings.Builder, entries []Entry) {
	d.heading(b, "Weekly review")
	d.numbers(b, entries)
	for _, sentence := range d.Insights {
		fmt.Fprintf(b, "> %s\n\n", oneLine(sentence, 500))
	}
	for _, group := range kindTitles {
		var some []Entry
		for _, e := range entries {
			if e.Kind == group.kind {
				some = append(some, e)
			}
		}
		if len(some) > 0 {
			section(b, group.title, some, line)
		}
	}
}

// numbers is one line on how much there is.
func (d Digest) numbers(b *strings.Builder, entries []Entry) {
	minutes, moods, sum := int32(0), 0, 0
	for _, e := range entries {
		minutes += e.DurationMinutes
		if e.Mood > 0 {
			moods, sum = moods+1, sum+int(e.Mood)
		}
	}
	fmt.Fprintf(b, "%d entries", len(entries))
	if minutes > 0 {
		fmt.Fprintf(b, ", %d h %02d min", minutes/60, minutes%60)
	}
	if moods > 0 {
		fmt.Fprintf(b, ", mood %.1f of 10", float64(sum)/float64(moods))
	}
	b.WriteString("\n\n")
}

func (d Digest) brag(b *strings.Builder, entries []Entry) {
	d.heading(b, "Brag document")
	d.numbers(b, entries)
	projects := map[string][]Entry{}
	for _, e := range entries {
		projects[e.Project] = append(projects[e.Project], e)
	}
	names := make([]string, 0, len(projects))
	for name := range projects {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if (a == "") != (b == "") {
			return len(b) - len(a) // work without a project comes last
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		list := projects[name]
		slices.SortStableFunc(list, func(a, b Entry) int { return weight(b) - weight(a) })
		title := oneLine(name, 100)
		if name == "" {
			title = "Other work"
		}
		section(b, title, list, lineWithImpact)
	}
}

// weight puts what had an impact first.
func weight(e Entry) int {
	if e.Impact != "" {
		return 1
	}
	return 0
}

func section(b *strings.Builder, title string, entries []Entry, line func(Entry) string) {
	fmt.Fprintf(b, "## %s\n\n", title)
	if len(entries) == 0 {
		b.WriteString("Nothing.\n\n")
		return
	}
	for _, e := range entries {
		b.WriteString("- " + line(e) + "\n")
	}
	b.WriteString("\n")
}

// line is an entry in a few words: its title, else its summary, else how it begins.
func line(e Entry) string {
	text := e.Title
	if text == "" {
		text = e.Summary
	}
	if text == "" {
		text = e.Body
	}
	out := oneLine(text, 160)
	if e.Project != "" {
		out += " (" + oneLine(e.Project, 100) + ")"
	}
	return out
}

func lineWithImpact(e Entry) string {
	e.Project = ""
	out := line(e)
	if e.Impact != "" {
		out += " — **" + oneLine(e.Impact, 300) + "**"
	}
	return out
}

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", `&lt;`, ">", `&gt;`, "#", `\#`, "|", `\|`, "!", `\!`)

// oneLine puts text on one line of at most n characters and escapes Markdown.
func oneLine(text string, n int) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > n {
		runes = append(runes[:n-1], '…')
	}
	return markdownEscapes.Replace(string(runes))
}
