package observe

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// fill turns the objects into the world's terms.
func (c *children) fill(w *world.World) {
	w.Workloads = c.workloads()
	w.Known = c.known()
	w.Jobs = c.jobStates()
	w.Routes, w.Previews = c.routes(w.Instance.Name)
	w.Stores = c.stores(w)
	w.Leftovers = c.leftovers(w)
}

func slotOf(o metav1.Object) (world.Slot, bool) {
	labels := o.GetLabels()
	color, ok := colorOf(labels[ColorLabel])
	return world.Slot{Component: v1alpha1.ComponentName(labels[ComponentLabel]), Color: color}, ok
}

// colorOf reads a label's color.
func colorOf(label string) (v1alpha1.Color, bool) {
	for _, c := range world.Colors {
		if strings.EqualFold(label, string(c)) {
			return c, true
		}
	}
	return "", false
}

func (c *children) workloads() map[world.Slot]world.Workload {
	all := map[world.Slot]world.Workload{}
	for i := range c.deployments.Items {
		d := &c.deployments.Items[i]
		if slot, ok := slotOf(d); ok {
			all[slot] = workload(d)
		}
	}
	for i := range c.pods.Items {
		p := &c.pods.Items[i]
		slot, ok := slotOf(p)
		if !ok || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		w := all[slot]
		w.Pods = append(w.Pods, pod(p))
		all[slot] = w
	}
	for slot, w := range all {
		slices.SortFunc(w.Pods, func(a, b world.Pod) int { return strings.Compare(a.Name, b.Name) })
		all[slot] = w
	}
	for i := range c.scalers.Items {
		h := &c.scalers.Items[i]
		if slot, ok := slotOf(h); ok {
			w := all[slot]
			w.Autoscaler = autoscaler(h)
			all[slot] = w
		}
	}
	return all
}

func workload(d *appsv1.Deployment) world.Workload {
	w := world.Workload{Exists: true, Identity: world.IdentityOf(d), Revision: d.Spec.Template.Labels[RevisionLabel], Replicas: 1}
	if d.Spec.Replicas != nil {
		w.Replicas = *d.Spec.Replicas
	}
	w.Settled = d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == d.Status.Replicas
	return w
}

func autoscaler(h *autoscalingv2.HorizontalPodAutoscaler) *world.Autoscaler {
	a := &world.Autoscaler{Identity: world.IdentityOf(h), Min: 1, Max: h.Spec.MaxReplicas, Desired: h.Status.DesiredReplicas}
	if h.Spec.MinReplicas != nil {
		a.Min = *h.Spec.MinReplicas
	}
	return a
}

func pod(p *corev1.Pod) world.Pod {
	seen := world.Pod{
		Name: p.Name, IP: p.Status.PodIP, Revision: p.Labels[RevisionLabel], Terminating: p.DeletionTimestamp != nil,
		Waiting: waiting(p), Unschedulable: unschedulable(p),
	}
	for _, cond := range p.Status.Conditions {
		if cond.Type == corev1.PodReady {
			seen.Ready, seen.ReadySince = cond.Status == corev1.ConditionTrue, cond.LastTransitionTime.Time
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		seen.ImageID = s.ImageID
	}
	return seen
}

// unschedulable is the scheduler's word about a pod that finds no node.
func unschedulable(p *corev1.Pod) string {
	for _, cond := range p.Status.Conditions {
		if cond.Type == corev1.PodScheduled && cond.Status == corev1.ConditionFalse && cond.Reason == corev1.PodReasonUnschedulable {
			return clip(cond.Reason + ": " + cond.Message)
		}
	}
	return ""
}

// waiting says why a pod's containers do not run, with the reason first. Container messages may hold addresses of registries but no
// secrets; they are clipped, since some hold whole logs.
func waiting(p *corev1.Pod) string {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "ContainerCreating" && s.State.Waiting.Reason != "PodInitializing":
			return clip(s.State.Waiting.Reason + ": " + s.State.Waiting.Message)
		case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
			return clip(s.State.Terminated.Reason + ": " + s.State.Terminated.Message)
		}
	}
	return ""
}

func clip(s string) string {
	const limit = 256
	if len(s) <= limit {
		return s
	}
	return s[:limit-3] + "..."
}

