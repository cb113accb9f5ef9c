package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// CheckConfig says how the acknowledged entries are looked for after a run.
type CheckConfig struct {
	Database string        // PostgreSQL URL of the instance; empty = tasks are read from the API only
	Kinds    []string      // task kinds that are enabled; empty = every kind that any of the entries has
	Within   time.Duration // time that tasks have to be done, from the call; default 60 s
}

// Check is what was found of what was acknowledged.
type Check struct {
	Entries       int      `json:"entries"`
	LostEntries   int      `json:"lost_entries"`
	Kinds         []string `json:"kinds"`
	Tasks         int      `json:"tasks"`          // entries × kinds
	LostTasks     int      `json:"lost_tasks"`     // without exactly one task in state done, in PostgreSQL or in the API
	DuplicateRuns int      `json:"duplicate_runs"` // handler runs beyond the first of each task
	Waited        float64  `json:"waited_seconds"`
	Samples       []string `json:"samples,omitempty"` // some of what is lost, in words
}

// maxSamples bounds the losses described in words.
const maxSamples = 20

func (c *Check) sample(format string, args ...any) {
	if len(c.Samples) < maxSamples {
		c.Samples = append(c.Samples, fmt.Sprintf(format, args...))
	}
}

// task is one row of tasks, from either source.
type task struct {
	EntryID string `json:"-"`
	Version int    `json:"entry_version"`
	Kind    string `json:"kind"`
	State   string `json:"state"`
	Runs    int    `json:"-"`
}

// taskKey names the one task that an entry version must have of a kind.
type taskKey struct {
	entry   string
	version int
	kind    string
}

// tally is how many tasks there are for a key, and how many of them are done.
type tally struct{ total, done int }

// CheckEntries reads every entry back and waits until each has exactly one done task per kind, at most cfg.Within.
// progress may be nil; it hears how many tasks are done so far.
func CheckEntries(ctx context.Context, cfg Config, check CheckConfig, entries []Entry,
	progress func(done, total int),
) (*Check, error) {
	check.Within = orDefault(check.Within, time.Minute)
	c := &checker{client: newCaller(cfg.withDefaults()), cfg: check, entries: entries, progress: progress}
	defer c.client.pool.closeAll()
	out := &Check{Entries: len(entries)}
	if err := c.readEntries(ctx, out); err != nil {
		return nil, err
	}
	if err := c.awaitTasks(ctx, out); err != nil {
		return nil, err
	}
	return out, c.readTasksByAPI(ctx, out)
}

type checker struct {
	client   *caller
	cfg      CheckConfig
	entries  []Entry
	progress func(done, total int)
	mu       sync.Mutex
}

// readWidth is how many entries are read back at a time.
const readWidth = 4

