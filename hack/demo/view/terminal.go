package view

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// ansi has the escape sequence of each style.
var ansi = map[Style]string{
	Bold: "\x1b[1m", Dim: "\x1b[2m", Blue: "\x1b[94m", Green: "\x1b[92m", Good: "\x1b[32m", Bad: "\x1b[1;31m",
}

// Terminal shows a cutover by drawing over the last frame.
type Terminal struct {
	Out   io.Writer
	Width int // columns; longer lines are cut

	history History
	drawn   int // lines of the frame on the screen
}

// New is a Terminal when f is one, and lines of text otherwise.
func New(f *os.File) cutover.Show {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || os.Getenv("TERM") == "dumb" {
		return &cutover.Lines{Out: f}
	}
	return &Terminal{Out: f, Width: width}
}

// Begin prints the phase, and at its end a line with its duration.
func (t *Terminal) Begin(what string) func(error) {
	start := time.Now()
	t.Note("%s▸%s %s", ansi[Bold], reset, what)
	return func(err error) {
		mark := ansi[Good] + "✓" + reset
		if err != nil {
			mark = ansi[Bad] + "✗" + reset
		}
		t.Note("%s %s %s%.1f s%s", mark, what, ansi[Dim], time.Since(start).Seconds(), reset)
	}
}

const reset = "\x1b[0m"

// Note prints a line above the next frame.
func (t *Terminal) Note(format string, args ...any) {
	t.drawn = 0
	_, _ = fmt.Fprintf(t.Out, format+"\n", args...)
}

// Live draws the scene over the one before.
func (t *Terminal) Live(s cutover.Scene) {
	t.history.Add(s)
	lines := Frame(s, &t.history)
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.drawn)
	}
	for _, l := range lines {
		b.WriteString("\r\x1b[2K" + l.ansi(t.Width) + "\n")
	}
	b.WriteString("\x1b[J") // the last frame may have been longer
	t.drawn = len(lines)
	_, _ = io.WriteString(t.Out, b.String())
}

// Curtain leaves the last frame where it is.
func (t *Terminal) Curtain() { t.drawn, t.history = 0, History{} }

// ansi renders a line within a number of columns.
func (l Line) ansi(width int) string {
	var b strings.Builder
	left := width - 1
	for _, s := range l {
		text := cut(s.Text, left)
		left -= utf8.RuneCountInString(text)
		if code := ansi[s.Style]; code != "" {
			b.WriteString(code + text + reset)
		} else {
			b.WriteString(text)
		}
	}
	return b.String()
}

func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(n, 0)])
}
