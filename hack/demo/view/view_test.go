package view

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
)

// scenes are a cutover in which green takes over after 12 seconds.
func scenes() []cutover.Scene {
	var out []cutover.Scene
	blue, green := 0, 0
	for second := 1; second <= 20; second++ {
		if second <= 12 {
			blue += 200
		} else {
			green += 200
		}
		out = append(out, cutover.Scene{
			From: "1.0.0", To: "1.1.0", Elapsed: time.Duration(second) * time.Second,
			Steps: []cutover.StepTime{
				{Step: v1alpha1.StepPreparing, Seconds: .3}, {Step: v1alpha1.StepMigrating, Seconds: 1.9}, {Step: v1alpha1.StepConfirming, Seconds: 8},
			},
			Status: v1alpha1.EngLogInstanceStatus{
				Active:   &v1alpha1.RevisionStatus{Color: v1alpha1.Green, Revision: "bbbbbbbbbb", Version: "1.1.0"},
				Previous: &v1alpha1.RevisionStatus{Color: v1alpha1.Blue, Revision: "aaaaaaaaaa", Version: "1.0.0"},
				Rollout:  &v1alpha1.RolloutStatus{Step: v1alpha1.StepConfirming, Message: "watching the new revision"},
				Components: []v1alpha1.ComponentStatus{
					{Name: "API", Color: v1alpha1.Green, Desired: 2, Ready: 2}, {Name: "API", Color: v1alpha1.Blue, Desired: 2, Ready: 1},
				},
			},
			Tick: load.Tick{
				Seconds: float64(second), Sent: second * 200, PerSecond: 200, P99: 7.25,
				Revisions: map[string]int{"aaaaaaaaaa": blue, "bbbbbbbbbb": green},
			},
		})
	}
	return out
}

func text(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		for _, s := range l {
			b.WriteString(s.Text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func lastFrame() []Line {
	var h History
	var lines []Line
	for _, s := range scenes() {
		h.Add(s)
		lines = Frame(s, &h)
	}
	return lines
}

func TestFrameShowsStepsColorsAndTheSwitch(t *testing.T) {
	got := text(lastFrame())
	for _, want := range []string{
		"1.0.0 → 1.1.0", "00:20", "✓ Migrating            1.9 s", "● Confirming           8.0 s", "○ Retaining",
		"green 1.1.0   bbbbbbbbbb active     api 2/2", "blue  1.0.0   aaaaaaaaaa previous   api 1/2",
		"200 req/s   sent 4000   failed 0   p99 7.2 ms", "watching the new revision",
		"blue  ████████████········", "green ············████████",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the frame lacks %q:\n%s", want, got)
		}
	}
}

func TestFailuresAreBad(t *testing.T) {
	s := scenes()[0]
	s.Tick.Failed = 3
	for _, l := range Frame(s, &History{}) {
		for _, span := range l {
			if strings.Contains(span.Text, "failed 3") && span.Style == Bad {
				return
			}
		}
	}
	t.Error("three failures do not stand out")
}

func TestTerminalDrawsOverTheLastFrameWithinItsWidth(t *testing.T) {
	var b strings.Builder
	term := &Terminal{Out: &b, Width: 30}
	term.Live(scenes()[0])
	first := b.Len()
	if strings.Contains(b.String(), "A\r") {
		t.Error("the first frame moves the cursor up")
	}
	term.Live(scenes()[1])
	if second := b.String()[first:]; !strings.HasPrefix(second, "\x1b[") || !strings.Contains(second[:6], "A") {
		t.Errorf("the second frame begins %q, not by moving the cursor up", second[:6])
	}
	for _, l := range lastFrame() {
		plain := l.ansi(30)
		for _, code := range ansi {
			plain = strings.ReplaceAll(plain, code, "")
		}
		if n := len([]rune(strings.ReplaceAll(plain, reset, ""))); n > 29 {
			t.Errorf("a line of %d columns in a terminal of 30: %q", n, plain)
		}
	}
}

func TestPictureIsWellFormed(t *testing.T) {
	var b strings.Builder
	if err := WriteSVG(&b, lastFrame()); err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(b.String(), "Confirming") {
		t.Error("the picture shows nothing")
	}
}
