package render

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
)

// retryPause is a generous guess of what Kubernetes waits before it repeats a failed pod.
const retryPause = 60

// effort is how long and how often a Job tries.
type effort struct {
	timeout, retries int32
}

// job is one attempt of a revision's migration or check. It is never removed by a timer: its name is the memory that the attempt was made.
func job(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	s, err := in.snapshot(e.Revision)
	if err != nil {
		return nil, err
	}
	stored, ok := s.Jobs[string(e.Purpose)]
	if !ok {
		return nil, fmt.Errorf("revision %s has no Job for %q", e.Revision, e.Purpose)
	}
	pod := revised(in, e.Revision, s.Version, *stored.DeepCopy())
	tries := effort{timeout: in.Spec.Rollout.Migration.TimeoutSeconds, retries: *in.Spec.Rollout.Migration.BackoffLimit}
	switch e.Purpose {
	case plan.WorkerCheck:
		tries = effort{timeout: 120, retries: 2}
	case plan.UserCheck:
		check, err := userCheck(&in.Spec, e.Check)
		if err != nil {
			return nil, err
		}
		fillCheck(&pod, check)
		tries = effort{timeout: check.TimeoutSeconds, retries: check.Failures - 1}
	case plan.Expand, plan.Contract:
		if e.Approve != "" {
			pod.Spec.Containers[0].Args = append(pod.Spec.Containers[0].Args, "--approve", e.Approve)
		}
	}
	return jobOf(in, e, pod, tries)
}

const (
	// planContainer tells what a migration is about to do.
	planContainer = "plan"
	// unapproved is the exit code of a migration that only an approval lets run: trying again is in vain.
	unapproved = 4
)

func jobOf(in Input, e plan.Ensure, pod corev1.PodTemplateSpec, tries effort) ([]runtime.ApplyConfiguration, error) {
	pod.Spec.ActiveDeadlineSeconds = new(int64(tries.timeout))
	template, err := convert[corev1ac.PodTemplateSpecApplyConfiguration](pod)
	if err != nil {
		return nil, err
	}
	labels := revisionLabels(in, e.Revision, pod.Labels[VersionLabel])
	labels[ComponentLabel] = pod.Labels[ComponentLabel]
	deadline := int64(tries.timeout+retryPause) * int64(tries.retries+1)
	spec := batchv1ac.JobSpec().
		WithParallelism(1).WithCompletions(1).WithBackoffLimit(tries.retries).WithActiveDeadlineSeconds(deadline).
		WithPodReplacementPolicy(batchv1.Failed). // never two pods of one attempt at a time
		WithTemplate(template)
	if e.Purpose == plan.Expand || e.Purpose == plan.Contract {
		codes := batchv1ac.PodFailurePolicyOnExitCodesRequirement().
			WithContainerName(migrateComponent).WithOperator(batchv1.PodFailurePolicyOnExitCodesOpIn).WithValues(unapproved)
		spec.WithPodFailurePolicy(batchv1ac.PodFailurePolicy().
			WithRules(batchv1ac.PodFailurePolicyRule().WithAction(batchv1.PodFailurePolicyActionFailJob).WithOnExitCodes(codes)))
	}
	return one(batchv1ac.Job(plan.JobName(in.Instance.Name, e), in.Instance.Namespace).
		WithLabels(labels).WithOwnerReferences(in.owner()).WithSpec(spec)), nil
}

func userCheck(spec *v1alpha1.EngLogInstanceSpec, name string) (v1alpha1.CheckSpec, error) {
	at := slices.IndexFunc(spec.Rollout.Checks, func(c v1alpha1.CheckSpec) bool { return c.Name == name && c.Job != nil })
	if at < 0 {
		return v1alpha1.CheckSpec{}, fmt.Errorf("the spec has no Job check %q any more", name)
	}
	return spec.Rollout.Checks[at], nil
}

// fillCheck gives a check's pod its arguments. It runs the revision's own image, restricted and without a token: a spec is no lever on the
// cluster.
func fillCheck(pod *corev1.PodTemplateSpec, check v1alpha1.CheckSpec) {
	container := &pod.Spec.Containers[0]
	container.Args = slices.Clone(check.Job.Args)
	if r := check.Job.Resources; r != nil {
		container.Resources = *r.DeepCopy()
		container.Env = append(slices.DeleteFunc(container.Env, func(v corev1.EnvVar) bool {
			return v.Name == "GOMEMLIMIT" || v.Name == "GOMAXPROCS"
		}), limits(r)...)
	}
}
