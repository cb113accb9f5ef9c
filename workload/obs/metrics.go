package obs

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry returns a registry with the metrics of the process and of the
// build.
func NewRegistry(version, revision, color, role string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "englog_build_info", Help: "Always 1; the labels tell what runs.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "color": color, "role": role},
	})
	info.Set(1)
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// HTTP counts requests by route, which is a path template and never a path.
type HTTP struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// NewHTTP registers the metrics of a server.
func NewHTTP(r prometheus.Registerer) *HTTP {
	m := &HTTP{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "englog_http_requests_total",
			Help: "Requests by route, method and status."}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "englog_http_request_duration_seconds",
			Help:    "How long requests took, by route and method.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}, []string{"route", "method"}),
	}
	r.MustRegister(m.requests, m.seconds)
	return m
}

// Route counts the requests of one route and method. Counters are looked up
// once for each status.
type Route struct {
	metrics  *HTTP
	labels   [2]string
	seconds  prometheus.Observer
	statuses sync.Map // int → prometheus.Counter
}

// Route returns the counters of a route.
func (m *HTTP) Route(route, method string) *Route {
	return &Route{metrics: m, labels: [2]string{route, method}, seconds: m.seconds.WithLabelValues(route, method)}
}

// Observe counts one request.
func (r *Route) Observe(status int, took time.Duration) {
	counter, ok := r.statuses.Load(status)
	if !ok {
		counter = r.metrics.requests.WithLabelValues(r.labels[0], r.labels[1], strconv.Itoa(status))
		r.statuses.Store(status, counter)
	}
	counter.(prometheus.Counter).Inc() //nolint:forcetypeassert // the map holds nothing else
	r.seconds.Observe(took.Seconds())
}
