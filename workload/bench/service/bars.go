package main

import (
	"fmt"
	"slices"
)

// result is the last line of the program.
type result map[string]any

// bar is what a figure must reach; aim is where it should get, 0 if that is the same.
type bar struct {
	name       string
	atLeast    bool
	limit, aim float64
}

// bars are those of the service. The ratios are requests a second through the whole stack over statements a second of
// pgbench; *_sql is the store's statement over the reference query of this program, both in pgbench.
var bars = []bar{
	{"get_ratio", true, 0.26, 0.35}, {"list_ratio", true, 0.24, 0.30}, {"create_ratio", true, 0.41, 0.45}, {"search_ratio", true, 0.50, 0},
	{"get_sql", true, 0.9, 0}, {"list_sql", true, 0.9, 0},
	{"get_p99_ms", false, 25, 0}, {"list_p99_ms", false, 25, 0}, {"create_p99_ms", false, 25, 0}, {"search_p99_ms", false, 25, 0},
	{"login_2_p50_ms", false, 60, 0}, {"login_8_p50_ms", false, 180, 0},
	{"login_2_reads_p99_times", false, 3, 0}, {"login_8_reads_p99_times", false, 3, 0},
	{"idle_rss_mb", false, 40, 0},
	{"queue_per_second", true, 2000, 3000}, {"queue_pickup_p50_ms", false, 2, 0},
	{"queue_flushed_lost", false, 0, 0}, {"queue_backlog_over_window", false, 0, 0},
}

func (b bar) holds(v float64) bool {
	if b.atLeast {
		return v >= b.limit
	}
	return v <= b.limit
}

func (b bar) short(v float64) bool { return b.aim > 0 && v < b.aim }

// judge prints each bar with what was measured, and notes the missed ones. What was not measured is not judged.
func (r result) judge() int {
	missed, short := []string{}, []string{}
	for _, b := range bars {
		v, measured := r[b.name].(float64)
		if !measured {
			continue
		}
		word, relation := "holds", "<="
		if b.atLeast {
			relation = ">="
		}
		switch {
		case !b.holds(v):
			word, missed = "MISSED", append(missed, b.name)
		case b.short(v):
			word, short = fmt.Sprintf("holds; the aim is %g", b.aim), append(short, b.name)
		}
		fmt.Printf("%-26s %10.3f  %s %-6g %s\n", b.name, v, relation, b.limit, word)
	}
	r["missed"], r["short_of_aim"] = missed, short
	return len(missed)
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	if len(list) == 0 {
		return 0
	}
	return list[len(list)/2]
}

func round(f float64) float64 { return float64(int64(f*1000+0.5)) / 1000 }
