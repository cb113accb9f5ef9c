package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/garnizeh/englog-operator/controllers/plan"
)

// maxTogether bounds the targets of one try that are asked at the same time, so that one wide instance leaves room for the others.
const maxTogether = 16

// adminPort is where pods tell about themselves.
const adminPort = 8081

// try asks once, and asks the control when a target cannot be reached.
func (r *Runner) try(ctx context.Context, namespace string, p plan.Probe) outcome {
	if p.Protocol == plan.Prometheus {
		return r.query(ctx, p)
	}
	if len(p.Targets) == 0 {
		return outcome{pending, "there is no pod to ask yet"}
	}
	outcomes, unreached := r.askAll(ctx, namespace, p)
	worst := worstOf(outcomes)
	if unreached == nil || worst.verdict == failed {
		return worst
	}
	if errors.Is(unreached.err, ErrBlind) {
		return outcome{blind, unreached.err.Error()}
	}
	if len(p.Control) == 0 && p.Patient {
		// A first installation: the proxies may not know the Service yet, and there is nothing to go back to.
		return outcome{pending, unreached.Error()}
	}
	if len(p.Control) == 0 || r.reachable(ctx, namespace, p) {
		if unreached.target.Service != "" {
			return outcome{missed, unreached.Error()}
		}
		return outcome{failed, unreached.Error()}
	}
	return outcome{blind, unreached.Error() + ", and neither can " + nameOf(p.Control[0]) + ", which serves users: the network between is in doubt"}
}

// miss is a target that gave no answer.
type miss struct {
	target plan.Address
	err    error
}

func (m *miss) Error() string { return nameOf(m.target) + ": " + m.err.Error() }

// askAll asks every target once. It returns what those said that answered, and the first that did not, in the order of the targets.
func (r *Runner) askAll(ctx context.Context, namespace string, p plan.Probe) ([]outcome, *miss) {
	outcomes, misses := make([]outcome, len(p.Targets)), make([]*miss, len(p.Targets))
	var group errgroup.Group
	group.SetLimit(maxTogether)
	for i, target := range p.Targets {
		group.Go(func() error {
			outcomes[i], misses[i] = r.askOne(ctx, namespace, p, target)
			return nil
		})
	}
	_ = group.Wait() // no function of the group returns an error
	return outcomes, slices.MaxFunc(misses, func(a, b *miss) int { return rank(a) - rank(b) })
}

func (r *Runner) askOne(ctx context.Context, namespace string, p plan.Probe, target plan.Address) (outcome, *miss) {
	if target.Host == "" && target.IP == "" {
		return outcome{pending, nameOf(target) + " has no address yet"}, nil
	}
	answer, err := r.get(ctx, namespace, p, target)
	if err != nil {
		return outcome{}, &miss{target, err}
	}
	return judge(p, target, answer), nil
}

// rank prefers any miss over none, and one that says that nothing can be seen at all.
func rank(m *miss) int {
	switch {
	case m == nil:
		return 0
	case errors.Is(m.err, ErrBlind):
		return 2
	default:
		return 1
	}
}

func (r *Runner) get(ctx context.Context, namespace string, p plan.Probe, a plan.Address) (Answer, error) {
	return r.ask(ctx, p.Timeout, func(ctx context.Context) (Answer, error) {
		return r.options.Ask.Ask(ctx, namespace, http.MethodGet, a)
	})
}

// reachable says whether any control answers, whatever it says.
func (r *Runner) reachable(ctx context.Context, namespace string, p plan.Probe) bool {
	return slices.ContainsFunc(p.Control, func(a plan.Address) bool {
		_, err := r.get(ctx, namespace, p, a)
		return err == nil
	})
}

// worstOf is a failure if there is one, else what is pending, else a pass.
func worstOf(outcomes []outcome) outcome {
	worst := outcome{}
	for _, o := range outcomes {
		switch {
		case o.verdict == failed:
			return o
		case o.verdict == pending && worst.verdict == passed:
			worst = o
		}
	}
	return worst
}

// judge decides about one answer. It counts only when it carries the revision that is meant: whoever else answers, proves nothing.
func judge(p plan.Probe, target plan.Address, a Answer) outcome {
	revision, accepted := a.revision(target), accepts(p.Statuses, a.Status)
	switch {
	case p.Revision != "" && revision != p.Revision:
		o := outcome{failed, fmt.Sprintf("%s answered %d as %s instead of revision %s", nameOf(target), a.Status, revisionText(revision), p.Revision)}
		// Right after a switch the other color may still answer; an error page of a proxy in between is an error that users see.
		if p.Patient && (revision != "" || accepted) {
			o.verdict = pending
		}
		return o
	case !accepted:
		return outcome{failed, fmt.Sprintf("%s answered %d%s", nameOf(target), a.Status, a.reasons(target))}
	default:
		return outcome{}
	}
}

func accepts(statuses []int32, status int) bool {
	if len(statuses) == 0 {
		return status >= 200 && status < 400
	}
	return slices.Contains(statuses, int32(status))
}

func revisionText(revision string) string {
	if revision == "" {
		return "nobody (no X-Englog-Revision)"
	}
	return "revision " + revision
}

// nameOf names an address for people: no port, no IP.
func nameOf(a plan.Address) string {
	switch {
	case a.Pod != "":
		return "pod " + a.Pod
	case a.Service != "":
		return "Service " + a.Service
	default:
		return "host " + a.Host
	}
}

// readiness is what /readyz of the admin port says.
type readiness struct {
	Revision string   `json:"revision"`
	Reasons  []string `json:"reasons"`
}

func (a Answer) readiness(target plan.Address) readiness {
	var r readiness
	if target.Port != adminPort || json.Unmarshal(a.Body, &r) != nil {
		return readiness{}
	}
	return r
}

// revision is the header's, or on the admin port the body's.
func (a Answer) revision(target plan.Address) string {
	if a.Revision != "" {
		return plain(a.Revision, 16)
	}
	return plain(a.readiness(target).Revision, 16)
}

func (a Answer) reasons(target plan.Address) string {
	reasons := a.readiness(target).Reasons
	if len(reasons) == 0 {
		return ""
	}
	return ": " + plain(strings.Join(reasons, ", "), 160)
}

// plain makes text of a pod fit for a status: printable ASCII, bounded.
func plain(s string, n int) string {
	return clip(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s), n)
}
