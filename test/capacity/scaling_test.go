package capacity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// quick is how an autoscaler goes up and down when a test waits for it; up by few pods at a time, so that a way is to be seen.
func quick(pods int) map[string]any {
	return map[string]any{
		"scaleUp":   map[string]any{"stabilizationWindowSeconds": 0, "policies": []any{map[string]any{"type": "Pods", "value": pods, "periodSeconds": 15}}},
		"scaleDown": map[string]any{"stabilizationWindowSeconds": 15, "policies": []any{map[string]any{"type": "Percent", "value": 100, "periodSeconds": 15}}},
	}
}

// A follower keeps the numbers that it is told, but for repetitions.
type follower struct {
	mu   sync.Mutex
	seen []int32
}

func (f *follower) add(n int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 || f.seen[len(f.seen)-1] != n {
		f.seen = append(f.seen, n)
	}
}

func (f *follower) all() []int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// follow watches objects until the test ends, and keeps what read tells of each change.
func (r *rig) follow(t *testing.T, list client.ObjectList, read func(client.Object) int32, options ...client.ListOption) *follower {
	t.Helper()
	f := &follower{}
	ctx, cancel := context.WithCancel(t.Context())
	watcher, err := r.Watch(ctx, list, append(options, client.InNamespace(cutover.Namespace))...)
	if err != nil {
		t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		for event := range watcher.ResultChan() {
			if o, ok := event.Object.(client.Object); ok {
				f.add(read(o))
			}
		}
	})
	t.Cleanup(func() { cancel(); watcher.Stop(); ended.Wait() })
	return f
}

// replicas follows what a Deployment is to have.
func (r *rig) replicas(t *testing.T, name string) *follower {
	t.Helper()
	return r.follow(t, &appsv1.DeploymentList{}, func(o client.Object) int32 {
		if d, ok := o.(*appsv1.Deployment); ok && d.Spec.Replicas != nil {
			return *d.Spec.Replicas
		}
		return -1
	}, client.MatchingFields{"metadata.name": name})
}

// behind follows the ready endpoints of a Service that has one EndpointSlice.
func (r *rig) behind(t *testing.T, service string) *follower {
	t.Helper()
	return r.follow(t, &discoveryv1.EndpointSliceList{}, func(o client.Object) int32 {
		var n int32
		for _, e := range o.(*discoveryv1.EndpointSlice).Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				n++
			}
		}
		return n
	}, client.MatchingLabels{"kubernetes.io/service-name": service})
}

