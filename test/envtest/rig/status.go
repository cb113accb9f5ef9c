package rig

import (
	"crypto/sha256"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// statusOf is what a kubelet would report of a bound pod under a rule; due tells that the rule's delay has passed.
func statusOf(pod *corev1.Pod, rule Rule, place placement, due bool) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	started := metav1.NewTime(place.at)
	if status.StartTime == nil {
		status.StartTime = &started
	}
	status.PodIP, status.PodIPs = place.ip, []corev1.PodIP{{IP: place.ip}}
	finite := pod.Spec.RestartPolicy != corev1.RestartPolicyAlways
	switch {
	case rule.Fault != NoFault && rule.Fault != Unschedulable:
		status.Phase = corev1.PodPending
		if rule.Fault == CrashLoopBackOff {
			status.Phase = corev1.PodRunning
		}
		status.ContainerStatuses = containers(pod, rule, faulty(rule), false)
	case finite && due && !rule.Running:
		status.Phase = corev1.PodSucceeded
		if rule.ExitCode != 0 {
			status.Phase = corev1.PodFailed
		}
		status.ContainerStatuses = containers(pod, rule, ended(rule), false)
	default:
		status.Phase = corev1.PodRunning
		running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: *status.StartTime}}
		status.ContainerStatuses = containers(pod, rule, running, due && rule.Ready != Never)
	}
	if status.Phase != corev1.PodPending {
		status.InitContainerStatuses = initialised(pod, rule)
	}
	ready := allReady(status.ContainerStatuses)
	setCondition(&status, corev1.PodInitialized, true, "")
	setCondition(&status, corev1.ContainersReady, ready, "ContainersNotReady")
	setCondition(&status, corev1.PodReady, ready && gatesOpen(pod), "ContainersNotReady")
	return status
}

// unschedulable is what the scheduler reports of a pod that fits nowhere.
func unschedulable(status corev1.PodStatus) corev1.PodStatus {
	status = *status.DeepCopy()
	status.Phase = corev1.PodPending
	setCondition(&status, corev1.PodScheduled, false, corev1.PodReasonUnschedulable)
	return status
}

// unready is a pod that drains: it still runs.
func unready(status corev1.PodStatus) corev1.PodStatus {
	status = *status.DeepCopy()
	for i := range status.ContainerStatuses {
		status.ContainerStatuses[i].Ready = false
	}
	setCondition(&status, corev1.ContainersReady, false, "ContainersNotReady")
	setCondition(&status, corev1.PodReady, false, "ContainersNotReady")
	return status
}

func containers(pod *corev1.Pod, rule Rule, state corev1.ContainerState, ready bool) []corev1.ContainerStatus {
	statuses := make([]corev1.ContainerStatus, 0, len(pod.Spec.Containers))
	for _, container := range pod.Spec.Containers {
		started := state.Running != nil
		status := corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, ImageID: rule.imageID(container.Image),
			State: state, Ready: ready, Started: &started,
		}
		if rule.Fault == CrashLoopBackOff {
			status.RestartCount = 3
			status.LastTerminationState = ended(rule)
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// initialised are the init containers of a pod that runs: all have ended well.
func initialised(pod *corev1.Pod, rule Rule) []corev1.ContainerStatus {
	var statuses []corev1.ContainerStatus
	for _, container := range pod.Spec.InitContainers {
		statuses = append(statuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, ImageID: rule.imageID(container.Image), Ready: true,
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", Message: rule.Plan}},
		})
	}
	return statuses
}

func (r Rule) imageID(image string) string {
	if r.ImageID != "" {
		return r.ImageID
	}
	return fmt.Sprintf("%s@sha256:%x", image, sha256.Sum256([]byte(image)))
}

func faulty(rule Rule) corev1.ContainerState {
	message := rule.Message
	if message == "" {
		message = "the rig was told so"
	}
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: string(rule.Fault), Message: message}}
}

func ended(rule Rule) corev1.ContainerState {
	reason := "Completed"
	if rule.ExitCode != 0 {
		reason = "Error"
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: rule.ExitCode, Reason: reason, Message: rule.Message,
	}}
}

func allReady(statuses []corev1.ContainerStatus) bool {
	return !slices.ContainsFunc(statuses, func(status corev1.ContainerStatus) bool { return !status.Ready })
}

// gatesOpen tells whether the conditions that a pod's readiness gates name are all true; others set those.
func gatesOpen(pod *corev1.Pod) bool {
	return !slices.ContainsFunc(pod.Spec.ReadinessGates, func(gate corev1.PodReadinessGate) bool {
		return !slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
			return condition.Type == gate.ConditionType && condition.Status == corev1.ConditionTrue
		})
	})
}

// setCondition writes a condition; its transition time moves only when it changes, and a true one has no reason.
func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, isTrue bool, reason string) {
	want := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	if !isTrue {
		want.Status, want.Reason = corev1.ConditionFalse, reason
	}
	for i, have := range status.Conditions {
		if have.Type != kind {
			continue
		}
		if have.Status != want.Status || have.Reason != want.Reason {
			status.Conditions[i] = want
		}
		return
	}
	status.Conditions = append(status.Conditions, want)
}
