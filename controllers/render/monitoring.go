package render

import (
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

const monitoringAPI = "monitoring.coreos.com/v1"

// monitoring offers the pods' metrics, a few alerts and what an autoscaler of workers asks for to the Prometheus operator. It is a PodMonitor and no ServiceMonitor: metrics are on the
// admin port, which no Service exposes, and both colors' pods have them.
func monitoring(in Input, _ plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	m := in.Spec.Monitoring
	if m.Mode == v1alpha1.MonitoringDisabled || m.Metrics == v1alpha1.ModeDisabled || !in.Cluster.Monitors {
		return nil, nil
	}
	all := []runtime.ApplyConfiguration{monitored(in, newObject(in, monitoringAPI, "PodMonitor", in.Instance.Name, "", podMonitor(in)))}
	if rules := append(recorded(in), alerts(in)...); len(rules) > 0 {
		all = append(all, monitored(in, newObject(in, monitoringAPI, "PrometheusRule", in.Instance.Name, "", map[string]any{
			"groups": []any{map[string]any{"name": "englog." + in.Instance.Name, "rules": rules}},
		})))
	}
	return all, nil
}

// monitored adds the labels that a Prometheus selects by; ours win.
func monitored(in Input, o *Object) *Object {
	labels := maps.Clone(in.Spec.Monitoring.Labels)
	if labels == nil {
		return o
	}
	maps.Copy(labels, o.Metadata.Labels)
	o.Metadata.WithLabels(labels)
	return o
}

func podMonitor(in Input) map[string]any {
	components := make([]any, 0, len(world.Components))
	for _, c := range world.Components {
		components = append(components, string(c))
	}
	return map[string]any{
		"selector": map[string]any{
			"matchLabels":      map[string]any{InstanceLabel: in.Instance.Name, NameLabel: product},
			"matchExpressions": []any{map[string]any{"key": ComponentLabel, "operator": "In", "values": components}},
		},
		"podTargetLabels": []any{ComponentLabel, InstanceLabel, ColorLabel, RevisionLabel, VersionLabel},
		"podMetricsEndpoints": []any{map[string]any{
			"port": adminName, "path": "/metrics", "interval": duration(in.Spec.Monitoring.IntervalSeconds),
		}},
	}
}

// mine selects an instance's series by the labels that the PodMonitor gives them.
func mine(in Input) string {
	return fmt.Sprintf(`namespace=%q,app_kubernetes_io_instance=%q`, in.Instance.Namespace, in.Instance.Name)
}

// recorded is the series that an autoscaler of workers asks an external metrics server for: every worker tells the age of the whole queue, and
// Prometheus has a use of its own for the label instance.
func recorded(in Input) []any {
	a := in.Spec.Worker.Autoscaling
	if a == nil || a.TargetQueueAgeSeconds == 0 || a.QueueAgeMetric != v1alpha1.DefaultQueueAgeMetric {
		return nil
	}
	return []any{map[string]any{
		"record": a.QueueAgeMetric, "expr": fmt.Sprintf(`max(englog_oldest_ready_seconds{%s})`, mine(in)),
		"labels": map[string]any{"instance": in.Instance.Name, "namespace": in.Instance.Namespace},
	}}
}

// alerts tell what a person has to do something about, in the metrics that the service and Prometheus itself have.
func alerts(in Input) []any {
	if in.Spec.Monitoring.Alerts != v1alpha1.ModeEnabled {
		return nil
	}
	return []any{
		alert("EngLogDown", fmt.Sprintf(`absent(up{%s,app_kubernetes_io_component="api"} == 1)`, mine(in)), "2m", "critical",
			"No API pod of "+in.Instance.Name+" answers."),
		alert("EngLogQueueOld", fmt.Sprintf(`max(englog_oldest_ready_seconds{%s}) > 600`, mine(in)), "10m", "warning",
			"Tasks of "+in.Instance.Name+" wait for more than ten minutes: look at the workers and their provider."),
		alert("EngLogTasksDie", fmt.Sprintf(`sum(increase(englog_task_runs_total{%s,outcome="dead"}[30m])) > 0`, mine(in)), "5m", "warning",
			"Tasks of "+in.Instance.Name+" are given up: look at the workers' logs."),
	}
}

func alert(name, expression, wait, severity, summary string) map[string]any {
	return map[string]any{
		"alert": name, "expr": expression, "for": wait, "labels": map[string]any{"severity": severity}, "annotations": map[string]any{"summary": summary},
	}
}
