package specs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/render"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

const (
	blue  = "bbbbbbbbbb"
	green = "gggggggggg"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// decide resolves, hashes, renders and plans, in a world at random.
func decide(seed uint64, instance *v1alpha1.EngLogInstance) error {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it has to be repeatable
	instance.UID = types.UID("u")
	in := render.Input{Instance: instance, Spec: instance.Resolve(), Cluster: render.Cluster{HTTPRoutes: true, Monitors: true, MonitoringNamespaces: []string{"m"}}}
	inputs, err := revision.Inputs(instance.Spec)
	if err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	w := newWorld(r, instance)
	in.World, in.Spec = w.World, w.Spec
	if hash := revision.Hash(inputs, w.digests()); hash == "" {
		return errors.New("no hash")
	}
	if in.Snapshots, err = snapshots(in); err != nil {
		return err
	}
	if render.RouteProblem(&in.Spec) != "" {
		w.Refusals = append(w.Refusals, world.Problem{Reason: "InvalidSpec", Message: "as the guard says"})
	}
	if err := named(in); err != nil {
		return err
	}
	rendered := map[string]bool{}
	for _, step := range steps {
		w.enter(r, step)
		if err := settles(in, w, rendered); err != nil {
			return fmt.Errorf("in %s: %w", step, err)
		}
	}
	return nil
}

// snapshots are the stored templates of both revisions, through their stored form.
func snapshots(in render.Input) (map[string]revision.Snapshot, error) {
	made, err := render.NewSnapshot(in)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	encoded, err := made.Encode()
	if err != nil {
		return nil, fmt.Errorf("encoding a snapshot: %w", err)
	}
	stored, err := revision.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("decoding a snapshot: %w", err)
	}
	return map[string]revision.Snapshot{blue: stored, green: stored}, nil
}

var steps = []v1alpha1.Step{
	"", v1alpha1.StepStable, v1alpha1.StepPreparing, v1alpha1.StepMigrating, v1alpha1.StepScaling, v1alpha1.StepVerifying, v1alpha1.StepAwaitingPromotion,
	v1alpha1.StepSwitching, v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRetaining, v1alpha1.StepRetiring, v1alpha1.StepContracting,
	v1alpha1.StepAborting, v1alpha1.StepRollingBack,
}

// rounds is how many decisions in a row an unchanging world may ask for: more than there are steps.
const rounds = 40

// settles decides again and again about a world in which nothing but the status changes: that has to come to an end.
// What it writes is rendered once.
func settles(in render.Input, w *randomWorld, rendered map[string]bool) error {
	for range rounds {
		before := encode(w.Instance.Status)
		next, again := plan.Next(w.World, now), plan.Next(w.World, now)
		if encode(next) != encode(again) {
			return errors.New("the same world leads to two plans")
		}
		if !next.Wake.IsZero() && !next.Wake.After(now) && encode(next.Status) == before {
			return fmt.Errorf("it wants to be woken at %s, which has passed", next.Wake)
		}
		for _, write := range next.Writes {
			if e, ok := write.(plan.Ensure); ok && !rendered[e.String()] {
				rendered[e.String()] = true
				if _, err := render.Objects(in, e); err != nil {
					return err
				}
			}
		}
		w.Instance.Status = next.Status
		if encode(next.Status) == before {
			return nil
		}
	}
	return fmt.Errorf("no rest after %d rounds, in %s", rounds, w.Instance.Status.Rollout.Step)
}

func encode(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

// named renders one of everything and looks at the names.
func named(in render.Input) error {
	for _, e := range everything(in) {
		objects, err := render.Objects(in, e)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if err := wellNamed(o); err != nil {
				return fmt.Errorf("%s: %w", e, err)
			}
		}
	}
	return nil
}

// wellNamed holds every name to the 63 characters of a label: many become one.
func wellNamed(o runtime.ApplyConfiguration) error {
	var header struct {
		Kind     string            `json:"kind"`
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	if err := json.Unmarshal([]byte(encode(o)), &header); err != nil {
		return fmt.Errorf("reading what was rendered: %w", err)
	}
	name := header.Metadata.Name
	if header.Kind == "StatefulSet" {
		name += "-0123456789" // its revision's label
	}
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		return fmt.Errorf("%s %s: %v", header.Kind, name, problems)
	}
	for key, value := range header.Metadata.Labels {
		ours := strings.HasPrefix(key, "app.kubernetes.io/") || strings.HasPrefix(key, "englog.io/")
		if problems := validation.IsValidLabelValue(value); len(problems) > 0 && ours {
			return fmt.Errorf("%s %s: label %s: %v", header.Kind, name, key, problems)
		}
	}
	return nil
}

// everything lists one of each child.
func everything(in render.Input) []plan.Ensure {
	list := []plan.Ensure{
		{Kind: plan.Store, Component: revision.Database}, {Kind: plan.Store, Component: revision.Cache}, {Kind: plan.Monitoring},
		{Kind: plan.Snapshot, Revision: green}, {Kind: plan.Config, Revision: green},
	}
	for _, purpose := range []plan.Purpose{plan.Expand, plan.Contract, plan.WorkerCheck} {
		list = append(list, plan.Ensure{Kind: plan.Job, Purpose: purpose, Revision: green, Attempt: 99})
	}
	for _, check := range in.Spec.Rollout.Checks {
		if check.Job != nil {
			list = append(list, plan.Ensure{Kind: plan.Job, Purpose: plan.UserCheck, Check: check.Name, Revision: green, Attempt: 99})
		}
	}
	for _, c := range world.Components {
		list = append(list, plan.Ensure{Kind: plan.ServiceAccount, Component: c}, plan.Ensure{Kind: plan.NetworkPolicy, Component: c})
		for _, color := range world.Colors {
			list = append(list, plan.Ensure{Kind: plan.Deployment, Component: c, Color: color, Revision: green}, plan.Ensure{Kind: plan.DisruptionBudget, Component: c, Color: color},
				plan.Ensure{Kind: plan.Autoscaler, Component: c, Color: color, Min: 1, Max: 2})
		}
	}
	for _, c := range world.Routed {
		list = append(list, plan.Ensure{Kind: plan.LiveService, Component: c, Color: v1alpha1.Green, Revision: green}, plan.Ensure{Kind: plan.Route, Component: c},
			plan.Ensure{Kind: plan.ColorService, Component: c, Color: v1alpha1.Blue, Revision: green})
	}
	return slices.DeleteFunc(list, func(e plan.Ensure) bool { return e.Kind == plan.Autoscaler && !scaled(in.Spec, e.Component) })
}

func scaled(s v1alpha1.EngLogInstanceSpec, c v1alpha1.ComponentName) bool {
	return map[v1alpha1.ComponentName]bool{
		v1alpha1.API: s.API.Autoscaling != nil, v1alpha1.Worker: s.Worker.Autoscaling != nil, v1alpha1.Frontend: s.Frontend.Autoscaling != nil,
	}[c]
}

func (w *randomWorld) digests() map[string]string {
	digests := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(w.Keys)) {
		digests[key] = "d"
	}
	return digests
}
