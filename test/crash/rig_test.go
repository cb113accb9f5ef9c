package crash

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
	"github.com/garnizeh/englog-operator/test/node"
)

// rig is one installation that goes through many cutovers.
type rig struct {
	*cutover.Stage

	points   points
	cfg      load.Config
	accounts *load.Accounts
	serial   int
	sum      total
}

// total is the last line of the output.
type total struct {
	Kills         int `json:"kills"`
	Requests      int `json:"requests"`
	Failed        int `json:"failed"`
	LostEntries   int `json:"lost_entries"`
	LostTasks     int `json:"lost_tasks"`
	DuplicateRuns int `json:"duplicate_runs"` // of tasks whose worker was not killed
}

func newRig(t *testing.T, rate int) *rig {
	t.Helper()
	r := &rig{points: newPoints(t)}
	stage, err := cutover.Raise(t.Context(), cutover.Options{
		Rate: rate, ConfirmSeconds: 3, RetentionSeconds: 15, OperatorTags: "failpoints", OperatorManifest: r.points.manifest,
	}, &cutover.Lines{Out: node.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	r.Stage = stage
	t.Cleanup(func() { r.close(t) })
	if err := stage.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.cfg, err = stage.LoadConfig(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.accounts, _, err = load.Prepare(t.Context(), r.cfg, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// close leaves nothing of the instance, and no operator that can be told to die.
func (r *rig) close(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	err := errors.Join(r.points.arm(nil), r.Remove(ctx))
	if _, deleteErr := r.Kubectl(ctx, "-n", cutover.OperatorNamespace, "delete", "deployment", "englog-operator", "--wait"); deleteErr != nil {
		err = errors.Join(err, deleteErr)
	}
	if err != nil {
		t.Error(err)
	}
	r.Close()
}

// backlog is how many tasks wait when a cutover begins, behind the six of each entry that the load writes: workers have no idle moment.
const backlog = 10_000

// settle is how long load runs before the spec changes and after the rollout has ended.
const settle = 2 * time.Second

// loaded runs do under load and with a full queue, and judges what its users noticed. Tasks that a killed worker had begun may run again,
// as many as repeats.
func (r *rig) loaded(t *testing.T, repeats int, do func(context.Context) error) *load.Report {
	t.Helper()
	mark, err := r.fill(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run, err := load.Start(t.Context(), r.cfg, r.accounts)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(settle) // a length of load, not a condition
	doErr := do(t.Context())
	waiting := r.waiting(t)
	<-time.After(settle)
	run.Stop()
	rep := run.Report()
	t.Logf("%d requests due, %d sent, %d failed %v in %.0f s, p99 %.1f ms; %d tasks still waited at the end",
		rep.Due, rep.Sent, rep.Failed, rep.FailedByKind, rep.Seconds, rep.Latency["all"].P99, waiting)
	r.sum.Requests, r.sum.Failed = r.sum.Requests+rep.Sent, r.sum.Failed+rep.Failed
	for _, f := range rep.Failures[:min(len(rep.Failures), 20)] {
		t.Errorf("failed: %s (sent %s) %s %s over %s, revision %s: %s", f.Time.Format("15:04:05.000"), f.Sent.Format("05.000"), f.Kind, f.Op, f.Class, f.Revision, f.Detail)
	}
	if doErr != nil {
		t.Error(doErr)
	}
	if err := rep.Void(); err != nil {
		t.Error(err)
	}
	r.account(t, run.Created(), mark, repeats)
	return rep
}

// account looks for everything that was acknowledged.
func (r *rig) account(t *testing.T, entries []load.Entry, mark string, repeats int) {
	t.Helper()
	check, err := load.CheckEntries(t.Context(), r.cfg, load.CheckConfig{Database: r.Database(), Within: 2 * time.Minute}, entries, nil)
	if err != nil {
		t.Error(err)
		return
	}
	undone, again, err := r.leftOf(t.Context(), mark)
	if err != nil {
		t.Error(err)
	}
	duplicates := max(check.DuplicateRuns+again-repeats, 0)
	r.sum.LostEntries += check.LostEntries
	r.sum.LostTasks += check.LostTasks + undone
	r.sum.DuplicateRuns += duplicates
	t.Logf("%d entries, %d lost; %d tasks, %d lost; of a backlog of %d, %d lost; %d handler runs repeated",
		check.Entries, check.LostEntries, check.Tasks, check.LostTasks, backlog, undone, check.DuplicateRuns+again)
	if check.LostEntries+check.LostTasks+undone+duplicates > 0 {
		t.Errorf("lost or repeated: %+v", check)
	}
}

// fill puts tasks into the queue that yield to those of users, and returns the mark that they carry.
func (r *rig) fill(ctx context.Context) (mark string, err error) {
	r.serial++
	mark = fmt.Sprintf("backlog-%d", r.serial)
	db, err := pgx.Connect(ctx, r.Database())
	if err != nil {
		return "", fmt.Errorf("filling the queue: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	_, err = db.Exec(ctx, `WITH author AS (SELECT id FROM users LIMIT 1), e AS (
		INSERT INTO entries (id, user_id, version, title, body, kind, project, impact, duration_minutes, mood, tags, source, word_count, occurred_at, created_at, updated_at)
		SELECT gen_random_uuid(), author.id, 1, 'Backlog', 'Fixed the queue and reviewed a design', 'note', '', '', 0, 0, '{}', 'api', 7, now(), now(), now()
		FROM author, generate_series(1, $1)
		RETURNING id, user_id)
		INSERT INTO tasks (id, user_id, entry_id, entry_version, kind, priority, request_id)
		SELECT gen_random_uuid(), user_id, id, 1, 'sentiment', 1, $2 FROM e`, backlog, mark)
	if err != nil {
		return "", fmt.Errorf("filling the queue: %w", err)
	}
	return mark, nil
}

// leftOf counts the backlog's tasks that are not done within a minute, and the handler runs beyond the first of each.
func (r *rig) leftOf(ctx context.Context, mark string) (undone, again int, err error) {
	db, err := pgx.Connect(ctx, r.Database())
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	waited := cutover.Await(ctx, time.Minute, "the backlog to be done", func(ctx context.Context) (bool, string, error) {
		err := db.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state <> 'done'), coalesce(sum(greatest(runs - 1, 0)), 0)
			FROM tasks WHERE request_id = $1`, mark).Scan(&undone, &again)
		return err == nil && undone == 0, fmt.Sprintf("%d left", undone), err
	})
	if waited != nil && undone == 0 {
		return 0, 0, waited
	}
	return undone, again, nil
}

// waiting counts the tasks that are not done.
func (r *rig) waiting(t *testing.T) int {
	t.Helper()
	db, err := pgx.Connect(t.Context(), r.Database())
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = db.Close(context.WithoutCancel(t.Context())) }()
	var n int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM tasks WHERE state IN ('ready', 'queued', 'running')`).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

// begin changes the spec to another version, as a revision that was never there before.
func (r *rig) begin(ctx context.Context) (*rollout, error) {
	before, err := r.Instance(ctx)
	if err != nil {
		return nil, err
	}
	version := cutover.VersionNew
	if before.Status.Active.Version == version {
		version = cutover.VersionOld
	}
	r.serial++
	turned := map[string]any{"version": before.Spec.Version, "config": map[string]any{"maxContentBytes": contentOf(before)}}
	// A bound that no revision had before makes a revision that was never there before.
	generation, err := r.Change(ctx, map[string]any{"version": version, "config": map[string]any{"maxContentBytes": 60_000 + r.serial}})
	return &rollout{rig: r, before: before, turned: turned, generation: generation}, err
}

// contentOf is what a merge patch has to hold to bring the bound back; nil takes it away.
func contentOf(i *v1alpha1.EngLogInstance) any {
	if i.Spec.Config == nil || i.Spec.Config.MaxContentBytes == 0 {
		return nil
	}
	return i.Spec.Config.MaxContentBytes
}

// rollout is one change of the spec under way.
type rollout struct {
	*rig

	before     *v1alpha1.EngLogInstance
	turned     map[string]any // the spec as it was
	generation int64
	schema     int32 // the highest level that was seen
}

// revert turns the spec back.
func (r *rollout) revert(ctx context.Context) (err error) {
	r.generation, err = r.Change(ctx, r.turned)
	return err
}

// patience is for a rollout with several deaths in it.
const patience = 5 * time.Minute

// reach waits until the rollout is in a step of the straight path, or past it.
func (r *rollout) reach(ctx context.Context, step v1alpha1.Step) error {
	return cutover.Await(ctx, patience, "step "+string(step), func(ctx context.Context) (bool, string, error) {
		i, err := r.Instance(ctx)
		if err != nil || !r.begun(i) {
			return false, "it has not begun", err
		}
		now := i.Status.Rollout.Step
		return place(now) >= place(step), fmt.Sprintf("it is in %s: %s", now, i.Status.Rollout.Message), nil
	})
}

func (r *rollout) begun(i *v1alpha1.EngLogInstance) bool {
	was, is := r.before.Status.Rollout, i.Status.Rollout
	return is != nil && (was == nil || was.ID != is.ID)
}

// place is how far along the straight path a step is.
func place(step v1alpha1.Step) int {
	for n, s := range cutover.Path() {
		if s == step {
			return n
		}
	}
	return -1
}

// end waits until the rollout is over, and tells how it ended.
func (r *rollout) end(ctx context.Context, want v1alpha1.Outcome) error {
	return cutover.Await(ctx, patience, "the end of the rollout as "+string(want), func(ctx context.Context) (bool, string, error) {
		i, err := r.Instance(ctx)
		if err != nil || i.Status.Rollout == nil {
			return false, "", err
		}
		if s := i.Status.Schema; s != nil {
			r.schema = max(r.schema, s.Current)
		}
		s := i.Status
		if s.ObservedGeneration < r.generation || s.Rollout.Step != v1alpha1.StepStable || !r.begun(i) || len(s.History) == 0 {
			return false, fmt.Sprintf("it is in %s: %s", s.Rollout.Step, s.Rollout.Message), nil
		}
		if got := s.History[0]; got.Outcome != want || got.Revision != s.Rollout.ToRevision {
			return false, fmt.Sprintf("it ended as %s: %s", got.Outcome, got.Message), nil
		}
		return true, "", nil
	})
}
