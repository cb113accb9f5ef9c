package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/load"
)

// Run is the demo: everything from nothing to a summary. The result is nil when it did not come to a cutover.
func Run(ctx context.Context, o Options, show Show) (*Stage, *Result, error) {
	stage, err := Raise(ctx, o, show)
	if err != nil {
		return nil, nil, err
	}
	if err := stage.Install(ctx); err != nil {
		return stage, nil, err
	}
	if _, err := stage.Journey(ctx); err != nil {
		return stage, nil, err
	}
	result, err := stage.Cutover(ctx, map[string]any{"version": VersionNew})
	return stage, result, err
}

// settle is how long load runs before the spec changes and after the rollout has ended.
const settle = 3 * time.Second

// Cutover changes the spec under load, follows the rollout to its end, and looks for everything that was acknowledged.
// spec is a merge patch of the instance's spec that makes a new revision.
func (s *Stage) Cutover(ctx context.Context, spec map[string]any) (*Result, error) {
	cfg, err := s.loadConfig(ctx)
	if err != nil {
		return nil, err
	}
	var accounts *load.Accounts
	var entries []load.Entry
	err = s.phase(fmt.Sprintf("Register %d users", cfg.Users), func() (err error) {
		accounts, entries, err = load.Prepare(ctx, cfg, nil)
		return err
	})
	if err != nil {
		return nil, s.explained(ctx, err)
	}
	act := &act{Stage: s, spec: spec}
	s.show.Note("Load: %d requests a second from %d addresses; the spec changes in %s", cfg.Rate, len(cfg.Sources), settle)
	if act.run, err = load.Start(ctx, cfg, accounts); err != nil {
		return nil, err
	}
	err = act.play(ctx)
	act.run.Stop()
	s.show.Curtain()
	if err != nil {
		return nil, s.explained(ctx, fmt.Errorf("%w (requests failed: %d)", err, act.run.Report().Failed))
	}
	return act.judge(ctx, cfg, append(entries, act.run.Created()...))
}

// act is one cutover in progress.
type act struct {
	*Stage

	spec    map[string]any
	run     *load.Run
	before  *v1alpha1.EngLogInstance
	now     *v1alpha1.EngLogInstance
	applied time.Time
	ended   time.Time
	notes   []string
	killed  string
}

// play changes the spec and follows the rollout until it is over.
func (a *act) play(ctx context.Context) (err error) {
	if a.before, err = a.get(ctx); err != nil {
		return err
	}
	if a.before.Status.Active == nil {
		return errors.New("the instance has no active revision to cut over from")
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	a.applied, a.now = time.Now(), a.before
	generation, err := a.change(ctx, a.spec)
	if err != nil {
		return err
	}
	if err := a.follow(ctx, generation); err != nil {
		return err
	}
	return pause(ctx, settle)
}

// follow returns when the rollout is over, or patience is.
func (a *act) follow(ctx context.Context, generation int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.options.Patience,
		fmt.Errorf("the rollout is not over after %s", a.options.Patience))
	defer cancel()
	instances := a.instances(ctx)
	frames := time.NewTicker(250 * time.Millisecond)
	defer frames.Stop()
	for {
		select {
		case i, ok := <-instances:
			if !ok {
				return context.Cause(ctx)
			}
			a.see(ctx, i)
			if ended, err := verdict(a.before, i, generation); ended {
				a.ended = time.Now()
				a.show.Live(a.scene(true))
				return err
			}
		case <-frames.C:
			a.show.Live(a.scene(false))
		}
	}
}

// see takes in a new state of the instance, and disturbs the rollout where that was asked for.
func (a *act) see(ctx context.Context, i *v1alpha1.EngLogInstance) {
	last := stepOf(a.now)
	a.now = i
	step := stepOf(i)
	if step == last {
		return
	}
	if a.options.During != nil {
		a.options.During(step)
	}
	if step == a.options.KillOperatorAt && a.killed == "" {
		pod, err := a.KillOperator(ctx)
		if err != nil {
			a.notes = append(a.notes, "the operator could not be killed: "+err.Error())
			return
		}
		a.killed = string(step)
		a.notes = append(a.notes, fmt.Sprintf("killed the operator (pod %s, SIGKILL) in %s", pod, step))
	}
}

func stepOf(i *v1alpha1.EngLogInstance) v1alpha1.Step {
	if i.Status.Rollout == nil {
		return v1alpha1.StepStable
	}
	return i.Status.Rollout.Step
}

func (a *act) scene(done bool) Scene {
	s := Scene{
		From: a.before.Status.Active.Version, To: a.now.Spec.Version, Elapsed: time.Since(a.applied),
		Status: a.now.Status, Tick: a.run.Tick(), Notes: a.notes, Done: done,
	}
	if r := a.now.Status.Rollout; r != nil && (a.before.Status.Rollout == nil || r.ID != a.before.Status.Rollout.ID) {
		s.Steps = stepTimes(r, time.Now())
	}
	return s
}

// judge looks for what was acknowledged and puts the result together.
func (a *act) judge(ctx context.Context, cfg load.Config, entries []load.Entry) (*Result, error) {
	rep := a.run.Report()
	if err := rep.Void(); err != nil {
		return nil, err
	}
	var check *load.Check
	err := a.phase(fmt.Sprintf("Read %d entries back and await their tasks", len(entries)), func() (err error) {
		check, err = load.CheckEntries(ctx, cfg, load.CheckConfig{Database: a.database}, entries, nil)
		return err
	})
	if err != nil {
		return nil, a.explained(ctx, err)
	}
	path := stepTimes(a.now.Status.Rollout, a.ended)
	r := newResult(rep, check, path, a.applied, a.ended)
	r.seen(a.applied, leftSwitching(path), a.before.Status.Active.Revision, a.now.Status.Active.Revision)
	if r.OperatorKilledIn = a.killed; a.options.KillOperatorAt != "" && a.killed == "" {
		return r, fmt.Errorf("the operator was to be killed in %s, but was not: %v", a.options.KillOperatorAt, a.notes)
	}
	return r, nil
}

// leftSwitching is when all routes were seen to show the candidate.
func leftSwitching(path []StepTime) time.Time {
	for n, s := range path {
		if s.Step == v1alpha1.StepSwitching && n+1 < len(path) {
			return path[n+1].At
		}
	}
	return time.Time{}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
