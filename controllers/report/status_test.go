package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

func TestStatus(t *testing.T) {
	s := switched(v1alpha1.StepRetaining)
	s.w.Workloads[world.Slot{Component: v1alpha1.API, Color: v1alpha1.Green}].Pods[1].ImageID = "englog@sha256:moved"
	s.p.Status.Previous.Images = []string{"kept"}
	for c := range s.w.Workloads {
		if c.Color == v1alpha1.Blue {
			s.w.Workloads[c] = world.Workload{Exists: true, Revision: "aaa"}
		}
	}
	status := Status(s.w, s.p, nil, map[string]string{"LOG_LEVEL": "info", "APP_VERSION": "1.1.0"}, noon)
	if status.ObservedGeneration != 7 || status.URL != "http://demo-api.shop.svc" {
		t.Errorf("generation %d, url %q", status.ObservedGeneration, status.URL)
	}
	if got := fmt.Sprint(status.Components); got != "[{frontend Green bbb 1 1} {api Green bbb 2 2} {worker Green bbb 1 1} {frontend Blue aaa 0 0} {api Blue aaa 0 0} {worker Blue aaa 0 0}]" {
		t.Errorf("components = %s", got)
	}
	if !slices.Equal(status.Active.Images, []string{"englog@sha256:bbb", "englog@sha256:moved"}) || !slices.Equal(status.Previous.Images, []string{"kept"}) {
		t.Errorf("images = %v and %v", status.Active.Images, status.Previous.Images)
	}
	if got := fmt.Sprint(status.Effective); got != "[{APP_VERSION 1.1.0} {LOG_LEVEL info}]" {
		t.Errorf("effective = %s", got)
	}
	if s.w.Instance.Status.Active.Images != nil {
		t.Error("the world was changed")
	}
}

func TestURL(t *testing.T) {
	for want, e := range map[string]*v1alpha1.ExposureSpec{
		"http://demo-api.shop.svc": nil,
		"http://api.example.org":   {Type: v1alpha1.ExposureGateway, Hosts: []v1alpha1.Hostname{"api.example.org", "b.example.org"}},
		"https://api.example.com":  {Type: v1alpha1.ExposureIngress, Hosts: []v1alpha1.Hostname{"api.example.com"}, TLS: &v1alpha1.TLSSpec{Type: v1alpha1.TLSSecret}},
	} {
		s := serving()
		s.w.Spec.Exposure = e
		if got := Status(s.w, s.p, nil, nil, noon).URL; got != want {
			t.Errorf("url = %s, want %s", got, want)
		}
	}
}

// The message of a rollout that goes back is the plan's memory of why: nothing may replace it.
func TestTheCauseOfAFailureIsKept(t *testing.T) {
	for _, step := range []v1alpha1.Step{v1alpha1.StepAborting, v1alpha1.StepRollingBack, v1alpha1.StepStable, v1alpha1.StepRetaining} {
		s := rolling(step).with(hold("SomethingElse", "something else")).with(stall("Else", "someone else"))
		if m := Status(s.w, s.p, nil, nil, noon).Rollout.Message; m != "the plan's sentence" {
			t.Errorf("%s: the message became %q", step, m)
		}
	}
	s := rolling(v1alpha1.StepScaling).with(hold("QuotaExceeded", "ResourceQuota small leaves no room"))
	if m := Status(s.w, s.p, nil, nil, noon).Rollout.Message; m != "ResourceQuota small leaves no room" {
		t.Errorf("the message is %q", m)
	}
}

