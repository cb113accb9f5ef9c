package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
)

// query makes one try of a query check. Whatever keeps Prometheus from answering with one number says nothing about the revision.
func (r *Runner) query(ctx context.Context, p plan.Probe) outcome {
	if r.options.Prometheus == "" {
		return outcome{blind, "the operator knows no Prometheus: start it with --prometheus-url, or remove the check"}
	}
	answer, err := r.ask(ctx, p.Timeout, func(ctx context.Context) (Answer, error) { return r.instant(ctx, p.Query) })
	if err != nil {
		return outcome{blind, "Prometheus: " + err.Error()}
	}
	value, err := number(answer)
	if err != nil {
		return outcome{blind, "Prometheus: " + err.Error()}
	}
	holds, err := compare(value, p.Operator, p.Threshold)
	switch {
	case err != nil:
		return outcome{blind, err.Error()}
	case !holds:
		return outcome{failed, fmt.Sprintf("the query answered %.4g, wanted %s %s", value, p.Operator, p.Threshold)}
	default:
		return outcome{}
	}
}

// instant asks the instant query API: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries.
func (r *Runner) instant(ctx context.Context, query string) (Answer, error) {
	u, err := url.Parse(strings.TrimSuffix(r.options.Prometheus, "/") + "/api/v1/query")
	if err != nil {
		return Answer{}, errors.New("the address that the operator was given is not a URL")
	}
	u.RawQuery = url.Values{"query": {query}}.Encode()
	return once(ctx, &net.Dialer{}, http.MethodGet, u)
}

// instantAnswer is the part of an answer that a check needs.
type instantAnswer struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// number is the one number that a query has answered.
func number(a Answer) (float64, error) {
	var answer instantAnswer
	if json.Unmarshal(a.Body, &answer) != nil || answer.Status == "" {
		return 0, fmt.Errorf("answered %d, not as Prometheus does", a.Status)
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("refused the query: %s", plain(answer.Error, 160))
	}
	sample, err := answer.sample()
	if err != nil {
		return 0, err
	}
	text, ok := sample[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil || math.IsNaN(value) {
		return 0, errors.New("the query answered no number (NaN): nothing was measured yet")
	}
	return value, nil
}

// sample is a pair of time and value.
func (a instantAnswer) sample() ([2]any, error) {
	var scalar [2]any
	var vector []struct {
		Value [2]any `json:"value"`
	}
	switch {
	case a.Data.ResultType == "scalar" && json.Unmarshal(a.Data.Result, &scalar) == nil:
		return scalar, nil
	case a.Data.ResultType != "vector" || json.Unmarshal(a.Data.Result, &vector) != nil:
		return scalar, fmt.Errorf("the query answered a %s: write one that answers one number", plain(a.Data.ResultType, 16))
	case len(vector) == 0:
		return scalar, errors.New("the query answered nothing: nothing was measured yet")
	case len(vector) > 1:
		return scalar, errors.New("the query answered several series: aggregate them to one number")
	default:
		return vector[0].Value, nil
	}
}

func compare(value float64, operator, threshold string) (bool, error) {
	limit, err := strconv.ParseFloat(threshold, 64)
	if err != nil {
		return false, fmt.Errorf("threshold %q is not a number", threshold)
	}
	switch v1alpha1.Comparison(operator) {
	case v1alpha1.ComparisonLessThan:
		return value < limit, nil
	case v1alpha1.ComparisonLessThanOrEqual:
		return value <= limit, nil
	case v1alpha1.ComparisonGreaterThan:
		return value > limit, nil
	case v1alpha1.ComparisonGreaterThanOrEqual:
		return value >= limit, nil
	case v1alpha1.ComparisonEqual:
		return value == limit, nil
	default:
		return false, fmt.Errorf("comparison %q is unknown", operator)
	}
}
