package observe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// budget lowers what autoscalers may reach to what the database's connections allow, with the greatest pool of a revision that has a role:
// a revision keeps the pool that it was made with.
func budget(seen *Seen) {
	w := seen.World
	pool := revision.Connections(&w.Spec)
	for _, s := range seen.Snapshots {
		pool = max(pool, s.Connections)
	}
	apis, workers := revision.Ceiling(&w.Spec, pool)
	w.Ceilings = map[v1alpha1.ComponentName]int32{v1alpha1.API: apis, v1alpha1.Worker: workers}
	if needed, tight := revision.Tight(&w.Spec); tight {
		w.Warnings = append(w.Warnings, world.Problem{Reason: "ConnectionBudget", Message: fmt.Sprintf(
			"spec.database.maxConnections: %d for both colors at their largest leave a pod %d connections, so that its requests wait for each other: raise it to %d if the server allows that, lower maxReplicas, or set maxConnectionsPerPod to %d to accept it",
			w.Spec.Database.MaxConnections, revision.Connections(&w.Spec), needed, revision.Connections(&w.Spec))})
	}
	warn := func(field string, bounds *v1alpha1.AutoscalingSpec, ceiling int32) {
		if bounds == nil || bounds.MaxReplicas <= ceiling {
			return
		}
		w.Warnings = append(w.Warnings, world.Problem{Reason: "ConnectionBudget", Message: fmt.Sprintf(
			"%s.maxReplicas: at most %d of %d pods are run, because spec.database.maxConnections is %d and both colors' pods have %d connections each: raise maxConnections or lower maxReplicas",
			field, max(ceiling, bounds.MinReplicas), bounds.MaxReplicas, w.Spec.Database.MaxConnections, pool)})
	}
	warn("spec.api.autoscaling", w.Spec.API.Autoscaling, apis)
	if a := w.Spec.Worker.Autoscaling; a != nil {
		warn("spec.worker.autoscaling", &a.AutoscalingSpec, workers)
	}
}

// room says whether a ResourceQuota of the namespace keeps the candidate from its size. Quotas are read past the caches, and only while a
// candidate lacks pods.
func (r *Reader) room(ctx context.Context, seen *Seen) error {
	w := seen.World
	need := lacking(seen)
	if len(need) == 0 || r.Live == nil {
		return nil
	}
	quotas := &corev1.ResourceQuotaList{}
	if err := r.Live.List(ctx, quotas, client.InNamespace(w.Instance.Namespace)); err != nil {
		return fmt.Errorf("listing the ResourceQuotas of namespace %s: %w", w.Instance.Namespace, err)
	}
	var all []string
	for i := range quotas.Items {
		all = append(all, shortages(&quotas.Items[i], need)...)
	}
	if len(all) > 0 {
		slices.Sort(all)
		w.Quota = &world.Problem{Reason: "QuotaExceeded", Message: strings.Join(all, "; ") + ": raise the ResourceQuota, or lower replicas or resources in the spec"}
	}
	return nil
}

// lacking sums up what the pods ask for that the candidate is to have and has not, while it is being scaled up.
func lacking(seen *Seen) corev1.ResourceList {
	status := &seen.World.Instance.Status
	if status.Candidate == nil || status.Rollout == nil || status.Rollout.Step != v1alpha1.StepScaling {
		return nil
	}
	need := corev1.ResourceList{}
	for _, c := range world.Routed {
		w := seen.World.Workloads[world.Slot{Component: c, Color: status.Candidate.Color}]
		missing := w.Replicas - w.Alive(status.Candidate.Revision)
		template, known := seen.Snapshots[status.Candidate.Revision].Templates[c]
		if !w.Exists || !known || missing <= 0 {
			continue
		}
		addPods(need, template.Spec.Containers, int64(missing))
	}
	return need
}

// addPods adds what pods count for in a quota.
func addPods(need corev1.ResourceList, containers []corev1.Container, pods int64) {
	add := func(name corev1.ResourceName, q resource.Quantity) {
		q.Mul(pods)
		sum := need[name]
		sum.Add(q)
		need[name] = sum
	}
	add(corev1.ResourcePods, *resource.NewQuantity(1, resource.DecimalSI))
	for i := range containers {
		for name, q := range containers[i].Resources.Requests {
			add(name, q.DeepCopy())
			add("requests."+name, q.DeepCopy())
		}
		for name, q := range containers[i].Resources.Limits {
			add("limits."+name, q.DeepCopy())
		}
	}
}

// shortages lists what a quota leaves too little of.
func shortages(quota *corev1.ResourceQuota, need corev1.ResourceList) []string {
	var all []string
	for name, hard := range quota.Status.Hard {
		left, wanted := hard.DeepCopy(), need[name]
		left.Sub(quota.Status.Used[name])
		if !wanted.IsZero() && wanted.Cmp(left) > 0 {
			all = append(all, fmt.Sprintf("ResourceQuota %s leaves %s of %s, and the candidate needs %s more", quota.Name, left.String(), name, wanted.String()))
		}
	}
	return all
}
