package rig

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Readiness says when a pod's containers pass their readiness probes.
type Readiness int

const (
	// AfterDelay is ready once Rule.Delay has passed since the pod was bound; the default.
	AfterDelay Readiness = iota
	// Never runs and stays unready.
	Never
)

// Fault is a way not to run at all. Its text is what the kubelet or the scheduler report.
type Fault string

const (
	// NoFault runs.
	NoFault Fault = ""
	// ImagePullBackOff waits for an image that cannot be pulled.
	ImagePullBackOff Fault = "ImagePullBackOff"
	// CrashLoopBackOff starts and ends again and again; Rule.ExitCode and Rule.Message are the last end's.
	CrashLoopBackOff Fault = "CrashLoopBackOff"
	// CreateContainerConfigError lacks a Secret or ConfigMap it refers to.
	CreateContainerConfigError Fault = "CreateContainerConfigError"
	// Unschedulable finds no node with room.
	Unschedulable Fault = "Unschedulable"
)

// A Rule says how the kubelet treats the pods it matches. Of several matching rules the newest decides alone; without
// one a pod is ready at once, and a Job's pod succeeds at once with no message.
type Rule struct {
	// Namespace, Labels and ImageContains choose pods: each that is set must match.
	Namespace     string
	Labels        map[string]string
	ImageContains string

	// Ready is about pods that run for ever.
	Ready Readiness
	// Fault keeps the containers from running.
	Fault Fault
	// Delay passes between the binding and ready, or the end of a Job's pod.
	Delay time.Duration
	// ExitCode and Message are how the containers of a Job's pod end; Message is the termination message.
	ExitCode int32
	Message  string
	// Plan is the termination message of the init containers of a Job's pod; they end as soon as it runs.
	Plan string
	// Running keeps a Job's pod from ending.
	Running bool
	// ImageID is what the containers report to run; "" derives one from the image's name.
	ImageID string
	// Grace passes between the deletion of a pod and its end, at most what the pod asks for.
	Grace time.Duration
	// Stuck pods stay Terminating for ever, as on a node that has died.
	Stuck bool
}

func (r Rule) matches(pod *corev1.Pod) bool {
	if r.Namespace != "" && r.Namespace != pod.Namespace {
		return false
	}
	for key, value := range r.Labels {
		if pod.Labels[key] != value {
			return false
		}
	}
	return r.ImageContains == "" || slices.ContainsFunc(pod.Spec.Containers, func(container corev1.Container) bool {
		return strings.Contains(container.Image, r.ImageContains)
	})
}

// rulebook keeps the rules, newest last.
type rulebook struct {
	mu    sync.RWMutex
	rules []*Rule
}

func (b *rulebook) add(rule *Rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = append(b.rules, rule)
}

func (b *rulebook) remove(rule *Rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = slices.DeleteFunc(b.rules, func(other *Rule) bool { return other == rule })
}

func (b *rulebook) forPod(pod *corev1.Pod) Rule {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, rule := range slices.Backward(b.rules) {
		if rule.matches(pod) {
			return *rule
		}
	}
	return Rule{}
}

// Rule adds a rule until the test ends or the returned function removes it. Pods that exist follow at once: a ready pod
// under a new Never rule becomes unready, and ready again when the rule goes.
func (k *Kubelet) Rule(t testing.TB, rule Rule) (remove func()) {
	t.Helper()
	kept := &rule
	k.rules.add(kept)
	k.syncAll()
	remove = func() {
		k.rules.remove(kept)
		k.syncAll()
	}
	t.Cleanup(remove)
	return remove
}
