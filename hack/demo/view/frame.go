// Package view draws a cutover for a person: in a terminal with plain ANSI sequences, or as an SVG picture. It decides
// nothing and is handed all that it draws; it must never import a client of any kind.
package view

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// Style is how a piece of text looks.
type Style uint8

// The styles. Blue and Green are the two colors of a cutover.
const (
	Plain Style = iota
	Bold
	Dim
	Blue
	Green
	Good
	Bad
)

// Span is a piece of text in one style.
type Span struct {
	Style Style
	Text  string
}

// Line is one row of a frame.
type Line []Span

// History is what is drawn of the seconds before: answers per second of each color, oldest first.
type History struct {
	seconds int
	before  map[v1alpha1.Color]int
	rates   map[v1alpha1.Color][]int
}

// historyWidth is how many seconds are drawn.
const historyWidth = 60

// colors are the slots in the order in which they are drawn, and their looks.
var colors = []struct {
	color v1alpha1.Color
	style Style
}{{v1alpha1.Blue, Blue}, {v1alpha1.Green, Green}}

// Add takes in a scene; once a second it becomes a column of the history.
func (h *History) Add(s cutover.Scene) {
	if h.rates == nil {
		h.rates, h.before = map[v1alpha1.Color][]int{}, map[v1alpha1.Color]int{}
	}
	second := int(s.Tick.Seconds)
	if second <= h.seconds {
		return
	}
	elapsed := second - h.seconds
	h.seconds = second
	total := answersByColor(s)
	for _, c := range colors {
		rate := max(total[c.color]-h.before[c.color], 0) / elapsed
		h.rates[c.color] = append(h.rates[c.color], slices.Repeat([]int{rate}, elapsed)...)
		if extra := len(h.rates[c.color]) - historyWidth; extra > 0 {
			h.rates[c.color] = h.rates[c.color][extra:]
		}
	}
	h.before = total
}

// answersByColor adds the answers of each revision to the color that it runs in.
func answersByColor(s cutover.Scene) map[v1alpha1.Color]int {
	out := map[v1alpha1.Color]int{}
	seen := map[string]bool{}
	for _, r := range []*v1alpha1.RevisionStatus{s.Status.Active, s.Status.Candidate, s.Status.Previous} {
		if r != nil && !seen[r.Revision] {
			seen[r.Revision] = true
			out[r.Color] += s.Tick.Revisions[r.Revision]
		}
	}
	return out
}

// Frame draws a scene.
func Frame(s cutover.Scene, h *History) []Line {
	out := []Line{
		{{Bold, fmt.Sprintf(" EngLog cutover  %s → %s", s.From, s.To)}, {Dim, fmt.Sprintf("%40s", clock(s.Elapsed))}},
		{},
	}
	out = append(out, stepLines(s)...)
	out = append(out, Line{})
	out = append(out, colorLines(s)...)
	out = append(out, Line{})
	out = append(out, trafficLines(s, h)...)
	if m := s.Message(); m != "" && !s.Done {
		out = append(out, Line{}, Line{{Dim, " " + m}})
	}
	for _, n := range s.Notes {
		out = append(out, Line{{Bad, " ! "}, {Plain, n}})
	}
	return out
}

func clock(d time.Duration) string {
	seconds := int(max(d, 0).Seconds())
	return fmt.Sprintf("%02d:%02d", seconds/60, seconds%60)
}

// stepLines shows the straight path, and any step beside it that the rollout took.
func stepLines(s cutover.Scene) []Line {
	spent := map[v1alpha1.Step]float64{}
	path := cutover.Path()
	for _, st := range s.Steps {
		spent[st.Step] += st.Seconds
		if !slices.Contains(path, st.Step) {
			path = append(path, st.Step)
		}
	}
	var out []Line
	for _, step := range path {
		seconds, been := spent[step]
		switch {
		case been && step == s.Step() && !s.Done:
			out = append(out, Line{{Bold, fmt.Sprintf(" ● %-18s", step)}, {Plain, fmt.Sprintf("%6.1f s", seconds)}})
		case been:
			out = append(out, Line{{Good, " ✓ "}, {Plain, fmt.Sprintf("%-18s%6.1f s", step, seconds)}})
		default:
			out = append(out, Line{{Dim, fmt.Sprintf(" ○ %s", step)}})
		}
	}
	return out
}

func colorLines(s cutover.Scene) []Line {
	var out []Line
	for _, c := range colors {
		role, r := roleOf(s.Status, c.color)
		line := Line{{c.style, fmt.Sprintf(" %-6s", strings.ToLower(string(c.color)))}}
		if r == nil {
			out = append(out, append(line, Span{Dim, "empty"}))
			continue
		}
		line = append(line, Span{Plain, fmt.Sprintf("%-7s ", r.Version)}, Span{Dim, fmt.Sprintf("%-11s", r.Revision)},
			Span{Bold, fmt.Sprintf("%-10s", role)})
		out = append(out, append(line, podSpans(s.Status, c.color)...))
	}
	return out
}

func roleOf(s v1alpha1.EngLogInstanceStatus, color v1alpha1.Color) (string, *v1alpha1.RevisionStatus) {
	switch {
	case s.Active != nil && s.Active.Color == color:
		return "active", s.Active
	case s.Candidate != nil && s.Candidate.Color == color:
		return "candidate", s.Candidate
	case s.Previous != nil && s.Previous.Color == color:
		return "previous", s.Previous
	}
	return "", nil
}

func podSpans(s v1alpha1.EngLogInstanceStatus, color v1alpha1.Color) []Span {
	var out []Span
	for _, c := range s.Components {
		if c.Color != color {
			continue
		}
		style := Good
		if c.Ready < c.Desired {
			style = Plain
		}
		out = append(out, Span{Dim, fmt.Sprintf(" %s ", strings.ToLower(string(c.Name)))}, Span{style, fmt.Sprintf("%d/%d ", c.Ready, c.Desired)})
	}
	return out
}

func trafficLines(s cutover.Scene, h *History) []Line {
	failed := Span{Good, fmt.Sprintf("failed %d", s.Tick.Failed)}
	if s.Tick.Failed > 0 {
		failed.Style = Bad
	}
	out := []Line{{
		{Bold, fmt.Sprintf(" %4d req/s", s.Tick.PerSecond)}, {Plain, fmt.Sprintf("   sent %d   ", s.Tick.Sent)}, failed,
		{Dim, fmt.Sprintf("   p99 %.1f ms", s.Tick.P99)},
	}}
	most := 1
	for _, rates := range h.rates {
		most = max(most, slices.Max(rates))
	}
	for _, c := range colors {
		out = append(out, Line{
			{Dim, fmt.Sprintf(" %-6s", strings.ToLower(string(c.color)))}, {c.style, bars(h.rates[c.color], most)},
		})
	}
	return out
}

// bars draws a row of numbers as blocks of eight heights; nothing at all is a dot.
func bars(values []int, most int) string {
	blocks := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		if v == 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(blocks[int(math.Ceil(float64(v)/float64(most)*8))-1])
	}
	return b.String()
}
