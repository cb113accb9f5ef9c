package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// explain gathers what a person would look at after a failure: the instance's conditions, its warnings and events, and
// the pods that are not ready with the end of their logs. It never fails; what cannot be read is said to be so.
func (c *Cluster) explain(ctx context.Context) string {
	var b strings.Builder
	for _, part := range []func(context.Context, *strings.Builder) error{c.explainInstance, c.explainEvents, c.explainPods, c.explainOperator} {
		if err := part(ctx, &b); err != nil {
			fmt.Fprintf(&b, "  (%v)\n", err)
		}
	}
	return b.String()
}

func (c *Cluster) explainInstance(ctx context.Context, b *strings.Builder) error {
	var i v1alpha1.EngLogInstance
	if err := c.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: Name}, &i); err != nil {
		return err
	}
	fmt.Fprintf(b, "Instance %s/%s, generation %d, observed %d\n", Namespace, Name, i.Generation, i.Status.ObservedGeneration)
	for _, s := range i.Status.Conditions {
		fmt.Fprintf(b, "  %-20s %-8s %-24s %s\n", s.Type, s.Status, s.Reason, s.Message)
	}
	if r := i.Status.Rollout; r != nil {
		fmt.Fprintf(b, "  rollout %s: step %s, %s\n", r.ID, r.Step, orDefault(r.Message, "no message"))
	}
	if f := i.Status.LastFailure; f != nil {
		fmt.Fprintf(b, "  last failure: version %s, %s: %s\n", f.Version, f.Reason, f.Message)
	}
	return nil
}

// shownEvents is how many of the newest events are shown.
const shownEvents = 15

func (c *Cluster) explainEvents(ctx context.Context, b *strings.Builder) error {
	var list corev1.EventList
	if err := c.List(ctx, &list, client.InNamespace(Namespace)); err != nil {
		return err
	}
	slices.SortFunc(list.Items, func(x, y corev1.Event) int { return eventTime(x).Compare(eventTime(y).Time) })
	fmt.Fprintf(b, "Newest events in %s\n", Namespace)
	for _, e := range list.Items[max(len(list.Items)-shownEvents, 0):] {
		fmt.Fprintf(b, "  %s %-8s %-20s %s/%s: %s\n", eventTime(e).Format("15:04:05"), e.Type, e.Reason,
			e.InvolvedObject.Kind, e.InvolvedObject.Name, clip(e.Message, 200))
	}
	return nil
}

// eventTime is the newest of the three places that an event may keep its time in.
func eventTime(e corev1.Event) metav1.Time {
	t := e.CreationTimestamp
	for _, other := range []metav1.Time{e.LastTimestamp, {Time: e.EventTime.Time}} {
		if other.After(t.Time) {
			t = other
		}
	}
	return t
}

func (c *Cluster) explainPods(ctx context.Context, b *strings.Builder) error {
	for _, ns := range []string{Namespace, OperatorNamespace} {
		var list corev1.PodList
		if err := c.List(ctx, &list, client.InNamespace(ns)); err != nil {
			return err
		}
		for i := range list.Items {
			if p := &list.Items[i]; !ready(p) && p.Status.Phase != corev1.PodSucceeded {
				c.explainPod(ctx, b, p)
			}
		}
	}
	return nil
}

func (c *Cluster) explainPod(ctx context.Context, b *strings.Builder, p *corev1.Pod) {
	fmt.Fprintf(b, "Pod %s/%s is not ready (%s)\n", p.Namespace, p.Name, p.Status.Phase)
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		fmt.Fprintf(b, "  container %s: %s\n", s.Name, stateOf(s))
		logs, err := c.Kubectl(ctx, "logs", "-n", p.Namespace, p.Name, "-c", s.Name, "--tail=8")
		if err != nil {
			logs = err.Error()
		}
		for line := range strings.Lines(logs) {
			fmt.Fprintf(b, "    | %s\n", clip(strings.TrimSpace(line), 300))
		}
	}
}

// explainOperator shows the operator's newest errors, each of them once.
func (c *Cluster) explainOperator(ctx context.Context, b *strings.Builder) error {
	logs, err := c.Kubectl(ctx, "logs", "-n", OperatorNamespace, "deployment/englog-operator", "--tail=300")
	if err != nil {
		return err
	}
	errs := newestErrors(logs, 5)
	if len(errs) > 0 {
		fmt.Fprintf(b, "Newest errors of the operator\n")
	}
	for _, e := range errs {
		fmt.Fprintf(b, "  %s\n", clip(e, 400))
	}
	return nil
}

// newestErrors finds the last n different errors in a log of JSON lines.
func newestErrors(logs string, n int) []string {
	var out []string
	for line := range strings.Lines(logs) {
		var entry struct {
			Level string `json:"level"`
			Msg   string `json:"msg"`
			Err   string `json:"err"`
		}
		if json.Unmarshal([]byte(line), &entry) != nil || !strings.EqualFold(entry.Level, "error") {
			continue
		}
		text := entry.Msg + ": " + entry.Err
		out = append(slices.DeleteFunc(out, func(s string) bool { return s == text }), text)
	}
	return out[max(len(out)-n, 0):]
}

func stateOf(s corev1.ContainerStatus) string {
	switch {
	case s.State.Waiting != nil:
		return fmt.Sprintf("waiting, %s %s, restarted %d times", s.State.Waiting.Reason, s.State.Waiting.Message, s.RestartCount)
	case s.State.Terminated != nil:
		t := s.State.Terminated
		return fmt.Sprintf("ended with %d, %s %s", t.ExitCode, t.Reason, t.Message)
	default:
		return fmt.Sprintf("running but not ready, restarted %d times", s.RestartCount)
	}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
