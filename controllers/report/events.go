package report

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
)

// The actions of events: what the operator was doing.
const (
	actionRollout = "Rollout"
	actionObserve = "Observe"
)

// maxNote is the longest note of an event: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/.
const maxNote = 1024

// announce sends one event for each transition: those of the plan, and those of conditions that no step tells about.
func (r *Reporter) announce(about runtime.Object, planned []plan.Event, old, next *v1alpha1.EngLogInstanceStatus) {
	if r.events == nil {
		return
	}
	for _, e := range planned {
		r.events.Eventf(about, nil, eventType(e.Warning), e.Reason, actionRollout, "%s", clip(e.Message, maxNote))
	}
	for _, e := range turned(old, next) {
		r.events.Eventf(about, nil, eventType(e.Warning), e.Reason, actionObserve, "%s", clip(e.Message, maxNote))
	}
}

func eventType(warning bool) string {
	if warning {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}

// told lists the conditions whose turns are told, each with the status that is good.
var told = []struct {
	condition string
	good      metav1.ConditionStatus
}{
	{v1alpha1.ConditionSpecAccepted, metav1.ConditionTrue},
	{v1alpha1.ConditionReferencesResolved, metav1.ConditionTrue},
	{v1alpha1.ConditionAvailable, metav1.ConditionTrue},
	{v1alpha1.ConditionStalled, metav1.ConditionFalse},
}

// turned lists the conditions that went bad, or became good again, as events. The first status of an instance is only told where it is
// bad and somebody has to act.
func turned(old, next *v1alpha1.EngLogInstanceStatus) []plan.Event {
	var list []plan.Event
	for _, t := range told {
		is, was := meta.FindStatusCondition(next.Conditions, t.condition), meta.FindStatusCondition(old.Conditions, t.condition)
		if is == nil || was != nil && was.Status == is.Status {
			continue
		}
		switch good := is.Status == t.good; {
		case good && was == nil, was == nil && t.condition == v1alpha1.ConditionAvailable:
		case good:
			list = append(list, plan.Event{Reason: is.Reason, Message: is.Message})
		default:
			list = append(list, plan.Event{Warning: true, Reason: is.Reason, Message: is.Message})
		}
	}
	return list
}