func (c *checker) readEntries(ctx context.Context, out *Check) error {
	err := eachBounded(ctx, len(c.entries), readWidth, func(ctx context.Context, i int) error {
		found, err := c.readEntry(ctx, c.entries[i])
		if err != nil || found {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		out.LostEntries++
		out.sample("entry %s version %d is not there", c.entries[i].ID, c.entries[i].Version)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading entries back: %w", err)
	}
	return nil
}

// readEntry reports whether the service still has the entry in at least the version that it acknowledged.
func (c *checker) readEntry(ctx context.Context, e Entry) (bool, error) {
	body, err := c.get(ctx, e.user, "/api/v1/entries/"+e.ID)
	if isStatus(err, http.StatusNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	got, err := parseEntry(body)
	return err == nil && got.ID == e.ID && got.Version >= e.Version, nil
}

// get reads with the user's token, and logs the user in once more when it has run out.
func (c *checker) get(ctx context.Context, u *account, path string) ([]byte, error) {
	body, err := c.client.call(ctx, message{method: http.MethodGet, path: path, token: u.bearer()}, http.StatusOK)
	if !isStatus(err, http.StatusUnauthorized) {
		return body, err
	}
	if err := c.client.enter(ctx, u, "/api/v1/auth/login", http.StatusOK); err != nil {
		return nil, err
	}
	return c.client.call(ctx, message{method: http.MethodGet, path: path, token: u.bearer()}, http.StatusOK)
}

func isStatus(err error, status int) bool {
	var s *statusError
	return errors.As(err, &s) && s.status == status
}

// awaitTasks polls PostgreSQL until nothing is missing or time is up.
func (c *checker) awaitTasks(ctx context.Context, out *Check) error {
	if c.cfg.Database == "" {
		return nil
	}
	db, err := pgx.Connect(ctx, c.cfg.Database)
	if err != nil {
		return fmt.Errorf("connecting to PostgreSQL to count tasks: %w", err)
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	start := time.Now()
	for {
		rows, err := readTasks(ctx, db, c.entries)
		if err != nil {
			return err
		}
		missing := c.judgeTasks(rows, out)
		if out.Waited = time.Since(start).Seconds(); missing == 0 || time.Since(start) > c.cfg.Within {
			return nil
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

func readTasks(ctx context.Context, db *pgx.Conn, entries []Entry) ([]task, error) {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	rows, err := db.Query(ctx, `SELECT entry_id::text, entry_version, kind, state::text, runs
		FROM tasks WHERE entry_id = ANY($1::text[]::uuid[])`, ids)
	if err != nil {
		return nil, fmt.Errorf("reading tasks: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[task])
	if err != nil {
		return nil, fmt.Errorf("reading tasks: %w", err)
	}
	return out, nil
}

// judgeTasks counts afresh and returns what is missing.
func (c *checker) judgeTasks(rows []task, out *Check) int {
	kinds := c.cfg.Kinds
	if len(kinds) == 0 {
		kinds = kindsOf(rows)
	}
	tallies := map[taskKey]tally{}
	runs := 0
	for _, t := range rows {
		k := taskKey{t.EntryID, t.Version, t.Kind}
		n := tallies[k]
		n.total++
		if t.State == "done" {
			n.done++
		}
		tallies[k] = n
		runs += max(t.Runs-1, 0)
	}
	out.Kinds, out.Tasks, out.DuplicateRuns = kinds, len(c.entries)*len(kinds), runs
	return c.countLost(tallies, kinds, out)
}

func (c *checker) countLost(tallies map[taskKey]tally, kinds []string, out *Check) int {
	out.LostTasks, out.Samples = 0, slices.DeleteFunc(out.Samples, func(s string) bool { return s[:4] == "task" })
	for _, e := range c.entries {
		for _, kind := range kinds {
			if n := tallies[taskKey{e.ID, e.Version, kind}]; n != (tally{1, 1}) {
				out.LostTasks++
				out.sample("task %s of entry %s version %d: %d found, %d done", kind, e.ID, e.Version, n.total, n.done)
			}
		}
	}
	if len(kinds) == 0 {
		out.LostTasks = len(c.entries)
		out.sample("task: no entry has any")
	}
	if c.progress != nil {
		c.progress(out.Tasks-out.LostTasks, out.Tasks)
	}
	return out.LostTasks
}

func kindsOf(rows []task) []string {
	var kinds []string
	for _, t := range rows {
		if !slices.Contains(kinds, t.Kind) {
			kinds = append(kinds, t.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// readTasksByAPI asks the service itself for the tasks of every entry: what users can see must agree.
func (c *checker) readTasksByAPI(ctx context.Context, out *Check) error {
	var rows []task
	err := eachBounded(ctx, len(c.entries), readWidth, func(ctx context.Context, i int) error {
		items, err := c.tasksOf(ctx, c.entries[i])
		c.mu.Lock()
		defer c.mu.Unlock()
		rows = append(rows, items...)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading tasks from the API: %w", err)
	}
	byDatabase := *out
	c.judgeTasks(rows, out)
	if c.cfg.Database == "" {
		return nil
	}
	out.Kinds, out.Tasks, out.DuplicateRuns = byDatabase.Kinds, byDatabase.Tasks, byDatabase.DuplicateRuns
	out.LostTasks = max(out.LostTasks, byDatabase.LostTasks)
	return nil
}

func (c *checker) tasksOf(ctx context.Context, e Entry) ([]task, error) {
	body, err := c.get(ctx, e.user, "/api/v1/entries/"+e.ID+"/tasks")
	if isStatus(err, http.StatusNotFound) {
		return nil, nil // a lost entry, counted as such and by its missing tasks
	}
	if err != nil {
		return nil, err
	}
	var page struct {
		Items []task `json:"items"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("reading the tasks of entry %s: %w", e.ID, err)
	}
	for i := range page.Items {
		page.Items[i].EntryID = e.ID
	}
	return page.Items, nil
}
