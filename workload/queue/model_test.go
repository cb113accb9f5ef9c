package queue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// The model: some tasks, some workers, and a transport that loses, doubles and reorders messages. Chance picks what happens
// next, crashes included. Afterwards the world heals, and everything must come to a good end.

// mutant breaks one rule of the machine on purpose. The model must notice each.
type mutant string

const (
	sound            mutant = ""
	noFencing        mutant = "a finish does not look at the token"
	noMessageSweep   mutant = "lost messages are not looked for"
	noWorkerSweep    mutant = "lost workers are not looked for"
	claimRunning     mutant = "a claim takes a running task"
	crashCosts       mutant = "a lost worker costs an attempt"
	releaseCosts     mutant = "a handed back task costs an attempt"
	parkCosts        mutant = "an outage costs an attempt"
	noPoison         mutant = "a task may kill workers for ever"
	insightFirst     mutant = "the insight is committed before the end"
	retryAtOnce      mutant = "a claim ignores the time of the retry"
	publishForgotten mutant = "a published task is not marked"
)

var mutants = []mutant{noFencing, noMessageSweep, noWorkerSweep, claimRunning, crashCosts, releaseCosts, parkCosts, noPoison,
	insightFirst, retryAtOnce, publishForgotten}

type dice interface{ roll(n int) int }

type luck struct{ *rand.Rand }

func (l luck) roll(n int) int { return l.IntN(n) }

type drawn struct{ t *rapid.T }

func (d drawn) roll(n int) int { return rapid.IntRange(0, n-1).Draw(d.t, "roll") }

type modelTask struct {
	Row
	insights int
	charged  int // failures that cost an attempt
	lost     int // workers that were killed while they held it
	fatal    bool
}

type held struct {
	task  int
	token uuid.UUID
}

type world struct {
	mutant   mutant
	now      time.Time
	tasks    []*modelTask
	messages []int
	workers  [3][]held // what each worker believes to hold
	zombies  []held    // handlers of workers that lost their lease and do not know it
	tokens   byte
	window   int
}

const (
	testLease  = 30 * time.Second
	testStale  = 30 * time.Second
	maxCrashes = 5
	attempts   = 3
)

func (w *world) token() uuid.UUID {
	w.tokens++
	return uuid.UUID{w.tokens, byte(len(w.tasks)), byte(rand.IntN(256)), byte(rand.IntN(256)), byte(rand.IntN(256))}
}

func (w *world) step(d dice) error {
	switch d.roll(12) {
	case 0:
		if len(w.tasks) < 6 {
			w.tasks = append(w.tasks, &modelTask{Row: Row{State: englog.TaskReady, MaxAttempts: attempts, RunAt: w.now}})
		}
	case 1, 2:
		w.relay()
	case 3:
		w.disturb(d)
	case 4, 5, 6:
		return w.deliver(d)
	case 7, 8:
		return w.end(d)
	case 9:
		w.crash(d.roll(3))
	case 10:
		w.now = w.now.Add([]time.Duration{time.Second, 10 * time.Second, 31 * time.Second}[d.roll(3)])
		if d.roll(2) == 0 {
			w.heartbeat()
		}
	case 11:
		w.sweep()
	}
	return nil
}

func (w *world) relay() {
	for i, t := range w.tasks {
		before := t.Row
		if len(w.messages) < 10 && t.Publish(w.now) {
			w.messages = append(w.messages, i)
			if w.mutant == publishForgotten {
				t.Row = before
			}
		}
	}
	w.window = max(w.window, len(w.messages))
}

// disturb loses, doubles or moves a message, or loses all of them.
func (w *world) disturb(d dice) {
	if len(w.messages) == 0 {
		return
	}
	i := d.roll(len(w.messages))
	switch d.roll(4) {
	case 0:
		w.messages = slices.Delete(w.messages, i, i+1)
	case 1:
		w.messages = append(w.messages, w.messages[i])
	case 2:
		w.messages[0], w.messages[i] = w.messages[i], w.messages[0]
	case 3:
		w.messages = nil
	}
}

func (w *world) deliver(d dice) error {
	if len(w.messages) == 0 {
		return nil
	}
	i := w.messages[0]
	w.messages = w.messages[1:]
	return w.claim(d.roll(3), i)
}

func (w *world) claim(worker, i int) error {
	t, token := w.tasks[i], w.token()
	before := t.Row
	early := t.State == englog.TaskReady && t.RunAt.After(w.now)
	if w.mutant == claimRunning && t.State == englog.TaskRunning || w.mutant == retryAtOnce && early {
		t.State = englog.TaskQueued
	}
	if !t.Claim(w.now, token, testLease) {
		return nil
	}
	switch {
	case before.State.Final():
		return fmt.Errorf("task %d was claimed although it was %s", i, before.State)
	case before.State == englog.TaskRunning && before.LeaseUntil.After(w.now):
		return fmt.Errorf("task %d has two holders", i)
	case early:
		return fmt.Errorf("task %d ran before its time", i)
	}
	w.workers[worker] = append(w.workers[worker], held{i, token})
	return nil
}

