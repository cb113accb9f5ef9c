package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/queue"
)

// pair is one task twice: as a row of the database, and as the pure machine that the model test examines.
type pair struct {
	rig    *rig
	id     uuid.UUID
	row    queue.Row
	now    time.Time
	claims []englog.Claimed
	tokens []uuid.UUID // the machine's tokens, in the order of claims
}

const (
	lease = time.Minute
	stale = 30 * time.Second
)

var known = []englog.KindVersion{{Kind: sentiment, Version: 1}}

func (p *pair) claim() (sql, pure bool, err error) {
	claimed, err := p.rig.tasks.Claim(context.Background(), []uuid.UUID{p.id}, known, "w", lease)
	token := uuid.New()
	pure = p.row.Claim(p.now, token, lease)
	if len(claimed) == 1 && pure {
		p.claims, p.tokens = append(p.claims, claimed[0]), append(p.tokens, token)
	}
	return len(claimed) == 1, pure, err
}

// pass lets time go by in both worlds.
func (p *pair) pass(d time.Duration) error {
	p.now = p.now.Add(d)
	_, err := p.rig.pool.Exec(context.Background(), `UPDATE tasks SET run_at = run_at - $2::interval, queued_at = queued_at - $2::interval,
		lease_until = lease_until - $2::interval WHERE id = $1`, p.id, d)
	return err
}

// step does one thing in both worlds and returns whether each allowed it.
func (p *pair) step(action int, which int, counts bool) (sql, pure bool, err error) {
	ctx := context.Background()
	switch action {
	case 0:
		refs, err := p.rig.tasks.Due(ctx, []englog.KindRoom{{KindVersion: known[0], Room: 10}})
		return len(refs) == 1, p.row.Publish(p.now), err
	case 1, 2:
		return p.claim()
	case 3:
		err := p.pass([]time.Duration{time.Second, 20 * time.Second, 2 * time.Minute}[which%3])
		return true, true, err
	case 4:
		swept, err := p.rig.tasks.Sweep(ctx, stale, 3)
		return swept != englog.Swept{}, p.row.Sweep(p.now, stale, 3), err
	case 5:
		err = p.rig.tasks.Unqueue(ctx, []uuid.UUID{p.id})
		p.row.Unqueue()
		return true, true, err
	}
	if len(p.claims) == 0 {
		return true, true, nil
	}
	i := which % len(p.claims)
	return p.held(action, p.claims[i], p.tokens[i], counts)
}

// held does what only the holder of a lease may do; the claim may be an old one.
func (p *pair) held(action int, c englog.Claimed, token uuid.UUID, counts bool) (sql, pure bool, err error) {
	ctx := context.Background()
	switch action {
	case 6:
		kept, err := p.rig.tasks.Extend(ctx, []englog.Claimed{c}, lease)
		return len(kept) == 1, p.row.Extend(p.now, token, lease), err
	case 7:
		before := p.row.State == englog.TaskDone && p.row.Token == token // finished by this very lease: said again
		ended, err := p.rig.tasks.Finish(ctx, []englog.Finished{{Claimed: c, Insight: &englog.Insight{Data: []byte(`{}`), Provider: "p"}}})
		return len(ended) == 1, p.row.Finish(token) || before, err
	case 8:
		err = p.rig.tasks.Retry(ctx, c, 10*time.Second, englog.Cause{Code: "x"}, counts)
		pure = p.row.Retry(p.now, token, 10*time.Second, counts)
	case 9:
		err = p.rig.tasks.Release(ctx, []englog.Claimed{c})
		p.row.Release(p.now, token)
		return true, true, err
	default:
		err = p.rig.tasks.Kill(ctx, c, englog.Cause{Code: "x"})
		pure = p.row.End(token, englog.TaskDead)
	}
	if errors.Is(err, englog.ErrLeaseLost) {
		return false, pure, nil
	}
	return err == nil, pure, err
}

func (p *pair) compare() error {
	var got queue.Row
	var insights int
	err := p.rig.pool.QueryRow(context.Background(), `SELECT state, attempt, crashes, runs, (SELECT count(id) FROM insights i WHERE i.entry_id = t.entry_id)
		FROM tasks t WHERE id = $1`, p.id).Scan(&got.State, &got.Attempt, &got.Crashes, &got.Runs, &insights)
	if err != nil {
		return err
	}
	want := p.row
	if got.State != want.State || got.Attempt != want.Attempt || got.Crashes != want.Crashes || got.Runs != want.Runs {
		return fmt.Errorf("database: %s attempt %d crashes %d runs %d; machine: %s attempt %d crashes %d runs %d",
			got.State, got.Attempt, got.Crashes, got.Runs, want.State, want.Attempt, want.Crashes, want.Runs)
	}
	if (insights == 1) != (want.State == englog.TaskDone) {
		return fmt.Errorf("%s with %d insights", want.State, insights)
	}
	return nil
}

// TestTheStoreIsTheMachine drives the statements and the pure machine side by side: what the model test proves about the
// machine holds for the database.
func TestTheStoreIsTheMachine(t *testing.T) {
	r := sharedRig(t)
	rapid.Check(t, func(t *rapid.T) {
		_, err := r.pool.Exec(context.Background(), `DELETE FROM entries`)
		if err != nil {
			t.Fatal(err)
		}
		entry, _ := r.entry(false, sentiment)
		p := &pair{rig: r, now: time.Now(), row: queue.Row{State: englog.TaskReady, MaxAttempts: 5}}
		p.row.RunAt = p.now
		if err := r.pool.QueryRow(context.Background(), `SELECT id FROM tasks WHERE entry_id = $1`, entry).Scan(&p.id); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			action := rapid.IntRange(0, 10).Draw(t, "action")
			sql, pure, err := p.step(action, rapid.IntRange(0, 5).Draw(t, "which"), rapid.Bool().Draw(t, "counts"))
			if err != nil {
				t.Fatal(err)
			}
			if sql != pure {
				t.Fatalf("action %d: the database said %v, the machine %v", action, sql, pure)
			}
			if err := p.compare(); err != nil {
				t.Fatalf("after action %d: %v", action, err)
			}
		}
	})
}
