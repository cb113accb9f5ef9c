package probe

import (
	"fmt"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// verdict is what one try says about the revision that is meant.
type verdict int

const (
	// passed: every target answered as it should.
	passed verdict = iota
	// failed: the revision answered wrongly, or could not be reached while the other color could.
	failed
	// pending: nobody has answered for the revision yet.
	pending
	// blind: nothing could be seen, of either color.
	blind
	// missed: a Service could not be reached while the other color could. It is a failure, except at first.
	missed
)

// outcome is one try in a word and a sentence.
type outcome struct {
	verdict verdict
	message string
}

// maxMessage keeps findings short enough for a status.
const maxMessage = 256

// tally counts one try. A check passes with its last tries in a row and fails with all of its failures; a try that saw nothing counts as
// neither, and the check stays inconclusive until it passes or fails, so that a flapping network does not make it flap.
func tally(f world.Finding, p plan.Probe, o outcome) world.Finding {
	f.Message = clip(o.message, maxMessage)
	switch o.verdict {
	case passed:
		f.Successes++
		if f.Successes >= p.Successes {
			f.Result, f.Message = v1alpha1.CheckPassed, fmt.Sprintf("passed %d times in a row", p.Successes)
		}
	case failed, missed: // a miss that weigh has let through
		f.Successes = 0
		f.Failures++
		if f.Failures > p.Failures {
			f.Result = v1alpha1.CheckFailed
			f.Message = clip(fmt.Sprintf("%s (failed %d times, %d allowed)", o.message, f.Failures, p.Failures), maxMessage)
			return f
		}
		f.Result = unpassed(f.Result)
	case pending:
		f.Successes = 0
		f.Result = unpassed(f.Result)
	case blind:
		f.Result = v1alpha1.CheckInconclusive
	}
	return f
}

// unpassed is the result of a check whose row of successes has been broken.
func unpassed(r v1alpha1.CheckResult) v1alpha1.CheckResult {
	if r == v1alpha1.CheckPassed {
		return v1alpha1.CheckRunning
	}
	return r
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n-3] + "..."
}
