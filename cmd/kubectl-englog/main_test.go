package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

func awaiting() *v1alpha1.EngLogInstance {
	entered := metav1.NewTime(time.Now().Add(-615 * time.Second))
	return &v1alpha1.EngLogInstance{
		ObjectMeta: metav1.ObjectMeta{Name: "demo", Namespace: "shop"},
		Spec: v1alpha1.EngLogInstanceSpec{
			Version: "1.1.0",
			Rollout: &v1alpha1.RolloutSpec{ProgressDeadlineSeconds: 77, Promotion: &v1alpha1.PromotionSpec{Mode: v1alpha1.PromotionManual}},
		},
		Status: v1alpha1.EngLogInstanceStatus{
			Conditions: []metav1.Condition{{Type: "Ready", Status: "False", Reason: "AwaitingApproval", Message: "waiting for you"}},
			Active:     &v1alpha1.RevisionStatus{Color: v1alpha1.Blue, Revision: "aaaaaaaaaa", Version: "1.0.0"},
			Candidate:  &v1alpha1.RevisionStatus{Color: v1alpha1.Green, Revision: "bbbbbbbbbb", Version: "1.1.0"},
			Components: []v1alpha1.ComponentStatus{{Name: v1alpha1.API, Color: v1alpha1.Green, Revision: "bbbbbbbbbb", Desired: 2, Ready: 1}},
			Rollout: &v1alpha1.RolloutStatus{
				ID: "bbbbbbbbbb-1", Step: v1alpha1.StepAwaitingPromotion, StepEnteredAt: &entered, Message: "waiting for approval",
				Checks: []v1alpha1.CheckStatus{{Name: "ready-api", Result: v1alpha1.CheckPassed, Message: "passed 2 times in a row"}},
				Steps: []v1alpha1.StepRecord{
					{Step: v1alpha1.StepVerifying, At: metav1.NewMicroTime(entered.Add(-30 * time.Second))},
					{Step: v1alpha1.StepAwaitingPromotion, At: metav1.NewMicroTime(entered.Time)},
				},
			},
			History: []v1alpha1.HistoryEntry{{Revision: "aaaaaaaaaa", Version: "1.0.0", Outcome: v1alpha1.OutcomePromoted}},
		},
	}
}

func pod(name, color string, ready bool) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Labels: map[string]string{instanceLabel: "demo", componentLabel: "api", colorLabel: color}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	} else {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
	}
	return p
}

// cluster is a fake API server; patches remembers who patched.
func cluster(objects ...client.Object) client.WithWatch {
	return fake.NewClientBuilder().WithScheme(scheme()).WithObjects(objects...).WithStatusSubresource(&v1alpha1.EngLogInstance{}).Build()
}

func call(t *testing.T, c client.WithWatch, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, &out, func(s settings) (client.WithWatch, string, error) { return c, s.namespace, nil })
	return out.String(), err
}

func read(t *testing.T, c client.Client) *v1alpha1.EngLogInstance {
	t.Helper()
	var i v1alpha1.EngLogInstance
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "demo"}, &i); err != nil {
		t.Fatal(err)
	}
	return &i
}

func TestStatus(t *testing.T) {
	c := cluster(awaiting(), pod("demo-api-green-2", "green", false), pod("demo-api-green-1", "green", true), pod("demo-api-blue-1", "blue", true))
	out, err := call(t, c, "status", "demo", "-n", "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Ready      False  AwaitingApproval: waiting for you",
		"Rollout    AwaitingPromotion, for 10m",
		"Verifying 30s → AwaitingPromotion 10m",
		"active     Blue, version 1.0.0, revision aaaaaaaaaa",
		"candidate  Green, version 1.1.0, revision bbbbbbbbbb",
		"├─ api 1/2 ready\n│  └─ demo-api-green-1  ready\n│  └─ demo-api-green-2  ImagePullBackOff\n",
		"ready-api  Passed  passed 2 times in a row",
		"aaaaaaaaaa  1.0.0    Promoted",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "demo-api-blue-1") {
		t.Errorf("a pod of a color without components is shown:\n%s", out)
	}
}

func TestPromote(t *testing.T) {
	c := cluster(awaiting())
	out, err := call(t, c, "promote", "demo", "--namespace=shop")
	if err != nil || !strings.Contains(out, "bbbbbbbbbb is approved; it takes traffic now") {
		t.Errorf("%q, %v", out, err)
	}
	i := read(t, c)
	if i.Spec.Rollout.Promotion.ApprovedRevision != "bbbbbbbbbb" || i.Spec.Rollout.Promotion.Mode != v1alpha1.PromotionManual || i.Spec.Rollout.ProgressDeadlineSeconds != 77 {
		t.Errorf("the spec became %+v", i.Spec.Rollout)
	}
	if len(i.ManagedFields) > 0 && i.ManagedFields[len(i.ManagedFields)-1].Manager != string(fieldOwner) {
		t.Errorf("the change belongs to %s", i.ManagedFields[len(i.ManagedFields)-1].Manager)
	}
}