// end lets one handler come to an end: done, a failure of some class, or handed back. Zombies only ever try to finish.
func (w *world) end(d dice) error {
	if len(w.zombies) > 0 && d.roll(3) == 0 {
		h := w.zombies[0]
		w.zombies = w.zombies[1:]
		return w.finish(h, false)
	}
	worker := d.roll(3)
	if len(w.workers[worker]) == 0 {
		return nil
	}
	h := w.workers[worker][0]
	w.workers[worker] = w.workers[worker][1:]
	t := w.tasks[h.task]
	if t.fatal {
		w.workers[worker] = append(w.workers[worker], h)
		w.crash(worker)
		return nil
	}
	switch d.roll(6) {
	case 0, 1:
		return w.finish(h, d.roll(4) == 0)
	case 2:
		w.retry(h, true)
	case 3:
		w.retry(h, false)
	case 4:
		counts := w.mutant == releaseCosts
		t.Retry(w.now, h.token, 0, counts)
	case 5:
		t.fatal = t.fatal || d.roll(8) == 0 // from now on it kills whoever runs it
		w.crash(worker)
	}
	return nil
}

// finish commits a result; halfway means that the worker dies in the middle of it.
func (w *world) finish(h held, halfway bool) error {
	t := w.tasks[h.task]
	before := t.State
	if w.mutant == insightFirst {
		t.insights++
		if halfway {
			return nil
		}
		t.insights--
	}
	if halfway {
		return nil // one transaction: nothing of it happened
	}
	ok := t.Finish(h.token)
	if w.mutant == noFencing && !ok && before != englog.TaskCancelled {
		t.State, ok = englog.TaskDone, true
	}
	if ok {
		t.insights++
	}
	return nil
}

func (w *world) retry(h held, counts bool) {
	t := w.tasks[h.task]
	charge := counts || w.mutant == parkCosts
	if counts && t.Attempt >= t.MaxAttempts {
		if t.End(h.token, englog.TaskDead) {
			t.charged++
		}
		return
	}
	if t.Retry(w.now, h.token, 10*time.Second, charge) && counts {
		t.charged++
	}
}

// crash kills a worker. Some of its handlers live on for a while, as when a node is cut off.
func (w *world) crash(worker int) {
	for i, h := range w.workers[worker] {
		if i%2 == 0 && !w.tasks[h.task].fatal {
			w.zombies = append(w.zombies, h)
		}
	}
	w.workers[worker] = nil
}

func (w *world) heartbeat() {
	for _, list := range w.workers {
		for _, h := range list {
			w.tasks[h.task].Extend(w.now, h.token, testLease)
		}
	}
}

func (w *world) sweep() {
	for _, t := range w.tasks {
		state, attempt, crashes := t.State, t.Attempt, t.Crashes
		switch {
		case w.mutant == noMessageSweep && state == englog.TaskQueued:
		case w.mutant == noWorkerSweep && state == englog.TaskRunning:
		default:
			t.Sweep(w.now, testStale, maxCrashes)
		}
		if t.Crashes > crashes {
			t.lost++
			if w.mutant == crashCosts {
				t.Attempt = attempt
			}
			if w.mutant == noPoison {
				t.State, t.Crashes = englog.TaskReady, 1
			}
		}
	}
}

// heal runs a quiet world until nothing changes any more: no faults but for what a fatal task does.
func (w *world) heal() error {
	for range 100 {
		w.now = w.now.Add(11 * time.Second)
		w.heartbeat()
		w.sweep()
		w.relay()
		for len(w.messages) > 0 {
			i := w.messages[0]
			w.messages = w.messages[1:]
			if err := w.claim(0, i); err != nil {
				return err
			}
		}
		for _, h := range slices.Concat(w.zombies, w.workers[0], w.workers[1], w.workers[2]) {
			if w.tasks[h.task].fatal {
				continue
			}
			if err := w.finish(h, false); err != nil {
				return err
			}
		}
		w.zombies, w.workers = nil, [3][]held{}
	}
	return nil
}

func (w *world) verdict() error {
	for i, t := range w.tasks {
		switch {
		case !t.State.Final():
			return fmt.Errorf("task %d was lost in state %s", i, t.State)
		case t.State == englog.TaskDone && t.insights != 1:
			return fmt.Errorf("task %d is done with %d insights", i, t.insights)
		case t.State == englog.TaskDead && t.insights != 0:
			return fmt.Errorf("task %d is dead with %d insights", i, t.insights)
		case t.State == englog.TaskDead && t.charged < attempts && t.Crashes < maxCrashes:
			return fmt.Errorf("task %d is dead after %d failures and %d crashes", i, t.charged, t.Crashes)
		case t.State == englog.TaskDone && t.Attempt != t.charged+1:
			return fmt.Errorf("task %d was charged %d attempts for %d failures", i, t.Attempt-1, t.charged)
		}
	}
	if w.window > 11 {
		return fmt.Errorf("%d messages: beyond the window", w.window)
	}
	return nil
}

func live(d dice, m mutant, steps int) error {
	w := &world{mutant: m, now: time.Unix(1_700_000_000, 0)}
	for range steps {
		if err := w.step(d); err != nil {
			return err
		}
	}
	if err := w.heal(); err != nil {
		return err
	}
	return w.verdict()
}

func TestTasksComeToAGoodEndWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := live(drawn{t}, sound, 80); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTheModelNoticesEachMutant shows that the model can fail: each broken rule is found, and the sound machine is not blamed.
func TestTheModelNoticesEachMutant(t *testing.T) {
	for _, m := range append([]mutant{sound}, mutants...) {
		t.Run(string(m), func(t *testing.T) {
			var found error
			for seed := uint64(0); seed < 3000 && found == nil; seed++ {
				found = live(luck{rand.New(rand.NewPCG(seed, 1))}, m, 120)
			}
			if m == sound && found != nil {
				t.Fatalf("the sound machine is blamed: %v", found)
			}
			if m != sound && found == nil {
				t.Fatal("nothing was noticed")
			}
		})
	}
}
