// Command queue measures the task queue beside two well-known ones, asynq (Redis only) and river (PostgreSQL only), on the same
// servers in the same run, and prints one line of JSON.
//
// A task does nothing. "per_second" has producers and workers at work at the same time, from the first insert until the last
// task is recorded as ended; our tasks and river's are committed to PostgreSQL one by one, asynq has no such thing. "pickup" is the time from the
// commit (asynq: from the return of Enqueue) to the start of the handler while nothing else happens.
//
// The module is nested, so that no product build ever sees the peers.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/garnizeh/englog-operator/workload/testrig"
)

const (
	producers = 8
	workers   = 100
)

// subject is one queue under test.
type subject interface {
	// Start begins to work; started is called by each handler with the number of its task.
	Start(started func(n int)) error
	// Enqueue adds task n and returns once it is committed.
	Enqueue(ctx context.Context, n int) error
	// Ended counts the tasks that the queue itself holds to be done.
	Ended() (int, error)
	Stop()
}

type result struct {
	PerSecond    int     `json:"per_second"`
	CPUMicros    int     `json:"cpu_us_per_task"` // client, PostgreSQL and Redis together
	PickupP50Ms  float64 `json:"pickup_p50_ms"`
	PickupP99Ms  float64 `json:"pickup_p99_ms"`
	Runs         int     `json:"runs"`
	Tasks        int     `json:"tasks"`
	EnqueueFails int     `json:"enqueue_failures"`
}

type safety struct {
	FlushedTasks     int     `json:"flushed_tasks"`
	FlushedLost      int     `json:"flushed_lost"`
	FlushedExtraRuns int     `json:"flushed_extra_runs"`
	Backlog          int     `json:"backlog"`
	BacklogDepthMax  int     `json:"backlog_depth_max"`
	Window           int     `json:"window"`
	BacklogSeconds   float64 `json:"backlog_seconds"`
}

func main() {
	tasks := flag.Int("tasks", 20_000, "tasks of each throughput run")
	idle := flag.Int("idle", 200, "tasks of each latency run")
	backlog := flag.Int("backlog", 100_000, "waiting tasks of the window test")
	flag.Parse()
	if err := run(*tasks, *idle, *backlog); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(tasks, idle, backlog int) error {
	postgres, err := testrig.StartPostgres(testrig.PostgresOptions{Durable: true, Settings: map[string]string{"shared_buffers": "1GB", "max_wal_size": "4GB"}})
	if err != nil {
		return err
	}
	defer postgres.Close()
	redis, err := testrig.StartRedis()
	if err != nil {
		return err
	}
	defer redis.Close()
	if _, err := redis.Do("CONFIG", "SET", "appendonly", "yes"); err != nil {
		return err
	}
	out := map[string]any{}
	for _, s := range []struct {
		name string
		make func() (subject, error)
	}{
		{"englog", func() (subject, error) { return newOurs(postgres, redis) }},
		{"asynq", func() (subject, error) { return newAsynq(redis), nil }},
		{"river", func() (subject, error) { return newRiver(postgres, 0) }},
		{"river_5ms", func() (subject, error) { return newRiver(postgres, 5*time.Millisecond) }},
	} {
		count := tasks
		if s.name == "river" {
			count = min(count, 4000) // its defaults take 1,000 a second
		}
		out[s.name], err = measure(s.make, count, idle, postgres.Pid())
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "%-10s %+v\n", s.name, out[s.name])
	}
	if out["safety"], err = measureSafety(postgres, redis, min(tasks, 10_000), backlog); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func measure(make func() (subject, error), tasks, idle, postmaster int) (result, error) {
	s, err := make()
	if err != nil {
		return result{}, err
	}
	w := newWatch()
	if err := s.Start(w.started); err != nil {
		return result{}, err
	}
	defer s.Stop()
	time.Sleep(2500 * time.Millisecond) // the quiet before: connections and announcements are made
	pickups, err := w.idle(s, idle)
	if err != nil {
		return result{}, err
	}
	begin, used := time.Now(), cpu(postmaster)
	fails := enqueueAll(s, idle, tasks)
	if err := w.await(idle+tasks-fails, 2*time.Minute); err != nil {
		return result{}, err
	}
	if err := awaitEnded(s, idle+tasks-fails); err != nil {
		return result{}, err
	}
	took := time.Since(begin)
	return result{PerSecond: int(float64(tasks) / took.Seconds()), CPUMicros: int((cpu(postmaster) - used).Microseconds()) / tasks, PickupP50Ms: percentile(pickups, 50), PickupP99Ms: percentile(pickups, 99),
		Runs: w.runs(), Tasks: idle + tasks, EnqueueFails: fails}, nil
}

// awaitEnded is for the last few: it is asked when every task was started.
func awaitEnded(s subject, want int) error {
	deadline := time.Now().Add(time.Minute)
	for {
		ended, err := s.Ended()
		if err != nil || ended >= want {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d tasks ended", ended, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func enqueueAll(s subject, first, count int) (fails int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for p := range producers {
		wg.Go(func() {
			for n := first + p; n < first+count; n += producers {
				if err := s.Enqueue(context.Background(), n); err != nil {
					mu.Lock()
					fails++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return fails
}

// watch sees handlers start.
type watch struct {
	mu    sync.Mutex
	seen  map[int]time.Time
	total int
	each  chan int
}

func newWatch() *watch { return &watch{seen: map[int]time.Time{}, each: make(chan int, 1)} }

func (w *watch) started(n int) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total++
	if _, twice := w.seen[n]; !twice {
		w.seen[n] = now
	}
	select {
	case w.each <- n:
	default:
	}
}

func (w *watch) runs() int { w.mu.Lock(); defer w.mu.Unlock(); return w.total }

func (w *watch) distinct() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.seen) }

func (w *watch) at(n int) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.seen[n]
	return t, ok
}

func (w *watch) await(n int, within time.Duration) error {
	deadline := time.Now().Add(within)
	for w.distinct() < n {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d tasks were started within %s", w.distinct(), n, within)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// idle sends one task at a time and returns the times from the commit to the start, in milliseconds.
func (w *watch) idle(s subject, count int) ([]float64, error) {
	times := make([]float64, 0, count)
	for n := range count {
		if err := s.Enqueue(context.Background(), n); err != nil {
			return nil, err
		}
		committed := time.Now()
		if err := w.await(n+1, 30*time.Second); err != nil {
			return nil, err
		}
		at, _ := w.at(n)
		times = append(times, max(0, at.Sub(committed).Seconds()*1000))
		time.Sleep(10 * time.Millisecond)
	}
	return times, nil
}

func percentile(list []float64, p int) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, len(list)*p/100)]
}
