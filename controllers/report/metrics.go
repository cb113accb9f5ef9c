package report

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
)

// instruments are the operator's own metrics. Those with the labels namespace and name are removed with the instance; all other labels
// come from closed sets.
type instruments struct {
	info, ready, step     *prometheus.GaugeVec
	rollouts              *prometheus.CounterVec
	rolloutTime, stepTime *prometheus.HistogramVec
	humanWait, verifyTime prometheus.Histogram
	migrationTime         *prometheus.HistogramVec
	applied, drifts       *prometheus.CounterVec
}

var (
	// From a second to a night: rollouts, steps and migrations.
	longBuckets = []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 14400, 43200}
	// From the polling interval of the checks to their deadline.
	verifyBuckets = []float64{0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300}
)

func newInstruments(registry prometheus.Registerer) *instruments {
	instance := func(labels ...string) []string { return append([]string{"namespace", "name"}, labels...) }
	return &instruments{
		info:          register(registry, gauge("englog_instance_info", "The active version and color of an instance, always 1.", instance("version", "color"))),
		ready:         register(registry, gauge("englog_instance_ready", "1 while the condition Ready is True.", instance())),
		step:          register(registry, gauge("englog_rollout_step", "1 for the step that the rollout of an instance is in, 0 for all others.", instance("step"))),
		rollouts:      register(registry, counter("englog_rollout_total", "Rollouts that have ended, by outcome.", instance("outcome"))),
		rolloutTime:   register(registry, histogram("englog_rollout_duration_seconds", "How long rollouts took, by outcome.", longBuckets, "outcome")),
		stepTime:      register(registry, histogram("englog_rollout_step_duration_seconds", "How long steps of rollouts took.", longBuckets, "step")),
		migrationTime: register(registry, histogram("englog_migration_duration_seconds", "How long expand migrations took, by result.", longBuckets, "result")),
		humanWait: register(registry, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "englog_rollout_human_wait_seconds", Help: "How long verified revisions waited for their promotion.", Buckets: longBuckets})),
		verifyTime: register(registry, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "englog_switch_to_verified_seconds", Help: "From the switch of traffic until fresh connections answered with the new revision.", Buckets: verifyBuckets})),
		applied: register(registry, counter("englog_apply_total", "Writes of children, by kind and result.", []string{"kind", "result"})),
		drifts:  register(registry, counter("englog_drift_repaired_total", "Children that somebody else had changed and that were taken back.", []string{"kind"})),
	}
}

func gauge(name, help string, labels []string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func counter(name, help string, labels []string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, label string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{label})
}

// register registers a collector, or returns the one that is registered under its name: two operators in one process, as in tests,
// count together.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}

// steps lists the values of the label step.
var steps = []v1alpha1.Step{
	v1alpha1.StepStable, v1alpha1.StepPreparing, v1alpha1.StepMigrating, v1alpha1.StepScaling, v1alpha1.StepVerifying,
	v1alpha1.StepAwaitingPromotion, v1alpha1.StepSwitching, v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRetaining,
	v1alpha1.StepRetiring, v1alpha1.StepContracting, v1alpha1.StepAborting, v1alpha1.StepRollingBack,
}

// observe sets what is true of an instance now.
func (m *instruments) observe(key types.NamespacedName, instance *v1alpha1.EngLogInstance) {
	s := &instance.Status
	m.ready.WithLabelValues(key.Namespace, key.Name).Set(oneIf(meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionReady)))
	for _, step := range steps {
		m.step.WithLabelValues(key.Namespace, key.Name, string(step)).Set(oneIf(step == stepOf(s)))
	}
	m.info.DeletePartialMatch(labelsOf(key))
	if a := s.Active; a != nil {
		m.info.WithLabelValues(key.Namespace, key.Name, a.Version, string(a.Color)).Set(1)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func labelsOf(key types.NamespacedName) prometheus.Labels {
	return prometheus.Labels{"namespace": key.Namespace, "name": key.Name}
}

func (m *instruments) forget(key types.NamespacedName) {
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.info, m.ready, m.step, m.rollouts} {
		v.DeletePartialMatch(labelsOf(key))
	}
}

// count counts what has happened between two statuses.
func (m *instruments) count(key types.NamespacedName, events []plan.Event, old, next *v1alpha1.EngLogInstanceStatus, now time.Time) {
	m.countSteps(old, next)
	m.countEnd(key, old, next)
	m.countVerified(old, next, now)
	for _, e := range events {
		if e.Reason == "RouteDrifted" {
			m.drifts.WithLabelValues("Route").Inc()
		}
	}
}

// countSteps observes each step that has ended.
func (m *instruments) countSteps(old, next *v1alpha1.EngLogInstanceStatus) {
	if old.Rollout == nil || next.Rollout == nil || old.Rollout.ID != next.Rollout.ID || old.Rollout.Step == next.Rollout.Step {
		return
	}
	records := next.Rollout.Steps
	if len(records) < 2 {
		return
	}
	ended, began := records[len(records)-2], records[len(records)-1]
	if ended.Step != old.Rollout.Step {
		return
	}
	took := began.At.Sub(ended.At.Time).Seconds()
	m.stepTime.WithLabelValues(string(ended.Step)).Observe(took)
	switch ended.Step {
	case v1alpha1.StepAwaitingPromotion:
		m.humanWait.Observe(took)
	case v1alpha1.StepMigrating:
		if migration := next.Rollout.Migration; migration != nil {
			m.migrationTime.WithLabelValues(string(migration.Result)).Observe(took)
		}
	default:
	}
}

// countEnd counts a rollout that has ended: it is the newest of the history then.
func (m *instruments) countEnd(key types.NamespacedName, old, next *v1alpha1.EngLogInstanceStatus) {
	if len(next.History) == 0 || stepOf(next) != v1alpha1.StepStable || stepOf(old) == v1alpha1.StepStable {
		return
	}
	h := next.History[0]
	m.rollouts.WithLabelValues(key.Namespace, key.Name, string(h.Outcome)).Inc()
	if h.StartedAt != nil && h.FinishedAt != nil {
		m.rolloutTime.WithLabelValues(string(h.Outcome)).Observe(h.FinishedAt.Sub(h.StartedAt.Time).Seconds())
	}
}

// countVerified observes how long it took from the switch until fresh connections answered with the new revision.
func (m *instruments) countVerified(old, next *v1alpha1.EngLogInstanceStatus, now time.Time) {
	was, is := meta.FindStatusCondition(old.Conditions, v1alpha1.ConditionTrafficVerified), meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionTrafficVerified)
	if is == nil || is.Status != metav1.ConditionTrue || was != nil && was.Status == metav1.ConditionTrue || next.Rollout == nil {
		return
	}
	for _, record := range next.Rollout.Steps {
		if record.Step == v1alpha1.StepConfirming {
			m.verifyTime.Observe(now.Sub(record.At.Time).Seconds())
			return
		}
	}
}
