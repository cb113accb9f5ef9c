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
	FewestRequests   int           `json:"requests_min"` // of one good release
	Requests         int           `json:"requests"`     // over the good releases
	Failed           int           `json:"failed"`
	LastOld          float64       `json:"switch_to_last_old_ms"`
	LastOldKeepAlive float64       `json:"switch_to_last_old_keepalive_ms"`
	LastOldMax       float64       `json:"switch_to_last_old_max_ms"`
	KeepAliveMax     float64       `json:"switch_to_last_old_keepalive_max_ms"`
	Endpoints        float64       `json:"switch_to_endpoints_ms"`
	FirstNew         float64       `json:"apply_to_first_new_s"`
	Mixed            float64       `json:"mixed_version_s"` // fresh connections
	Writes           int           `json:"writes"`
	BadErrors        int           `json:"bad_version_errors"` // over all bad releases
	BadByKind        map[fault]int `json:"bad_versions"`
	BadReleases      int           `json:"bad_releases"`
	BackToLastBad    float64       `json:"back_to_last_bad_ms"`  // the longest; from the write that takes users back
	CheckToLastBad   float64       `json:"check_to_last_bad_ms"` // the longest; from the check that decided it, where that is known
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
			if r.FewestRequests == 0 || s.Requests < r.FewestRequests {
				r.FewestRequests = s.Requests
			}
			r.LastOldMax, r.KeepAliveMax = max(r.LastOldMax, s.LastOld), max(r.KeepAliveMax, s.LastOldKeepAlive)
		default:
			r.BadReleases++
			r.BadErrors += s.Failed
			r.BackToLastBad, r.CheckToLastBad = max(r.BackToLastBad, s.BackToLastBad), max(r.CheckToLastBad, s.CheckToLastBad)
			r.BadByKind[s.Fault] += s.Failed
		}
	}
	r.LastOld = median(good, func(s sample) float64 { return s.LastOld })
	r.LastOldKeepAlive = median(good, func(s sample) float64 { return s.LastOldKeepAlive })
	r.Endpoints = median(good, func(s sample) float64 { return s.Endpoints })
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
		"first new: seconds after the spec; endpoints, last old, keep-alive: after the switch write; last bad: after the write that took users back; writes: the system's own, without events and leases.\n\n", b.settings.rate, replicas)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) }
	row("system\trelease\trequests\tfailed\tfirst new s\tendpoints ms\tlast old ms\tkeep-alive ms\tmixed s\twrites\tp99 ms\tlast bad ms\toutcome")
	for _, s := range b.samples {
		kind := string(s.Fault)
		if s.Fault == none {
			kind = "good"
		}
		row("%s\t%s\t%d\t%d\t%.2f\t%.0f\t%.0f\t%.0f\t%.2f\t%d\t%.1f\t%.0f\t%s", s.System, kind, s.Requests, s.Failed, s.FirstNew, s.Endpoints,
			s.LastOld, s.LastOldKeepAlive, s.Mixed, s.Writes, s.P99, s.BackToLastBad, s.Outcome)
	}
	_ = t.Flush()
	for _, s := range b.samples {
		if s.Failed > 0 && s.Fault == none {
			_, _ = fmt.Fprintf(w, "%s: failed %v\n", s.System, s.Kinds)
		}
	}
}
