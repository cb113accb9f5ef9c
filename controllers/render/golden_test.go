package render

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	blue  = "bbbbbbbbbb"
	green = "gggggggggg"
)

// secretKeys are what the Secrets of an instance hold; of other instances nothing is known.
var secretKeys = map[string]map[string]bool{"englog": {
	"englog-secrets/DB_PASSWORD": true, "englog-secrets/REDIS_URL": true, "englog-secrets/JWT_SECRET": true, "englog-secrets/SESSION_KEY": true,
	"englog-secrets/OPENAI_API_KEY": true, "englog-secrets/AZURE_API_KEY": true,
}}

// load reads an instance and renders it as a reconcile would: the snapshot goes through its stored form.
func load(t *testing.T, name string) Input {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	instance := &v1alpha1.EngLogInstance{}
	if err := yaml.UnmarshalStrict(text, instance); err != nil {
		t.Fatal(err)
	}
	return prepare(t, instance)
}

func prepare(t *testing.T, instance *v1alpha1.EngLogInstance) Input {
	t.Helper()
	instance.UID = types.UID("00000000-0000-0000-0000-000000000001")
	in := Input{
		Instance: instance, Spec: instance.Resolve(),
		World: &world.World{Instance: instance, Known: map[string]world.Known{blue: {Ordinal: 1}}, Routes: routesTo(v1alpha1.Green), Previews: previews()},
		Cluster: Cluster{Middlewares: true,
			OperatorNamespace: "englog-system", MonitoringNamespaces: []string{"monitoring"}, HTTPRoutes: true, Monitors: true,
		},
	}
	if keys, ok := secretKeys[instance.Name]; ok {
		in.World.Keys = keys
	}
	s, err := NewSnapshot(in)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := revision.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	in.Snapshots = map[string]revision.Snapshot{blue: stored, green: stored}
	return in
}

// routesTo are live routes that show a color.
func routesTo(color v1alpha1.Color) map[v1alpha1.ComponentName]world.Route {
	all := map[v1alpha1.ComponentName]world.Route{}
	for _, c := range world.Routed {
		all[c] = world.Route{Exists: true, Color: color, Epoch: 7}
	}
	return all
}

// previews says that both colors' own Services exist.
func previews() map[world.Slot]world.Endpoints {
	all := map[world.Slot]world.Endpoints{}
	for _, c := range world.Routed {
		for _, color := range world.Colors {
			all[world.Slot{Component: c, Color: color}] = world.Endpoints{}
		}
	}
	return all
}

// ensures lists one of everything, in the order in which a plan asks for it.
func ensures(in Input) []plan.Ensure {
	list := []plan.Ensure{
		{Kind: plan.Store, Component: "database"}, {Kind: plan.Store, Component: "cache"},
		{Kind: plan.Snapshot, Revision: green}, {Kind: plan.Config, Revision: green}, {Kind: plan.Monitoring},
		{Kind: plan.Job, Purpose: plan.Expand, Revision: green, Attempt: 1},
		{Kind: plan.Job, Purpose: plan.Contract, Revision: green, Attempt: 1},
		{Kind: plan.Job, Purpose: plan.WorkerCheck, Revision: green, Attempt: 1},
	}
	for _, c := range in.Spec.Rollout.Checks {
		if c.Job != nil {
			list = append(list, plan.Ensure{Kind: plan.Job, Purpose: plan.UserCheck, Check: c.Name, Revision: green, Attempt: 1})
		}
	}
	for _, c := range world.Components {
		list = append(list, plan.Ensure{Kind: plan.ServiceAccount, Component: c}, plan.Ensure{Kind: plan.NetworkPolicy, Component: c},
			plan.Ensure{Kind: plan.Deployment, Component: c, Color: v1alpha1.Green, Revision: green, Epoch: 7},
			plan.Ensure{Kind: plan.DisruptionBudget, Component: c, Color: v1alpha1.Green})
		if a, _ := scaling(in, c); a != nil {
			list = append(list, plan.Ensure{Kind: plan.Autoscaler, Component: c, Color: v1alpha1.Green, Min: 3, Max: 20})
		}
	}
	for _, c := range world.Routed {
		list = append(list, plan.Ensure{Kind: plan.ColorService, Component: c, Color: v1alpha1.Green, Revision: green},
			plan.Ensure{Kind: plan.LiveService, Component: c, Color: v1alpha1.Green, Revision: green, Epoch: 7, Moves: true, Identity: world.Identity{UID: "live", ResourceVersion: "42"}},
			plan.Ensure{Kind: plan.Route, Component: c}, plan.Ensure{Kind: plan.Weights, Component: c, Color: v1alpha1.Green, Epoch: 7})
	}
	return list
}

func mustRender(t *testing.T, in Input, e plan.Ensure) []runtime.ApplyConfiguration {
	t.Helper()
	objects, err := Objects(in, e)
	if err != nil {
		t.Fatalf("%s: %v", e, err)
	}
	return objects
}

// Every object of a development, a staging and a production instance, kind by kind. Run with -update after a deliberate change, and read
// the difference: it is what running instances get with their next revision.
func TestGolden(t *testing.T) {
	for _, name := range []string{"development", "staging", "production"} {
		t.Run(name, func(t *testing.T) {
			in := load(t, name)
			files := map[string]*bytes.Buffer{}
			for _, e := range ensures(in) {
				for _, o := range mustRender(t, in, e) {
					text, err := yaml.Marshal(o)
					if err != nil {
						t.Fatal(err)
					}
					file := strings.ToLower(kindOf(t, o)) + ".yaml"
					if files[file] == nil {
						files[file] = &bytes.Buffer{}
					}
					files[file].WriteString("---\n")
					files[file].Write(text)
				}
			}
			compare(t, filepath.Join("testdata", name), files)
		})
	}
}

func kindOf(t *testing.T, o runtime.ApplyConfiguration) string {
	t.Helper()
	named, ok := o.(interface{ GetKind() *string })
	if !ok || named.GetKind() == nil {
		t.Fatalf("%T has no kind", o)
	}
	return *named.GetKind()
}

func compare(t *testing.T, dir string, files map[string]*bytes.Buffer) {
	t.Helper()
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(dir, file), text.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	stored, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(stored) != len(files) {
		t.Errorf("%d files are stored in %s, want %d (%v)", len(stored), dir, len(files), err)
	}
	for file, text := range files {
		want, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := text.String(); got != string(want) {
			t.Errorf("%s differs; first at:\n%s", filepath.Join(dir, file), firstDifference(got, string(want)))
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			wanted := "(end)"
			if i < len(w) {
				wanted = w[i]
			}
			return "got  " + g[i] + "\nwant " + wanted
		}
	}
	return "got (end)\nwant " + w[len(g)]
}