func TestWorthWriting(t *testing.T) {
	during := func(step v1alpha1.Step) *v1alpha1.EngLogInstanceStatus {
		return &v1alpha1.EngLogInstanceStatus{
			Rollout:    &v1alpha1.RolloutStatus{Step: step, Message: "4 of 9 api pods are ready in blue: pod demo-api-blue-6d4cf56db6-x7k2p is not"},
			Components: []v1alpha1.ComponentStatus{{Name: v1alpha1.API, Color: v1alpha1.Blue, Desired: 9, Ready: 4}},
			Conditions: []metav1.Condition{{Type: "Reconciling", Status: "True", Reason: "NotEnoughReady", Message: "4 of 9"}},
			Candidate:  &v1alpha1.RevisionStatus{Revision: "bbb"},
		}
	}
	cases := map[string]struct {
		step   v1alpha1.Step
		change func(*v1alpha1.EngLogInstanceStatus)
		worth  bool
	}{
		"nothing":          {v1alpha1.StepStable, func(*v1alpha1.EngLogInstanceStatus) {}, false},
		"pods in a step":   {v1alpha1.StepScaling, func(s *v1alpha1.EngLogInstanceStatus) { s.Components[0].Ready = 5 }, false},
		"images in a step": {v1alpha1.StepScaling, func(s *v1alpha1.EngLogInstanceStatus) { s.Candidate.Images = []string{"x"} }, false},
		"counts in a step": {v1alpha1.StepScaling, func(s *v1alpha1.EngLogInstanceStatus) {
			s.Rollout.Message = strings.Replace(s.Rollout.Message, "4", "5", 1)
		}, false},
		"another pod in a step": {v1alpha1.StepScaling, func(s *v1alpha1.EngLogInstanceStatus) {
			s.Rollout.Message = strings.Replace(s.Rollout.Message, "x7k2p", "abcde", 1)
		}, false},
		"counts in a condition": {v1alpha1.StepScaling, func(s *v1alpha1.EngLogInstanceStatus) { s.Conditions[0].Message = "5 of 9" }, false},
		"another cause":         {v1alpha1.StepScaling, func(s *v1alpha1.EngLogInstanceStatus) { s.Rollout.Message += ": ImagePullBackOff" }, true},
		"another reason":        {v1alpha1.StepScaling, func(s *v1alpha1.EngLogInstanceStatus) { s.Conditions[0].Reason = "X" }, true},
		"the next step":         {v1alpha1.StepScaling, func(s *v1alpha1.EngLogInstanceStatus) { s.Rollout.Step = v1alpha1.StepVerifying }, true},
		"a generation":          {v1alpha1.StepScaling, func(s *v1alpha1.EngLogInstanceStatus) { s.ObservedGeneration = 2 }, true},
		"pods at rest":          {v1alpha1.StepStable, func(s *v1alpha1.EngLogInstanceStatus) { s.Components[0].Ready = 5 }, true},
		"pods, for a person":    {v1alpha1.StepAwaitingPromotion, func(s *v1alpha1.EngLogInstanceStatus) { s.Components[0].Ready = 5 }, true},
	}
	for name, c := range cases {
		old, next := during(c.step), during(c.step)
		c.change(next)
		if got := worthWriting(old, next); got != c.worth {
			t.Errorf("%s: worth = %v", name, got)
		}
	}
}

// store is an API server of one object.
type store struct {
	client.StatusClient
	client.SubResourceWriter
	version string
	updates []*v1alpha1.EngLogInstance
}

func (s *store) Status() client.SubResourceWriter { return s }

func (s *store) Update(_ context.Context, o client.Object, _ ...client.SubResourceUpdateOption) error {
	if o.GetResourceVersion() != s.version {
		return apierrors.NewConflict(schema.GroupResource{Resource: "engloginstances"}, o.GetName(), errors.New("changed"))
	}
	s.version += "+"
	o.SetResourceVersion(s.version)
	s.updates = append(s.updates, o.(*v1alpha1.EngLogInstance).DeepCopy())
	return nil
}

func TestWrite(t *testing.T) {
	instance := serving().w.Instance
	instance.ResourceVersion = "1"
	s := &store{version: "1"}
	status := *instance.Status.DeepCopy()
	if written, err := Write(t.Context(), s, instance, status); written || err != nil || len(s.updates) != 0 {
		t.Errorf("the same status: written = %v, %v", written, err)
	}
	status.URL = "http://new"
	if written, err := Write(t.Context(), s, instance, status); !written || err != nil || instance.Status.URL != "http://new" || instance.ResourceVersion != "1+" {
		t.Errorf("a new status: written = %v, %v, %s", written, err, instance.ResourceVersion)
	}
	stale := instance.DeepCopy()
	stale.ResourceVersion = "1"
	status.URL = "http://newer"
	if written, err := Write(t.Context(), s, stale, status); written || !apierrors.IsConflict(err) || stale.Status.URL != "http://new" {
		t.Errorf("an overtaken status: written = %v, %v", written, err)
	}
}

// recorder keeps events.
type recorder struct{ list []string }

func (r *recorder) Eventf(_, _ runtime.Object, kind, reason, action, note string, args ...any) {
	r.list = append(r.list, fmt.Sprintf("%s %s %s "+note, append([]any{kind, reason, action}, args...)...))
}

func newReporter(s *store, r *recorder) (*Reporter, *prometheus.Registry) {
	registry := prometheus.NewPedanticRegistry()
	return &Reporter{client: s, events: r, now: func() time.Time { return noon }, metrics: newInstruments(registry)}, registry
}

