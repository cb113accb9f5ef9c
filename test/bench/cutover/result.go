package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// result is one system in the last line. Times are medians over the good releases.
type result struct {
	Cutovers         int           `json:"cutovers"`
	Requests         int           `json:"requests"` // over the good releases
	Failed           int           `json:"failed"`
	LastOld          float64       `json:"switch_to_last_old_ms"`
	LastOldKeepAlive float64       `json:"switch_to_last_old_keepalive_ms"`
	FirstNew         float64       `json:"apply_to_first_new_s"`
	Mixed            float64       `json:"mixed_version_s"` // fresh connections
	Writes           int           `json:"writes"`
	BadErrors        int           `json:"bad_version_errors"` // over all bad releases
	BadByKind        map[fault]int `json:"bad_versions"`
}

// summary is the last line.
type summary struct {
	Rate   int     `json:"rate"`
	Englog *result `json:"englog"`
	Argo   *result `json:"argo_rollouts"`
	Script *result `json:"script"`
}

func (b *bench) summary() summary {
	return summary{
		Rate: b.settings.rate, Englog: resultOf(b.samples, "englog"), Argo: resultOf(b.samples, argoName), Script: resultOf(b.samples, scriptName),
	}
}

func resultOf(samples []sample, system string) *result {
	r := &result{BadByKind: map[fault]int{}}
	var good []sample
	for _, s := range samples {
		switch {
		case s.System != system:
		case s.Fault == none:
			good = append(good, s)
			r.Cutovers++
			r.Requests += s.Requests
			r.Failed += s.Failed
		default:
			r.BadErrors += s.Failed
			r.BadByKind[s.Fault] += s.Failed
		}
	}
	r.LastOld = median(good, func(s sample) float64 { return s.LastOld })
	r.LastOldKeepAlive = median(good, func(s sample) float64 { return s.LastOldKeepAlive })
	r.FirstNew = median(good, func(s sample) float64 { return s.FirstNew })
	r.Mixed = median(good, func(s sample) float64 { return s.Mixed })
	r.Writes = int(math.Round(median(good, func(s sample) float64 { return float64(s.Writes) })))
	return r
}

func median(samples []sample, of func(sample) float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return round((values[middle-1] + values[middle]) / 2)
}

// print writes one row for each release brought.
func (b *bench) print(w io.Writer) {
	_, _ = fmt.Fprintf(w, "\n%d requests a second, half on new connections; %d API pods each; the peers bring the API alone, this operator API, frontend and worker.\n"+
		"first new: seconds after the spec; last old: after the switch write; writes: the system's own, without events and leases.\n\n", b.settings.rate, replicas)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) }
	row("system\trelease\trequests\tfailed\tfirst new s\tlast old ms\tkeep-alive ms\tmixed s\twrites\tp99 ms\toutcome")
	for _, s := range b.samples {
		kind := string(s.Fault)
		if s.Fault == none {
			kind = "good"
		}
		row("%s\t%s\t%d\t%d\t%.2f\t%.0f\t%.0f\t%.2f\t%d\t%.1f\t%s", s.System, kind, s.Requests, s.Failed, s.FirstNew, s.LastOld, s.LastOldKeepAlive,
			s.Mixed, s.Writes, s.P99, s.Outcome)
	}
	_ = t.Flush()
	for _, s := range b.samples {
		if s.Failed > 0 && s.Fault == none {
			_, _ = fmt.Fprintf(w, "%s: failed %v\n", s.System, s.Kinds)
		}
	}
}