func (r *rig) deployment(t *testing.T, name string) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := r.Get(t.Context(), client.ObjectKey{Namespace: cutover.Namespace, Name: name}, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// scaler awaits a state of an autoscaler.
func (r *rig) scaler(t *testing.T, within time.Duration, name, what string, done func(*autoscalingv2.HorizontalPodAutoscaler) bool) {
	t.Helper()
	err := cutover.Await(t.Context(), within, "the autoscaler "+name+" to have "+what, func(ctx context.Context) (bool, string, error) {
		h := &autoscalingv2.HorizontalPodAutoscaler{}
		if err := r.Get(ctx, client.ObjectKey{Namespace: cutover.Namespace, Name: name}, h); err != nil {
			return false, "", err
		}
		text, _ := json.Marshal(h.Status)
		return done(h), string(text), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// noScaler waits until there is no such autoscaler.
func (r *rig) noScaler(t *testing.T, name string) {
	t.Helper()
	err := cutover.Await(t.Context(), 30*time.Second, "the autoscaler "+name+" to be gone", func(ctx context.Context) (bool, string, error) {
		err := r.Get(ctx, client.ObjectKey{Namespace: cutover.Namespace, Name: name}, &autoscalingv2.HorizontalPodAutoscaler{})
		return apierrors.IsNotFound(err), "it is there", client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// colorOf is the active color, as names have it.
func (r *rig) colorOf(t *testing.T) string {
	t.Helper()
	color, err := r.ActiveColor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.ToLower(color)
}

// The backlog is more than two workers do in a minute.
const backlog = 60_000

// workers: a backlog makes the oldest task old, workers come, the backlog goes, and they go again.
func (r *rig) workers(t *testing.T) {
	r.install(t)
	r.change(t, map[string]any{"worker": map[string]any{"replicas": nil, "autoscaling": map[string]any{
		"minReplicas": 2, "maxReplicas": 5, "targetQueueAgeSeconds": 5, "behavior": quick(1),
	}}})
	name := "demo-worker-" + r.colorOf(t)
	r.scaler(t, time.Minute, name, "a value of the queue's age, which is 0", func(h *autoscalingv2.HorizontalPodAutoscaler) bool {
		m := h.Status.CurrentMetrics
		return *h.Spec.MinReplicas == 2 && h.Status.CurrentReplicas == 2 && len(m) == 1 && m[0].External != nil && m[0].External.Current.Value.IsZero()
	})
	seen := r.replicas(t, name)
	begun := time.Now()
	mark := r.fill(t)
	r.scaler(t, 2*time.Minute, name, "more than two workers", func(h *autoscalingv2.HorizontalPodAutoscaler) bool { return h.Status.DesiredReplicas > 2 })
	more := time.Since(begun)
	r.drained(t, mark)
	empty := time.Since(begun)
	r.scaler(t, 2*time.Minute, name, "two workers again", func(h *autoscalingv2.HorizontalPodAutoscaler) bool {
		return h.Status.DesiredReplicas == 2 && h.Status.CurrentReplicas == 2
	})
	all := seen.all()
	t.Logf("workers went %v: more after %.0f s, the %d tasks were done after %.0f s, two again after %.0f s", all, more.Seconds(), backlog, empty.Seconds(), time.Since(begun).Seconds())
	if most := slices.Max(all); all[0] != 2 || all[len(all)-1] != 2 || most < 3 || most > 5 || slices.Min(all) < 2 {
		t.Errorf("workers went %v, not from 2 to as many as 5 and back to 2", all)
	}
}

// fill puts tasks into the queue as imports do, and returns the mark that they carry.
func (r *rig) fill(t *testing.T) string {
	t.Helper()
	mark := fmt.Sprintf("backlog-%d", time.Now().UnixNano())
	r.query(t, func(ctx context.Context, db *pgx.Conn) error {
		_, err := db.Exec(ctx, `WITH author AS (SELECT id FROM users LIMIT 1), e AS (
			INSERT INTO entries (id, user_id, version, title, body, kind, project, impact, duration_minutes, mood, tags, source, word_count, occurred_at, created_at, updated_at)
			SELECT gen_random_uuid(), author.id, 1, 'Backlog', 'Fixed the queue and reviewed a design', 'note', '', '', 0, 0, '{}', 'api', 7, now(), now(), now()
			FROM author, generate_series(1, $1)
			RETURNING id, user_id)
			INSERT INTO tasks (id, user_id, entry_id, entry_version, kind, priority, request_id)
			SELECT gen_random_uuid(), user_id, id, 1, 'sentiment', 1, $2 FROM e`, backlog, mark)
		return err
	})
	return mark
}

// drained waits until every task of a backlog is done, and fails the test when one ran twice: workers that go hand back what they hold.
func (r *rig) drained(t *testing.T, mark string) {
	t.Helper()
	r.query(t, func(ctx context.Context, db *pgx.Conn) error {
		var undone, again int
		err := cutover.Await(ctx, 4*time.Minute, "the backlog to be done", func(ctx context.Context) (bool, string, error) {
			err := db.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state <> 'done'), coalesce(sum(greatest(runs - 1, 0)), 0)
				FROM tasks WHERE request_id = $1`, mark).Scan(&undone, &again)
			return err == nil && undone == 0, fmt.Sprintf("%d left", undone), err
		})
		if again > 0 {
			t.Errorf("%d handler runs beyond one for each task", again)
		}
		return err
	})
}

func (r *rig) query(t *testing.T, do func(context.Context, *pgx.Conn) error) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), r.Database())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(t.Context(), db), db.Close(context.WithoutCancel(t.Context()))); err != nil {
		t.Fatal(err)
	}
}

// floor is what the API has before its autoscaler, and the least that may be behind its live Service at any time.
const floor = 3

// api: autoscaling is turned on under load, acts on real processor time, goes through a cutover and is turned off again. Nobody notices.
func (r *rig) api(t *testing.T) {
	begun := time.Now()
	r.install(t)
	r.change(t, map[string]any{"api": map[string]any{"replicas": floor}})
	r.await(t, time.Minute, "three API pods", func(i *v1alpha1.EngLogInstance) bool {
		return strings.HasPrefix(condition(i, v1alpha1.ConditionReady), "True") && r.deployment(t, "demo-api-"+r.colorOf(t)).Status.ReadyReplicas == floor
	})
	behind := r.behind(t, "demo-api")
	before := r.rolloutID(t)
	r.loaded(t, func() {
		first := "demo-api-" + r.colorOf(t)
		seen := r.replicas(t, first)
		r.change(t, map[string]any{"api": map[string]any{"replicas": nil, "autoscaling": map[string]any{
			"minReplicas": 2, "maxReplicas": 6, "targetCPUUtilizationPercentage": 30, "behavior": map[string]any{"scaleUp": quick(1)["scaleUp"]},
		}}})
		r.scaler(t, 2*time.Minute, first, "real processor time, and more pods for it", func(h *autoscalingv2.HorizontalPodAutoscaler) bool {
			m := h.Status.CurrentMetrics
			return len(m) == 1 && m[0].Resource != nil && *m[0].Resource.Current.AverageUtilization > 30 && h.Status.DesiredReplicas > floor
		})
		if now := r.rolloutID(t); now != before {
			t.Errorf("autoscaling has begun rollout %s", now)
		}
		second := r.cutOver(t, first)
		t.Logf("replicas of the first color went %v; behind the live Service %v", seen.all(), behind.all())
		r.change(t, map[string]any{"api": map[string]any{"autoscaling": nil, "replicas": floor + 1}})
		r.noScaler(t, second)
		r.await(t, time.Minute, "the number of pods that the spec says", func(*v1alpha1.EngLogInstance) bool {
			d := r.deployment(t, second)
			return *d.Spec.Replicas == floor+1 && d.Status.ReadyReplicas == floor+1 && d.Status.Replicas == floor+1
		})
	})
	if all := behind.all(); slices.Min(all) < floor {
		t.Errorf("pods behind the live Service went %v, below %d", all, floor)
	}
	r.ownerAlone(t, begun)
}

// cutOver changes the version while an autoscaler owns the active color's replicas: the candidate has to come with as many. It returns the
// name of the new color's Deployment.
func (r *rig) cutOver(t *testing.T, first string) string {
	t.Helper()
	second := map[string]string{"demo-api-blue": "demo-api-green", "demo-api-green": "demo-api-blue"}[first]
	before := r.rolloutID(t)
	r.change(t, map[string]any{"version": cutover.VersionNew})
	atSwitch := r.await(t, 3*time.Minute, "the switch", inStep(v1alpha1.StepSwitching))
	had, ready := *r.deployment(t, first).Spec.Replicas, r.deployment(t, second).Status.ReadyReplicas
	if f := atSwitch.Status.Rollout.Floor; f == nil || f.API < had || ready < f.API {
		t.Errorf("at the switch the active color has %d pods, the candidate %d ready ones, and the floor is %+v", had, ready, f)
	}
	r.scaler(t, 10*time.Second, second, "the floor as its minimum", func(h *autoscalingv2.HorizontalPodAutoscaler) bool {
		return *h.Spec.MinReplicas >= had && h.Spec.MaxReplicas == 6
	})
	after := r.ended(t, before)
	if after.Status.Active.Version != cutover.VersionNew {
		t.Errorf("active is %+v: %s", after.Status.Active, after.Status.Rollout.Message)
	}
	t.Logf("the candidate came with %d pods for the %d of the active color", ready, had)
	return second
}

// ownerAlone reads the API server's audit log: while a color has an autoscaler, nobody but it scales, and no apply of ours says how many.
func (r *rig) ownerAlone(t *testing.T, since time.Time) {
	t.Helper()
	owned := map[string]bool{}
	made, scaled := 0, 0
	for _, e := range r.audit(t, since) {
		name := e.Object.Name
		switch {
		case e.Object.Resource == "horizontalpodautoscalers" && e.Object.Subresource == "" && strings.HasPrefix(name, "demo-api-"):
			if was := owned[name]; !was && (e.Verb == "patch" || e.Verb == "create" || e.Verb == "update") {
				made++
			}
			owned[name] = e.Verb != "delete"
		case e.Object.Resource == "deployments" && e.Object.Subresource == "scale" && owned[name]:
			scaled++
			if !strings.Contains(e.User.Username, "horizontal-pod-autoscaler") {
				t.Errorf("%s: %s scales %s, which has an autoscaler", e.At, e.User.Username, name)
			}
		}
	}
	if made < 2 || scaled == 0 {
		t.Errorf("%d autoscalers were made and scaled %d times: too few to prove anything", made, scaled)
	}
	for _, color := range []string{"blue", "green"} {
		for _, m := range r.deployment(t, "demo-api-"+color).ManagedFields {
			if m.Manager == "englog-operator" && m.Subresource == "" && strings.Contains(m.FieldsV1.String(), "f:replicas") {
				t.Errorf("the operator's apply of demo-api-%s owns spec.replicas", color)
			}
		}
	}
}

// room: a candidate that finds no node, or no quota, says so and holds nothing up: users stay where they are, and a spec that fits goes on.
func (r *rig) room(t *testing.T) {
	r.install(t)
	active := r.colorOf(t)
	requests := func(cpu any) map[string]any {
		return map[string]any{"api": map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": cpu}, "limits": map[string]any{"cpu": cpu}}}}
	}
	// With 64 not even the migration's pod finds a node; with 900m one of the candidate's two pods does.
	for cpu, reason := range map[string]string{"64": "Migrating", "900m": "NotEnoughReady"} {
		before := r.rolloutID(t)
		r.change(t, requests(cpu))
		i := r.await(t, time.Minute, "a word about the pods without a node", func(i *v1alpha1.EngLogInstance) bool {
			told := condition(i, v1alpha1.ConditionReconciling)
			return strings.HasPrefix(told, "True "+reason) && strings.Contains(told, "Insufficient cpu")
		})
		t.Logf("%s: Reconciling is %s", cpu, condition(i, v1alpha1.ConditionReconciling))
		r.served(t, i, active)
		r.change(t, map[string]any{"api": map[string]any{"resources": nil}})
		r.served(t, r.ended(t, before), active)
	}
	r.shortOfQuota(t, active)
}

// shortOfQuota: the candidate waits for a ResourceQuota, and goes on once it is gone.
func (r *rig) shortOfQuota(t *testing.T, active string) {
	t.Helper()
	quota := &corev1.ResourceQuota{}
	quota.Namespace, quota.Name = cutover.Namespace, "team"
	quota.Spec.Hard = corev1.ResourceList{corev1.ResourcePods: *resourceCount(len(r.pods(t)) + 1)}
	if err := r.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Delete(context.WithoutCancel(t.Context()), quota) })
	before := r.rolloutID(t)
	r.change(t, map[string]any{"version": cutover.VersionNew})
	i := r.await(t, time.Minute, "a word about the quota", func(i *v1alpha1.EngLogInstance) bool {
		return strings.HasPrefix(condition(i, v1alpha1.ConditionReconciling), "True QuotaExceeded")
	})
	t.Logf("Reconciling: %s", condition(i, v1alpha1.ConditionReconciling))
	r.served(t, i, active)
	if err := r.Delete(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	if i = r.ended(t, before); i.Status.Active.Version != cutover.VersionNew {
		t.Errorf("with room again: %s", i.Status.Rollout.Message)
	}
}

// served fails the test unless users are served from a color, and the instance says so.
func (r *rig) served(t *testing.T, i *v1alpha1.EngLogInstance, color string) {
	t.Helper()
	if a := i.Status.Active; !strings.EqualFold(string(a.Color), color) || !strings.HasPrefix(condition(i, v1alpha1.ConditionAvailable), "True") {
		t.Errorf("active is %+v, Available %s", a, condition(i, v1alpha1.ConditionAvailable))
	}
	if stalled := condition(i, v1alpha1.ConditionStalled); strings.HasPrefix(stalled, "True") {
		t.Errorf("it is stuck: %s", stalled)
	}
}

// pods are those in the namespace that have not ended.
func (r *rig) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	list := &corev1.PodList{}
	if err := r.List(t.Context(), list, client.InNamespace(cutover.Namespace)); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	})
}
