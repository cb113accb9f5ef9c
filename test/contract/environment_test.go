// Package contract holds operator and service to what they have agreed on: the variables that the one renders are those that the other reads.
// It must never be imported.
package contract

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/render"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
	"github.com/garnizeh/englog-operator/workload/config"
)

// exempt are variables that the service reads and no field of a spec sets, with the reason.
var exempt = map[string]string{
	"API_PORT":               "another spelling of PORT, for installations without the operator",
	"DB_URL":                 "another spelling of DATABASE_URL, for installations without the operator",
	"DATABASE_MIGRATION_URL": "the operator gives a migration's pods the owner's DATABASE_URL instead",
	"TERMINATION_LOG":        "the default is where Kubernetes looks",
	"DB_SSLROOTCERT_FILE":    "another spelling of DB_SSLROOTCERT",
}

// unread are variables that the operator renders and the configuration of the service does not look up, with the reason. One that it learns to
// read must leave this list.
var unread = map[string]string{
	"GOMEMLIMIT": "the Go runtime reads it", "GOMAXPROCS": "the Go runtime reads it", "SSL_CERT_DIR": "Go's TLS reads it",
	"HTTP_PROXY": "Go's HTTP client reads it", "HTTPS_PROXY": "Go's HTTP client reads it", "NO_PROXY": "Go's HTTP client reads it",
	"OTEL_TRACES_SAMPLER": "OpenTelemetry reads it",
	"MY_SETTING":          "the user's own", "MY_TOKEN": "the user's own",
}

// Every variable of the service has a field in the spec, or a reason why not; and nothing is rendered into the void.
func TestEveryVariableHasAField(t *testing.T) {
	read, rendered := lookedUp(t), renderedVariables(t)
	for _, name := range slices.Sorted(maps.Keys(read)) {
		if !rendered[name] && exempt[name] == "" {
			t.Errorf("the service reads %s, and no spec sets it: give it a field, or a reason in the list", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if !read[name] && unread[name] == "" {
			t.Errorf("the operator renders %s, and the service does not read it", name)
		}
		if read[name] && unread[name] != "" {
			t.Errorf("%s is read now: take it from the list of those that are not", name)
		}
	}
	for name := range exempt {
		if !read[name] {
			t.Errorf("%s is exempt, and the service does not read it any more", name)
		}
	}
}

// Each role's configuration accepts what its pods get: strict parsing on one side, no half of a connection on the other.
func TestTheServiceAcceptsWhatIsRendered(t *testing.T) {
	for _, file := range []string{"parts.yaml", "uris.yaml"} {
		for role, env := range environments(t, file) {
			lookup := func(name string) string {
				if env[name+"_FILE"] != "" {
					return strings.Repeat("k", 32) // what the file would hold
				}
				if strings.HasSuffix(name, "_FILE") {
					return ""
				}
				return env[name]
			}
			if _, err := config.Load(role, lookup); err != nil {
				t.Errorf("%s, %s: %v", file, role, err)
			}
		}
	}
}

// variable is what the parser of the service's configuration is asked for.
var variable = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)

// lookedUp lists the variables that the configuration of the service asks its parser for.
func lookedUp(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../workload/config/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the configuration of the service is not where it was: %v", err)
	}
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(syntax, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				for _, name := range asked(call) {
					found[name] = true
				}
			}
			return true
		})
	}
	return found
}

// asked lists the variables in a call such as p.text("LOG_LEVEL", ...).
func asked(call *ast.CallExpr) []string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || method.Sel.Name == "bad" {
		return nil
	}
	if receiver, ok := method.X.(*ast.Ident); !ok || receiver.Name != "p" {
		return nil
	}
	var names []string
	for _, argument := range call.Args {
		literal, ok := argument.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		if name, err := strconv.Unquote(literal.Value); err == nil && variable.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

// renderedVariables lists what the pods of specs that use every setting get, a file's variable under the name it stands for.
func renderedVariables(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, file := range []string{"parts.yaml", "uris.yaml"} {
		for _, role := range environments(t, file) {
			for name := range role {
				found[strings.TrimSuffix(name, "_FILE")] = true
			}
		}
	}
	return found
}

// environments renders an instance and gives each role's whole environment.
func environments(t *testing.T, file string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	instance := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{UID: types.UID("u")}}
	if err := yaml.UnmarshalStrict(text, instance); err != nil {
		t.Fatal(err)
	}
	in := render.Input{Instance: instance, Spec: instance.Resolve(), World: &world.World{Keys: keysOf(instance)}}
	s, err := render.NewSnapshot(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Snapshots = map[string]revision.Snapshot{"aaaaaaaaaa": s}
	all := map[string]map[string]string{}
	for _, c := range world.Components {
		e := plan.Ensure{Kind: plan.Deployment, Component: c, Color: v1alpha1.Blue, Revision: "aaaaaaaaaa"}
		all[string(c)] = environmentOf(t, in, s, e)
	}
	all["migrate"] = environmentOf(t, in, s, plan.Ensure{Kind: plan.Job, Purpose: plan.Expand, Revision: "aaaaaaaaaa", Attempt: 1})
	return all
}

// keysOf says that every key is there which the file does not leave to the spec.
func keysOf(instance *v1alpha1.EngLogInstance) map[string]bool {
	keys := map[string]bool{}
	for _, r := range revision.References(instance.Name, instance.Spec) {
		if instance.Annotations["absent"] == "" || !strings.Contains(instance.Annotations["absent"], r.Variable+" ") {
			keys[r.ID()] = true
		}
	}
	return keys
}

func environmentOf(t *testing.T, in render.Input, s revision.Snapshot, e plan.Ensure) map[string]string {
	t.Helper()
	objects, err := render.Objects(in, e)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := yaml.Marshal(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(encoded, &o); err != nil {
		t.Fatal(err)
	}
	env := maps.Clone(s.Config)
	env["ENGLOG_REVISION"] = e.Revision
	for _, v := range o.Spec.Template.Spec.Containers[0].Env {
		env[v.Name] = v.Value
	}
	return env
}
