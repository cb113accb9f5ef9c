package queue

import (
	"errors"
	"testing"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
)

func TestJudge(t *testing.T) {
	cause := errors.New("it broke")
	fail := func(class englog.FailureClass, after time.Duration) error {
		return &englog.Failure{Class: class, Code: "code", After: after, Err: cause}
	}
	for name, c := range map[string]struct {
		err     error
		attempt int
		random  float64
		want    Verdict
	}{
		"unknown error is retryable":        {cause, 1, 0, Verdict{State: englog.TaskReady, After: 2 * time.Second, Counts: true, Cause: englog.Cause{Code: "failed", Text: "it broke"}}},
		"jitter is full":                    {cause, 3, 0.5, Verdict{State: englog.TaskReady, After: 9 * time.Second, Counts: true, Cause: englog.Cause{Code: "failed", Text: "it broke"}}},
		"Retry-After is obeyed":             {fail(englog.FailureRetryable, time.Minute), 1, 0, Verdict{State: englog.TaskReady, After: time.Minute, Counts: true, Cause: englog.Cause{Code: "code", Text: "code: it broke"}}},
		"Retry-After is not for ever":       {fail(englog.FailureRetryable, 90*24*time.Hour), 1, 0, Verdict{State: englog.TaskReady, After: 24 * time.Hour, Counts: true, Cause: englog.Cause{Code: "code", Text: "code: it broke"}}},
		"exhausted is dead":                 {fail(englog.FailureRetryable, 0), 5, 0, Verdict{State: englog.TaskDead, Counts: true, Cause: englog.Cause{Code: "code", Text: "code: it broke"}}},
		"permanent is dead at once":         {fail(englog.FailurePermanent, 0), 1, 0, Verdict{State: englog.TaskDead, Cause: englog.Cause{Code: "code", Text: "code: it broke"}}},
		"not wanted is cancelled":           {fail(englog.FailureCancelled, 0), 5, 0, Verdict{State: englog.TaskCancelled, Cause: englog.Cause{Code: "code", Text: "code: it broke"}}},
		"an outage parks at no cost":        {fail(englog.FailureUnavailable, 0), 5, 0, Verdict{State: englog.TaskReady, After: 30 * time.Second, Cause: englog.Cause{Code: "code", Text: "code: it broke"}}},
		"an outage's own time, with jitter": {fail(englog.FailureUnavailable, 10*time.Second), 5, 0.5, Verdict{State: englog.TaskReady, After: 11 * time.Second, Cause: englog.Cause{Code: "code", Text: "code: it broke"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Judge(c.err, c.attempt, 5, c.random); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	for attempt := 1; attempt < 40; attempt++ {
		low, high := Backoff(attempt, 0), Backoff(attempt, 0.999999)
		if low != 2*time.Second || high > 15*time.Minute {
			t.Errorf("attempt %d: %s to %s", attempt, low, high)
		}
		if attempt > 1 && high < Backoff(attempt-1, 0.999999) {
			t.Errorf("attempt %d has a lower ceiling than the one before", attempt)
		}
	}
	if got := Backoff(20, 0.999999); got < 14*time.Minute {
		t.Errorf("the ceiling after many attempts is %s", got)
	}
}
