// Command service measures the service against PostgreSQL alone: pgbench runs the same statements on the same data, in turns
// with requests through the whole stack of the API. It also measures logins, an idle process and, with the module beside it,
// the queue. The last line is JSON.
//
// It must never be imported: it is a program, and what it measures is the service as it is built and started.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/garnizeh/englog-operator/workload/testrig"
)

const (
	users   = 1000
	clients = 50 // users that the requests come from; the others log in
	key     = "a key of a benchmark, which is long enough"
)

type settings struct {
	rounds, connections, entries int
	each                         time.Duration
	parts                        []string
	short                        bool
}

// parts of a run, in their order.
var parts = []string{"memory", "get", "list", "search", "create", "login", "queue"}

func main() {
	var s settings
	only := flag.String("only", "", "measure only these, separated by commas: "+strings.Join(parts, ", "))
	strict := flag.Bool("strict", false, "exit with 1 when a bar is missed")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds; the median of their ratios counts")
	flag.IntVar(&s.connections, "connections", 16, "connections of both sides")
	flag.IntVar(&s.entries, "entries", 100_000, "entries in the database")
	flag.DurationVar(&s.each, "each", 8*time.Second, "length of one measurement")
	flag.BoolVar(&s.short, "short", false, "a look in less than five minutes: 3 rounds of 2 s, a tenth of the tasks")
	flag.Parse()
	if s.short {
		s.rounds, s.each = 3, 2*time.Second
	}
	s.parts = parts
	if *only != "" {
		s.parts = strings.Split(*only, ",")
	}
	missed, err := measure(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if *strict && missed > 0 {
		os.Exit(1)
	}
}

// measure runs the parts and prints the result; missed is the number of bars that were not reached.
func measure(s settings) (missed int, err error) {
	for _, part := range s.parts {
		if !slices.Contains(parts, part) {
			return 0, fmt.Errorf("there is no part %q: choose from %s", part, strings.Join(parts, ", "))
		}
	}
	r := result{"connections": s.connections, "entries": s.entries, "rounds": s.rounds, "seconds_each": s.each.Seconds()}
	if !slices.Equal(s.parts, []string{"queue"}) {
		if err := measureService(s, r); err != nil {
			return 0, err
		}
	}
	if slices.Contains(s.parts, "queue") {
		if err := measureQueue(s, r); err != nil {
			return 0, err
		}
	}
	missed = r.judge()
	raw, err := json.Marshal(r)
	if err != nil {
		return missed, fmt.Errorf("encode the result: %w", err)
	}
	fmt.Println(string(raw))
	return missed, nil
}

func measureService(s settings, r result) (err error) {
	postgres, err := testrig.StartPostgres(testrig.PostgresOptions{Durable: true, Settings: map[string]string{
		"shared_buffers": "1GB", "max_wal_size": "4GB",
		"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "top"}})
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
	b, err := newBench(s, postgres, redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	fmt.Println("each request passes: " + strings.Join(middleware, ", "))
	r["middleware"] = middleware
	if slices.Contains(s.parts, "memory") {
		if err := b.measureMemory(r); err != nil {
			return err
		}
	}
	for _, op := range operations(s.entries) {
		if slices.Contains(s.parts, op.name) {
			if err := b.measureOperation(op, r); err != nil {
				return err
			}
		}
	}
	if slices.Contains(s.parts, "login") {
		return b.measureLogins(r)
	}
	return nil
}

// middleware is what stands between the connection and the statement. The process that is measured is the one that ships,
// with the settings of production.
var middleware = []string{
	"the server's time limits", "revision header and age of the connection", "in-flight count", "routing", "request id", "security headers", "deadline",
	"trace (1 % kept, sent to a collector)", "panic guard", "authentication (HS256, sessions looked up again after 5 s)",
	"rate limit for each user (Redis, leased)", "scope", "strict parsing and checks", "problem bodies", "metrics", "log line (level warn, as in production)",
}

// bench is a running service on its own servers.
type bench struct {
	settings
	postgres *testrig.Postgres
	binary   string
	dir      string
	env      []string
	api      *process
	sink     *sink
	tokens   []string
	logins   atomic.Int64
}