// known lists the stored revisions.
func (c *children) known() map[string]world.Known {
	configs := map[string]string{}
	for i := range c.configs.Items {
		configs[c.configs.Items[i].Labels[RevisionLabel]] = c.configs.Items[i].Name
	}
	all := map[string]world.Known{}
	for i := range c.snapshots.Items {
		s := &c.snapshots.Items[i]
		name := s.Labels[RevisionLabel]
		if name == "" {
			continue // a store's, or one of those that the StatefulSet's controller keeps
		}
		all[name] = world.Known{Version: s.Labels["app.kubernetes.io/version"], Config: configs[name], Ordinal: s.Revision}
	}
	return all
}

func (c *children) jobStates() map[string]world.Job {
	all := map[string]world.Job{}
	for i := range c.jobs.Items {
		j := &c.jobs.Items[i]
		all[j.Name] = c.job(j)
	}
	return all
}

// job reads a Job by its conditions: completionTime is set on success only, and counters count retries.
func (c *children) job(j *batchv1.Job) world.Job {
	seen := world.Job{Name: j.Name, Identity: world.IdentityOf(j), Revision: j.Labels[RevisionLabel], Component: j.Labels[ComponentLabel], Phase: world.JobActive}
	for _, cond := range j.Status.Conditions {
		if cond.Status != corev1.ConditionTrue {
			continue
		}
		switch cond.Type {
		case batchv1.JobComplete:
			seen.Phase = world.JobComplete
		case batchv1.JobFailed:
			seen.Phase, seen.Reason = world.JobFailed, clip(cond.Reason+": "+cond.Message)
		default:
		}
	}
	seen.Message, seen.Plan, seen.Waiting = c.lastWords(j)
	seen.Unstarted = seen.Waiting != "" && !c.everRan(j)
	return seen
}

// everRan says whether a container of a Job has run.
func (c *children) everRan(j *batchv1.Job) bool {
	if j.Status.Failed > 0 || j.Status.Succeeded > 0 {
		return true
	}
	for i := range c.pods.Items {
		p := &c.pods.Items[i]
		if p.Labels[batchv1.JobNameLabel] != j.Name {
			continue
		}
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Waiting == nil || s.LastTerminationState.Terminated != nil {
				return true
			}
		}
	}
	return false
}

// lastWords returns the newest termination messages of a Job's pods, of their work and of their plan, and why the newest pod waits.
func (c *children) lastWords(j *batchv1.Job) (message, plan, wait string) {
	var newest metav1.Time
	var said, planned words
	for i := range c.pods.Items {
		p := &c.pods.Items[i]
		if p.Labels[batchv1.JobNameLabel] != j.Name {
			continue
		}
		if !p.CreationTimestamp.Before(&newest) {
			newest, wait = p.CreationTimestamp, cmp.Or(unschedulable(p), waiting(p))
		}
		said.hear(p.Status.ContainerStatuses)
		planned.hear(p.Status.InitContainerStatuses)
	}
	return said.message, planned.message, wait
}

// words is the newest termination message of some containers.
type words struct {
	at      metav1.Time
	message string
}

func (w *words) hear(statuses []corev1.ContainerStatus) {
	for _, s := range statuses {
		for _, t := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
			if t != nil && t.Message != "" && !t.FinishedAt.Before(&w.at) {
				w.at, w.message = t.FinishedAt, t.Message
			}
		}
	}
}

// routes reads live Services and the colors' own Services.
func (c *children) routes(instance string) (map[v1alpha1.ComponentName]world.Route, map[world.Slot]world.Endpoints) {
	live, previews := map[v1alpha1.ComponentName]world.Route{}, map[world.Slot]world.Endpoints{}
	for i := range c.services.Items {
		s := &c.services.Items[i]
		component := v1alpha1.ComponentName(s.Labels[ComponentLabel])
		endpoints := c.endpoints(s)
		if slot, ok := slotOf(s); ok {
			previews[slot] = endpoints
			continue
		}
		if s.Name != instance+"-"+string(component) || s.Spec.Selector[RevisionLabel] == "" {
			continue
		}
		color, _ := colorOf(s.Spec.Selector[ColorLabel])
		epoch, _ := strconv.ParseInt(s.Annotations[EpochKey], 10, 64) // no annotation is epoch 0
		live[component] = world.Route{
			Exists: true, Identity: world.IdentityOf(s), Color: color, Revision: s.Spec.Selector[RevisionLabel], Epoch: epoch, Endpoints: endpoints,
		}
	}
	return live, previews
}

