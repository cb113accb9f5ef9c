// Command bench measures the service against PostgreSQL alone: pgbench runs the
// same statements on the same data, in turns with requests through the whole
// stack of the API. The last line is JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/garnizeh/englog-operator/workload/testrig"
)

const (
	users   = 1000
	clients = 50 // users that the requests come from
	key     = "a key of a benchmark, which is long enough"
)

type settings struct {
	rounds, connections, entries int
	each                         time.Duration
	only                         string
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 5, "rounds; the median of their ratios counts")
	flag.IntVar(&s.connections, "connections", 16, "connections of both sides")
	flag.IntVar(&s.entries, "entries", 100_000, "entries in the database")
	flag.DurationVar(&s.each, "each", 8*time.Second, "length of one measurement")
	flag.StringVar(&s.only, "only", "", "get, list, create or search alone")
	flag.Parse()
	if err := measure(s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(s settings) error {
	p, err := testrig.StartPostgres(testrig.PostgresOptions{Durable: true, Settings: map[string]string{
		"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "top"}})
	if err != nil {
		return err
	}
	defer p.Close()
	r, err := testrig.StartRedis()
	if err != nil {
		return err
	}
	defer r.Close()
	service, err := startService(p, r)
	if err != nil {
		return err
	}
	defer service.stop()
	if err := seed(p, s.entries); err != nil {
		return err
	}
	if err := service.login(); err != nil {
		return err
	}
	fmt.Println("each request passes: revision header, connection age, request id, deadline, panic guard, authentication (token cache 5 s),\n" +
		"rate limit (Redis, leased), scope, parsing and checks, metrics, log line (level warn), problem bodies")
	return report(s, p, service)
}

// report runs the rounds and prints the table and the JSON.
func report(s settings, p *testrig.Postgres, service *service) error {
	result := map[string]any{"connections": s.connections, "entries": s.entries, "rounds": s.rounds}
	for _, op := range operations(s.entries) {
		if s.only != "" && s.only != op.name {
			continue
		}
		var f figures
		for range s.rounds {
			if err := f.round(s, p, service, op); err != nil {
				return err
			}
		}
		f.print(op)
		f.fill(op, result)
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	fmt.Println(string(raw))
	return nil
}

// figures are what the rounds of one operation measured.
type figures struct {
	ratios, rates, references, cpu []float64
	worst                          load
}

// round measures the reference and the service one after the other.
func (f *figures) round(s settings, p *testrig.Postgres, service *service, op operation) error {
	reference, err := pgbench(p, op, s)
	if err != nil {
		return err
	}
	calls, err := countCalls(p)
	if err != nil {
		return err
	}
	before := cpuSeconds(service.cmd.Process.Pid)
	l, err := run(service, op, s)
	if err != nil {
		return err
	}
	after, err := countCalls(p)
	if err != nil {
		return err
	}
	if extra := float64(after-calls)/float64(l.requests) - 1; extra < -0.01 || extra > 0.01 {
		return fmt.Errorf("%s: %d statements for %d requests: answers come from a cache, or cost more than one", op.name, after-calls, l.requests)
	}
	rate := float64(l.requests) / s.each.Seconds()
	f.ratios, f.rates, f.references = append(f.ratios, rate/reference), append(f.rates, rate), append(f.references, reference)
	f.cpu = append(f.cpu, 1e6*(cpuSeconds(service.cmd.Process.Pid)-before)/float64(l.requests))
	if l.p99 > f.worst.p99 {
		f.worst = l
	}
	return nil
}

func (f *figures) print(op operation) {
	fmt.Printf("%-7s %8.0f/s  pgbench %8.0f/s  ratio %.2f  p50 %s  p99 %s  API CPU %.0f µs a request\n", op.name, median(f.rates), median(f.references),
		median(f.ratios), f.worst.p50.Round(10*time.Microsecond), f.worst.p99.Round(10*time.Microsecond), median(f.cpu))
}

func (f *figures) fill(op operation, result map[string]any) {
	result[op.name+"_ratio"], result[op.name+"_rate"], result[op.name+"_cpu_us"] = round(median(f.ratios)), round(median(f.rates)), round(median(f.cpu))
	result[op.name+"_p99_ms"] = round(float64(f.worst.p99.Microseconds()) / 1000)
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	if len(list) == 0 {
		return 0
	}
	return list[len(list)/2]
}

func round(f float64) float64 { return float64(int64(f*1000+0.5)) / 1000 }

// pgbench returns the statements a second of the reference.
func pgbench(p *testrig.Postgres, op operation, s settings) (float64, error) {
	script := filepath.Join(os.TempDir(), fmt.Sprintf("englog-bench-%d-%s.sql", os.Getpid(), op.name))
	if err := os.WriteFile(script, []byte(op.script), 0o644); err != nil {
		return 0, fmt.Errorf("write the script of pgbench: %w", err)
	}
	defer func() { _ = os.Remove(script) }()
	out, err := exec.CommandContext(context.Background(), "pgbench", "-n", "-M", "prepared", "-c", fmt.Sprint(s.connections), "-j", "1",
		"-T", fmt.Sprint(int(s.each.Seconds())), "-h", "127.0.0.1", "-p", fmt.Sprint(p.Port), "-U", "englog", "-f", script, database).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench %s: %w: %s", op.name, err, out)
	}
	for _, line := range strings.Split(string(out), "\n") {
		var tps float64
		if n, _ := fmt.Sscanf(line, "tps = %f", &tps); n == 1 {
			return tps, nil
		}
	}
	return 0, fmt.Errorf("pgbench %s said no rate: %s", op.name, out)
}
