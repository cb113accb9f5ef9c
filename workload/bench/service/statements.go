package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// figures are what the rounds of one operation measured.
type figures struct {
	ratios, rates, statements, sql, cpu, calls, fullP99 []float64
}

// measureOperation takes turns: the statement in pgbench, requests through the service, the reference query in pgbench. Then
// it sends half of what the service can take.
func (b *bench) measureOperation(op operation, r result) error {
	if err := b.loginClients(); err != nil {
		return err
	}
	var f figures
	for range b.rounds {
		if err := b.round(op, &f); err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
	}
	half := median(f.rates) / 2
	l, err := send(b.api.port, b.traffic(op, half))
	if err != nil {
		return fmt.Errorf("%s at half load: %w", op.name, err)
	}
	r[op.name+"_ratio"], r[op.name+"_per_second"], r[op.name+"_pgbench_per_second"] = round(median(f.ratios)), round(median(f.rates)), round(median(f.statements))
	r[op.name+"_cpu_us"], r[op.name+"_calls_per_request"] = round(median(f.cpu)), round(median(f.calls))
	r[op.name+"_p50_ms"], r[op.name+"_p99_ms"], r[op.name+"_full_p99_ms"] = ms(l.percentile(50)), ms(l.percentile(99)), round(median(f.fullP99))
	if op.reference != "" {
		r[op.name+"_sql"] = round(median(f.sql))
	}
	fmt.Printf("%-6s %6.0f/s  pgbench %6.0f/s  ratio %.3f %v  API CPU %.0f µs a request  p99 %.1f ms; at half load p50 %.1f ms, p99 %.1f ms\n", op.name,
		median(f.rates), median(f.statements), median(f.ratios), rounded(f.ratios), median(f.cpu), median(f.fullP99), ms(l.percentile(50)), ms(l.percentile(99)))
	return nil
}

func rounded(list []float64) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprintf("%.3f", v)
	}
	return texts
}

func ms(d time.Duration) float64 { return round(float64(d.Microseconds()) / 1000) }

// traffic of an operation, from all clients.
func (b *bench) traffic(op operation, rate float64) traffic {
	return traffic{status: op.status, connections: b.connections, rate: rate, last: b.each, request: func(buffer []byte, r *rand.Rand) []byte {
		m := r.IntN(clients)
		return op.request(buffer, r, b.tokens[m], m)
	}}
}

func (b *bench) round(op operation, f *figures) error {
	statements, err := b.pgbench(op.script)
	if err != nil {
		return err
	}
	before, err := b.countCalls()
	if err != nil {
		return err
	}
	cpu := b.api.cpuSeconds()
	l, err := send(b.api.port, b.traffic(op, 0))
	if err != nil {
		return err
	}
	cpu = b.api.cpuSeconds() - cpu
	after, err := b.countCalls()
	if err != nil {
		return err
	}
	calls := float64(after-before) / float64(len(l.took))
	if calls < 0.99 || calls > 1.01 {
		return fmt.Errorf("%d statements for %d requests: answers come from a cache, or cost more than one", after-before, len(l.took))
	}
	f.ratios, f.rates, f.statements = append(f.ratios, l.perSecond()/statements), append(f.rates, l.perSecond()), append(f.statements, statements)
	f.cpu, f.calls, f.fullP99 = append(f.cpu, 1e6*cpu/float64(len(l.took))), append(f.calls, calls), append(f.fullP99, ms(l.percentile(99)))
	if op.reference == "" {
		return nil
	}
	reference, err := b.pgbench(op.reference)
	f.sql = append(f.sql, statements/reference)
	return err
}

// pgbench returns how often a script ran in a second.
func (b *bench) pgbench(script string) (float64, error) {
	file := filepath.Join(b.dir, "script.sql")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return 0, fmt.Errorf("write the script of pgbench: %w", err)
	}
	out, err := exec.Command("pgbench", "-n", "-M", "prepared", "-c", fmt.Sprint(b.connections), "-j", "1", "-T", fmt.Sprint(int(b.each.Seconds())),
		"-D", fmt.Sprintf("run=%d", time.Now().Unix()), "-D", "s=0",
		"-h", "127.0.0.1", "-p", fmt.Sprint(b.postgres.Port), "-U", "englog", "-f", file, database).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w: %s", err, out)
	}
	for _, line := range strings.Split(string(out), "\n") {
		var tps float64
		if n, _ := fmt.Sscanf(line, "tps = %f", &tps); n == 1 {
			return tps, nil
		}
	}
	return 0, fmt.Errorf("pgbench said no rate: %s", out)
}

// countCalls is how many statements about entries ran so far; looks at sessions and at the schema do not count.
func (b *bench) countCalls() (n int64, err error) {
	conn, err := pgx.Connect(context.Background(), b.postgres.URL(database))
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	err = conn.QueryRow(context.Background(), `SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
		WHERE query LIKE '%entries%' AND query NOT LIKE '%pg_stat_statements%'`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count statements: %w", err)
	}
	return n, nil
}
