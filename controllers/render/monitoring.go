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

// monitoring offers the pods' metrics and a few alerts to the Prometheus operator. It is a PodMonitor and no ServiceMonitor: metrics are on the
// admin port, which no Service exposes, and both colors' pods have them.
func monitoring(in Input, _ plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	m := in.Spec.Monitoring
	if m.Mode == v1alpha1.MonitoringDisabled || m.Metrics == v1alpha1.ModeDisabled || !in.Cluster.Monitors {
		return nil, nil
	}
	all := []runtime.ApplyConfiguration{monitored(in, newObject(in, monitoringAPI, "PodMonitor", in.Instance.Name, "", podMonitor(in)))}
	if m.Alerts == v1alpha1.ModeEnabled {
		all = append(all, monitored(in, newObject(in, monitoringAPI, "PrometheusRule", in.Instance.Name, "", prometheusRule(in))))
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

// prometheusRule alerts about what a person has to do something about, in the metrics that the service and Prometheus itself have.
func prometheusRule(in Input) map[string]any {
	mine := fmt.Sprintf(`namespace=%q,app_kubernetes_io_instance=%q`, in.Instance.Namespace, in.Instance.Name)
	return map[string]any{"groups": []any{map[string]any{"name": "englog." + in.Instance.Name, "rules": []any{
		alert("EngLogDown", fmt.Sprintf(`absent(up{%s,app_kubernetes_io_component="api"} == 1)`, mine), "2m", "critical",
			"No API pod of "+in.Instance.Name+" answers."),
		alert("EngLogQueueOld", fmt.Sprintf(`max(englog_oldest_ready_seconds{%s}) > 600`, mine), "10m", "warning",
			"Tasks of "+in.Instance.Name+" wait for more than ten minutes: look at the workers and their provider."),
		alert("EngLogTasksDie", fmt.Sprintf(`sum(increase(englog_task_runs_total{%s,outcome="dead"}[30m])) > 0`, mine), "5m", "warning",
			"Tasks of "+in.Instance.Name+" are given up: look at the workers' logs."),
	}}}}
}

func alert(name, expression, wait, severity, summary string) map[string]any {
	return map[string]any{
		"alert": name, "expr": expression, "for": wait, "labels": map[string]any{"severity": severity}, "annotations": map[string]any{"summary": summary},
	}
}
