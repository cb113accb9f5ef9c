package cutover

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/load"
)

// Show is where progress goes. Implementations need not be safe for use by several goroutines.
type Show interface {
	// Begin announces a phase and returns the function that ends it.
	Begin(what string) (end func(error))
	// Note says one thing inside a phase.
	Note(format string, args ...any)
	// Live is called a few times a second while a cutover runs.
	Live(Scene)
	// Curtain ends the live part; the last scene stays.
	Curtain()
}

// Scene is a cutover at one moment.
type Scene struct {
	From, To string
	Elapsed  time.Duration
	Status   v1alpha1.EngLogInstanceStatus
	Steps    []StepTime
	Tick     load.Tick
	Notes    []string
	Done     bool
}

// StepTime is one step of a rollout with the time spent in it, so far for the last.
type StepTime struct {
	Step    v1alpha1.Step
	At      time.Time
	Seconds float64
}

// Step is the step that the scene shows.
func (s Scene) Step() v1alpha1.Step {
	if s.Status.Rollout == nil {
		return v1alpha1.StepStable
	}
	return s.Status.Rollout.Step
}

// Message is what the operator says about the rollout.
func (s Scene) Message() string {
	if s.Status.Rollout == nil {
		return ""
	}
	return s.Status.Rollout.Message
}

// Lines is a Show without a terminal: one line per event, and one each five seconds of a cutover.
type Lines struct {
	Out io.Writer

	mu   sync.Mutex
	step v1alpha1.Step
	said time.Duration
}

// Begin prints the phase and, at its end, how long it took.
func (l *Lines) Begin(what string) func(error) {
	start := time.Now()
	l.Note("%s ...", what)
	return func(err error) {
		if err != nil {
			l.Note("%s: FAILED after %.1f s", what, time.Since(start).Seconds())
			return
		}
		l.Note("%s: done in %.1f s", what, time.Since(start).Seconds())
	}
}

// Note prints one line.
func (l *Lines) Note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.Out, format+"\n", args...)
}

// Live prints a line when the step changes, and every five seconds.
func (l *Lines) Live(s Scene) {
	if s.Step() == l.step && s.Elapsed-l.said < 5*time.Second {
		return
	}
	l.step, l.said = s.Step(), s.Elapsed
	l.Note("%6.1f s  %-17s %4d req/s  sent %7d  failed %d  %s",
		s.Elapsed.Seconds(), s.Step(), s.Tick.PerSecond, s.Tick.Sent, s.Tick.Failed, s.Message())
}

// Curtain starts the next cutover afresh.
func (l *Lines) Curtain() { l.step, l.said = "", 0 }
