package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	englog "github.com/garnizeh/englog-operator/workload"
)

type metrics struct {
	runs     *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	repaired *prometheus.CounterVec
	inFlight prometheus.GaugeFunc
}

func newMetrics(w *Worker) *metrics {
	return &metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "englog_task_runs_total",
			Help: "Runs of task handlers by outcome: done, retried, parked, dead, cancelled, lost, handed_back."}, []string{"kind", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "englog_task_run_seconds",
			Help: "How long a run of a task handler took, its commit included.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}, []string{"kind"}),
		repaired: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "englog_tasks_swept_total",
			Help: "Tasks that a sweep repaired: message (lost message), worker (lost worker), poison (lost too many)."}, []string{"lost"}),
		inFlight: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "englog_tasks_in_flight",
			Help: "Tasks that this worker runs now."}, func() float64 { return float64(w.InFlight()) }),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.runs, m.seconds, m.repaired, m.inFlight} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("registering the metrics of the queue: %w", err)
		}
	}
	return nil
}

func (m *metrics) observe(kind englog.Kind, outcome string, took time.Duration) {
	m.runs.WithLabelValues(string(kind), outcome).Inc()
	m.seconds.WithLabelValues(string(kind)).Observe(took.Seconds())
}

func (m *metrics) swept(s englog.Swept) {
	m.repaired.WithLabelValues("message").Add(float64(s.Requeued))
	m.repaired.WithLabelValues("worker").Add(float64(s.Crashed))
	m.repaired.WithLabelValues("poison").Add(float64(s.Poisoned))
}

// Counter tells the state of all tasks. Package store's Tasks is one.
type Counter interface {
	Counts(ctx context.Context) ([]englog.TaskCount, error)
	OldestReady(ctx context.Context) (time.Duration, error)
}

// Backlog exposes englog_tasks{state,kind} and englog_oldest_ready_seconds. Every worker answers for all: take the
// maximum over pods, not the sum. The numbers are at most five seconds old, however often they are asked for.
type Backlog struct {
	counter Counter
	tasks   *prometheus.Desc
	oldest  *prometheus.Desc
	mu      sync.Mutex
	at      time.Time
	counts  []englog.TaskCount
	age     time.Duration
}

// NewBacklog returns a collector over the store's tasks.
func NewBacklog(c Counter) *Backlog {
	return &Backlog{counter: c,
		tasks: prometheus.NewDesc("englog_tasks", "Tasks that are not done, by state and kind.", []string{"state", "kind"}, nil),
		oldest: prometheus.NewDesc("englog_oldest_ready_seconds",
			"How long the oldest due task has waited to be published.", nil, nil)}
}

// Describe implements prometheus.Collector.
func (b *Backlog) Describe(ch chan<- *prometheus.Desc) {
	ch <- b.tasks
	ch <- b.oldest
}

// Collect implements prometheus.Collector. While the database does not answer, nothing is reported.
func (b *Backlog) Collect(ch chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.at) > 5*time.Second && !b.refresh() {
		return
	}
	for _, c := range b.counts {
		ch <- prometheus.MustNewConstMetric(b.tasks, prometheus.GaugeValue, float64(c.Count), string(c.State), string(c.Kind))
	}
	ch <- prometheus.MustNewConstMetric(b.oldest, prometheus.GaugeValue, b.age.Seconds())
}

func (b *Backlog) refresh() bool {
	ctx, cancel := context.WithTimeout(context.Background(), redisBudget)
	defer cancel()
	counts, err := b.counter.Counts(ctx)
	if err != nil {
		return false
	}
	age, err := b.counter.OldestReady(ctx)
	if err != nil {
		return false
	}
	b.counts, b.age, b.at = counts, age, time.Now()
	return true
}
