package queue

import (
	"errors"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Row is the part of a task that decides what may happen to it. Its methods are the whole state machine; each reports
// whether the transition was allowed, and changes nothing if it was not.
//
//	ready ──publish──▶ queued ──claim──▶ running ──finish──▶ done
//	  ▲                  │                  │ ├────kill────▶ dead ──rerun──▶ queued
//	  │                  │ message lost     │ └───cancel───▶ cancelled
//	  └──────────────────┴──────────────────┴─ retry, park, release, worker lost
type Row struct {
	State       englog.TaskState
	Attempt     int
	MaxAttempts int
	Crashes     int
	Runs        int
	RunAt       time.Time
	QueuedAt    time.Time
	LeaseUntil  time.Time
	Token       uuid.UUID
}

// Publish hands a due task to the transport.
func (r *Row) Publish(now time.Time) bool {
	if r.State != englog.TaskReady || r.RunAt.After(now) {
		return false
	}
	r.State, r.QueuedAt = englog.TaskQueued, now
	return true
}

// Unqueue takes back a task whose message was not sent after all, or is lost.
func (r *Row) Unqueue() bool {
	if r.State != englog.TaskQueued {
		return false
	}
	r.State = englog.TaskReady
	return true
}

// Claim gives the task to a worker. A late message for a task that was swept back to ready is still good, once it is due.
func (r *Row) Claim(now time.Time, token uuid.UUID, lease time.Duration) bool {
	if r.State != englog.TaskQueued && (r.State != englog.TaskReady || r.RunAt.After(now)) {
		return false
	}
	r.State, r.Token, r.LeaseUntil = englog.TaskRunning, token, now.Add(lease)
	r.Attempt++
	r.Runs++
	return true
}

func (r *Row) holds(token uuid.UUID) bool { return r.State == englog.TaskRunning && r.Token == token }

// Extend prolongs the lease. A lease that ended but that nobody swept yet still holds.
func (r *Row) Extend(now time.Time, token uuid.UUID, lease time.Duration) bool {
	if !r.holds(token) {
		return false
	}
	r.LeaseUntil = now.Add(lease)
	return true
}

// Finish ends the task with its insight.
func (r *Row) Finish(token uuid.UUID) bool {
	if !r.holds(token) {
		return false
	}
	r.State = englog.TaskDone
	return true
}

// End gives the task up (dead) or drops it (cancelled).
func (r *Row) End(token uuid.UUID, state englog.TaskState) bool {
	if !r.holds(token) {
		return false
	}
	r.State = state
	return true
}

// Retry gives the task back for later. Unless counts, the run cost no attempt.
func (r *Row) Retry(now time.Time, token uuid.UUID, after time.Duration, counts bool) bool {
	if !r.holds(token) {
		return false
	}
	r.State, r.RunAt = englog.TaskReady, now.Add(after)
	if !counts {
		r.Attempt = max(r.Attempt-1, 0)
	}
	return true
}

// Release gives the task back at once and at no cost: its worker shuts down.
func (r *Row) Release(now time.Time, token uuid.UUID) bool { return r.Retry(now, token, 0, false) }

// Sweep repairs the task if its message (older than stale) or its worker was lost. A lost worker costs no attempt, but a task
// that lost maxCrashes of them is dead: it may well be what kills them.
func (r *Row) Sweep(now time.Time, stale time.Duration, maxCrashes int) bool {
	switch {
	case r.State == englog.TaskQueued && r.QueuedAt.Before(now.Add(-stale)):
		return r.Unqueue()
	case r.State == englog.TaskRunning && r.LeaseUntil.Before(now):
		r.Crashes++
		r.Attempt = max(r.Attempt-1, 0)
		r.State, r.RunAt = englog.TaskReady, now
		if r.Crashes >= maxCrashes {
			r.State = englog.TaskDead
		}
		return true
	}
	return false
}

// Limits of retries.
const (
	backoffBase = 2 * time.Second
	backoffCap  = 15 * time.Minute
	parkTime    = 30 * time.Second
	longestWait = 24 * time.Hour // whatever the other side asks for
)

// Verdict is what becomes of a task after a failed run.
type Verdict struct {
	State  englog.TaskState // ready: again After that time; dead; cancelled
	After  time.Duration
	Counts bool // the run cost an attempt
	Cause  englog.Cause
}

// Judge decides about a failed run. Random is a number in [0, 1).
func Judge(err error, attempt, maxAttempts int, random float64) Verdict {
	failure := &englog.Failure{Code: "failed", Err: err}
	errors.As(err, &failure)
	v := Verdict{State: englog.TaskReady, Cause: englog.Cause{Code: failure.Code, Text: err.Error()}}
	switch failure.Class {
	case englog.FailureCancelled:
		v.State = englog.TaskCancelled
	case englog.FailurePermanent:
		v.State = englog.TaskDead
	case englog.FailureUnavailable:
		wait := failure.After
		if wait <= 0 {
			wait = parkTime
		}
		v.After = min(time.Duration(float64(wait)*(1+0.2*random)), longestWait)
	default:
		v.Counts = true
		if attempt >= maxAttempts {
			v.State = englog.TaskDead
			return v
		}
		v.After = max(Backoff(attempt, random), min(failure.After, longestWait))
	}
	return v
}

// Backoff is how long to wait after the given failed attempt (1, 2, ...): full jitter between 2 s and a ceiling that doubles
// from 4 s to 15 min, so that tasks which failed together do not come back together.
func Backoff(attempt int, random float64) time.Duration {
	ceiling := backoffCap
	if attempt < 12 {
		ceiling = min(backoffCap, backoffBase<<max(attempt, 1))
	}
	return backoffBase + time.Duration(random*float64(ceiling-backoffBase))
}