func TestEventsAreSentOncePerTransitionAndOnlyWhenPersisted(t *testing.T) {
	s, r := &store{}, &recorder{}
	reporter, _ := newReporter(s, r)
	sc := serving().with(deaf)
	sc.w.Instance.Status.Conditions = Conditions(serving().w, serving().p, nil, noon)
	sc.p.Status.Conditions = sc.w.Instance.Status.Conditions
	sc.p.Events = []plan.Event{{Reason: "Scaling", Message: "Migrating → Scaling: 100% of it"}}
	sc.w.Instance.ResourceVersion = "stale"
	if err := reporter.Tell(t.Context(), sc.w, sc.p, nil, nil); !apierrors.IsConflict(err) || len(r.list) != 0 {
		t.Errorf("err = %v, events = %v", err, r.list)
	}
	sc.w.Instance.ResourceVersion = ""
	for range 3 {
		if err := reporter.Tell(t.Context(), sc.w, sc.p, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"Normal Scaling Rollout Migrating → Scaling: 100% of it",
		"Warning NoReadyPods Observe no ready api pod is behind the live Service demo-api: CrashLoopBackOff: back-off",
	}
	if !slices.Equal(r.list, want) || len(s.updates) != 1 {
		t.Errorf("%d writes, events:\n%s", len(s.updates), strings.Join(r.list, "\n"))
	}
	well := serving()
	well.w.Instance = sc.w.Instance
	if err := reporter.Tell(t.Context(), well.w, well.p, nil, nil); err != nil || len(r.list) != 3 || !strings.HasPrefix(r.list[2], corev1.EventTypeNormal+" Serving") {
		t.Errorf("after the recovery: %v, %v", err, r.list)
	}
}

// gathered is the value of a metric with the given labels, or how often a histogram has observed.
func gathered(t *testing.T, registry *prometheus.Registry, name string, labels ...string) (float64, bool) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && !slices.ContainsFunc(labels, func(l string) bool {
				return !slices.ContainsFunc(m.GetLabel(), func(p *dto.LabelPair) bool { return p.GetName()+"="+p.GetValue() == l })
			}) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()), true
			}
		}
	}
	return 0, false
}

func TestMetrics(t *testing.T) {
	play := newStory()
	s, r := &store{}, &recorder{}
	reporter, registry := newReporter(s, r)
	reporter.now = func() time.Time { return play.Now }
	tell := func(target string) {
		play.Target = target
		for range 80 {
			w := play.Observe()
			p := plan.Next(w, play.Now)
			play.Watch(p.Probes)
			moved := false
			for _, write := range p.Writes {
				changed, err := play.Apply(write)
				if err != nil {
					t.Fatal(err)
				}
				moved = moved || changed
			}
			copied := *w
			copied.Instance = w.Instance.DeepCopy()
			s.version = w.Instance.ResourceVersion
			if err := reporter.Tell(t.Context(), &copied, p, nil, nil); err != nil {
				t.Fatal(err)
			}
			persisted, err := play.Persist(w.Instance.ResourceVersion, copied.Instance.Status)
			if err != nil {
				t.Fatal(err)
			}
			if moved = play.Settle() || moved || persisted; !moved && p.Wake.After(play.Now) {
				play.Now = p.Wake
			}
		}
	}
	tell("a")
	tell("b")
	if play.Instance.Status.Active == nil || play.Instance.Status.Active.Revision != "b" || stepOf(&play.Instance.Status) != v1alpha1.StepStable {
		t.Fatalf("the story ended in %s: %s", stepOf(&play.Instance.Status), play.Instance.Status.Rollout.Message)
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"englog_instance_info", []string{"namespace=model", "name=demo", "version=b.0.0", "color=Green"}, 1},
		{"englog_instance_ready", []string{"name=demo"}, 1},
		{"englog_rollout_step", []string{"step=Stable"}, 1},
		{"englog_rollout_step", []string{"step=Scaling"}, 0},
		{"englog_rollout_total", []string{"outcome=Promoted"}, 2},
		{"englog_rollout_duration_seconds", []string{"outcome=Promoted"}, 2},
		{"englog_rollout_step_duration_seconds", []string{"step=Confirming"}, 2},
		{"englog_rollout_step_duration_seconds", []string{"step=Retaining"}, 1},
		{"englog_migration_duration_seconds", []string{"result=Succeeded"}, 2},
		{"englog_switch_to_verified_seconds", nil, 2},
		{"englog_rollout_human_wait_seconds", nil, 2},
	} {
		if got, ok := gathered(t, registry, c.name, c.labels...); !ok || got != c.want {
			t.Errorf("%s%v = %v (present: %v), want %v", c.name, c.labels, got, ok, c.want)
		}
	}
	reporter.Forget(types.NamespacedName{Namespace: "model", Name: "demo"})
	for _, name := range []string{"englog_instance_info", "englog_instance_ready", "englog_rollout_step", "englog_rollout_total"} {
		if _, ok := gathered(t, registry, name); ok {
			t.Errorf("%s outlives its instance", name)
		}
	}
}

func TestMetricsOfTwoReportersInOneProcess(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	one, two := newInstruments(registry), newInstruments(registry)
	one.drifts.WithLabelValues("Route").Inc()
	two.drifts.WithLabelValues("Route").Inc()
	if n, _ := gathered(t, registry, "englog_drift_repaired_total", "kind=Route"); n != 2 {
		t.Errorf("counted %v, want 2", n)
	}
}