func TestPromoteRefuses(t *testing.T) {
	for want, change := range map[string]func(*v1alpha1.EngLogInstance){
		"nothing to promote":  func(i *v1alpha1.EngLogInstance) { i.Status.Candidate, i.Status.Rollout = nil, nil },
		"step Aborting":       func(i *v1alpha1.EngLogInstance) { i.Status.Rollout.Step = v1alpha1.StepAborting },
		"promoted already":    func(i *v1alpha1.EngLogInstance) { i.Status.Rollout.Step = v1alpha1.StepSwitching },
		"needs no approval":   func(i *v1alpha1.EngLogInstance) { i.Spec.Rollout.Promotion = nil },
		"is approved already": func(i *v1alpha1.EngLogInstance) { i.Spec.Rollout.Promotion.ApprovedRevision = "bbbbbbbbbb" },
	} {
		i := awaiting()
		change(i)
		c := cluster(i)
		before := read(t, c).ResourceVersion
		if _, err := call(t, c, "promote", "demo", "-n", "shop"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
		if read(t, c).ResourceVersion != before {
			t.Errorf("%s: the object was changed", want)
		}
	}
}

func TestRetry(t *testing.T) {
	i := awaiting()
	if _, err := call(t, cluster(i), "retry", "demo", "-n", "shop"); err == nil || !strings.Contains(err.Error(), "nothing to retry") {
		t.Errorf("error = %v", err)
	}
	i = awaiting()
	i.Status.LastFailure = &v1alpha1.FailureStatus{Revision: "bbbbbbbbbb", Step: v1alpha1.StepScaling, Reason: "ProgressDeadlineExceeded"}
	if _, err := call(t, cluster(i), "retry", "demo", "-n", "shop"); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("error = %v", err)
	}
	i.ResourceVersion, i.Status.Rollout.Step = "", v1alpha1.StepStable
	c := cluster(i)
	out, err := call(t, c, "retry", "demo", "-n", "shop")
	if err != nil || !strings.Contains(out, "failed in Scaling (ProgressDeadlineExceeded), is tried again") || !strings.HasPrefix(read(t, c).Spec.Rollout.RetryToken, "retry-2") {
		t.Errorf("%q, %v, token %q", out, err, read(t, c).Spec.Rollout.RetryToken)
	}
}

func TestSwitches(t *testing.T) {
	c := cluster(awaiting())
	for _, step := range []struct {
		command, want string
		value         func() string
	}{
		{"pause", "Paused", func() string { return string(read(t, c).Spec.Reconciliation) }},
		{"resume", "Enabled", func() string { return string(read(t, c).Spec.Reconciliation) }},
		{"hibernate", "Hibernated", func() string { return string(read(t, c).Spec.Activity) }},
		{"wake", "Running", func() string { return string(read(t, c).Spec.Activity) }},
	} {
		if _, err := call(t, c, step.command, "demo", "-n", "shop"); err != nil || step.value() != step.want {
			t.Errorf("%s: %q, %v", step.command, step.value(), err)
		}
		if _, err := call(t, c, step.command, "demo", "-n", "shop"); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("%s twice: %v", step.command, err)
		}
	}
}

func TestHistory(t *testing.T) {
	i := awaiting()
	if out, err := call(t, cluster(i), "history", "englog/demo", "-n", "shop"); err != nil || !strings.Contains(out, "Promoted") {
		t.Errorf("%q, %v", out, err)
	}
	i = awaiting()
	i.Status.History = nil
	if out, err := call(t, cluster(i), "history", "demo", "-n", "shop"); err != nil || !strings.Contains(out, "no rollout of demo has ended") {
		t.Errorf("%q, %v", out, err)
	}
}

// page is an output that can be read while it is written.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.news <- struct{}{} }()
	return p.text.Write(b)
}

func TestWatch(t *testing.T) {
	c := cluster(awaiting())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, done := &page{news: make(chan struct{}, 10)}, make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"watch", "demo", "-n", "shop"}, out, func(settings) (client.WithWatch, string, error) { return c, "shop", nil })
	}()
	change := func(step v1alpha1.Step) {
		i := read(t, c)
		i.Status.Rollout.Step = step
		if err := c.Status().Update(ctx, i); err != nil {
			t.Error(err)
		}
	}
	// The fake server shows only changes, so change until the watch has begun.
	for begun := false; !begun; {
		change(v1alpha1.StepSwitching)
		select {
		case <-out.news:
			begun = true
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("nothing was printed")
		}
	}
	change(v1alpha1.StepSwitching) // no news
	change(v1alpha1.StepConfirming)
	<-out.news
	if err := c.Delete(ctx, read(t, c)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(out.text.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "Switching") || !strings.Contains(lines[1], "Confirming") || lines[2] != "demo is gone" {
		t.Errorf("printed\n%s", strings.Join(lines, "\n"))
	}
}

func TestMisuse(t *testing.T) {
	for want, args := range map[string][]string{
		"no command":          {},
		"unknown command":     {"destroy", "demo"},
		"name of one":         {"status"},
		"takes the name":      {"status", "a", "b"},
		"reading the flags":   {"status", "demo", "--nonsense"},
		"reading EngLogInsta": {"status", "absent", "-n", "shop"},
	} {
		if _, err := call(t, cluster(), args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error = %v, want %q", args, err, want)
		}
	}
	out, err := call(t, cluster(), "--help")
	if err == nil || !strings.Contains(out, "Usage: kubectl englog") || !strings.Contains(out, "promote") {
		t.Errorf("help: %v\n%s", err, out)
	}
}