// endpoints counts the ready addresses behind a Service by the revision of their pods.
func (c *children) endpoints(s *corev1.Service) world.Endpoints {
	revisions := map[string]string{}
	for i := range c.pods.Items {
		revisions[c.pods.Items[i].Name] = c.pods.Items[i].Labels[RevisionLabel]
	}
	e := world.Endpoints{Identity: world.IdentityOf(s), ClusterIP: s.Spec.ClusterIP, Ready: map[string]int32{}}
	for i := range c.slices.Items {
		slice := &c.slices.Items[i]
		if slice.Labels["kubernetes.io/service-name"] != s.Name {
			continue
		}
		for _, ep := range slice.Endpoints {
			if ep.Conditions.Ready != nil && *ep.Conditions.Ready && ep.TargetRef != nil {
				e.Ready[revisions[ep.TargetRef.Name]]++
			}
		}
	}
	return e
}

// stores reads the Managed stores that the spec wants.
func (c *children) stores(w *world.World) map[v1alpha1.ComponentName]world.Store {
	wanted := map[v1alpha1.ComponentName]bool{}
	if w.Spec.Database.Type == v1alpha1.StoreManaged {
		wanted["database"] = true
	}
	if w.Spec.Cache.Type == v1alpha1.StoreManaged {
		wanted["cache"] = true
	}
	all := map[v1alpha1.ComponentName]world.Store{}
	for name := range wanted {
		all[name] = world.Store{Problem: "it is being created"}
	}
	for i := range c.sets.Items {
		set := &c.sets.Items[i]
		name := v1alpha1.ComponentName(set.Labels[ComponentLabel])
		if wanted[name] {
			store := world.Store{Exists: true, Ready: set.Status.ReadyReplicas > 0}
			if !store.Ready {
				store.Problem = "its pod is not ready"
			}
			all[name] = store
		}
	}
	return all
}

// leftovers lists what no role, no recorded failure and no history entry within the limit needs any more.
func (c *children) leftovers(w *world.World) []world.Leftover {
	kept := keptRevisions(w)
	var all []world.Leftover
	add := func(kind string, o metav1.Object) {
		all = append(all, world.Leftover{Kind: kind, Name: o.GetName(), Identity: world.IdentityOf(o)})
	}
	for i := range c.configs.Items {
		if r := c.configs.Items[i].Labels[RevisionLabel]; r != "" && !kept[r] {
			add("ConfigMap", &c.configs.Items[i])
		}
	}
	for i := range c.snapshots.Items {
		if s := &c.snapshots.Items[i]; s.Labels[RevisionLabel] != "" && !kept[s.Labels[RevisionLabel]] || outdated(w, s) {
			add("ControllerRevision", &c.snapshots.Items[i])
		}
	}
	for i := range c.jobs.Items {
		j := &c.jobs.Items[i]
		if !tells(w, j.Labels[RevisionLabel]) && c.job(j).Phase != world.JobActive {
			add("Job", j)
		}
	}
	slices.SortFunc(all, func(a, b world.Leftover) int { return strings.Compare(a.Kind+a.Name, b.Kind+b.Name) })
	return all
}

// tells is true for the revisions whose finished Jobs may still be read: the last rollout's and the last failure's.
func tells(w *world.World, name string) bool {
	status := &w.Instance.Status
	return status.Rollout != nil && status.Rollout.ToRevision == name || status.LastFailure != nil && status.LastFailure.Revision == name
}

// keptRevisions are those with a role, the last failure, the last rollout, and the newest of the rest up to the limit.
func keptRevisions(w *world.World) map[string]bool {
	status := &w.Instance.Status
	kept := roleRevisions(status)
	if f := status.LastFailure; f != nil {
		kept[f.Revision] = true
	}
	if r := status.Rollout; r != nil {
		kept[r.ToRevision] = true
	}
	limit := 5
	if r := w.Spec.Rollout; r != nil && r.RevisionHistoryLimit > 0 {
		limit = int(r.RevisionHistoryLimit)
	}
	names := slices.SortedFunc(maps.Keys(w.Known), func(a, b string) int { return int(w.Known[b].Ordinal - w.Known[a].Ordinal) })
	for _, name := range names {
		if len(kept) < limit {
			kept[name] = true
		}
	}
	return kept
}
