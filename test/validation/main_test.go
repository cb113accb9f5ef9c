package validation

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

var cluster *rig.Rig

func TestMain(m *testing.M) { os.Exit(rig.Main(m, rig.Options{Nodes: 1}, &cluster)) }

// base is a complete small spec that is accepted; bad specs differ from it in one thing.
const base = `
apiVersion: englog.io/v1alpha1
kind: EngLogInstance
metadata: {name: journal, namespace: default}
spec:
  version: 1.8.0
  environment: Staging
  database: {type: External}
  cache: {type: External}
`

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	object := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil {
		t.Fatalf("parse %q: %v", text, err)
	}
	return object
}

// patched is base with patch merged into it: maps merge, null removes, all else replaces.
func patched(t *testing.T, patch string) *unstructured.Unstructured {
	t.Helper()
	object := parse(t, base)
	merge(object, parse(t, patch))
	return &unstructured.Unstructured{Object: object}
}

func merge(into, patch map[string]any) {
	for key, value := range patch {
		child, isMap := value.(map[string]any)
		old, wasMap := into[key].(map[string]any)
		switch {
		case value == nil:
			delete(into, key)
		case isMap && wasMap:
			merge(old, child)
		default:
			into[key] = value
		}
	}
}

// submit asks the API server what it thinks of an object, without keeping it. Unknown fields are errors, as with kubectl.
func submit(t *testing.T, object *unstructured.Unstructured) error {
	t.Helper()
	return cluster.Client.Create(t.Context(), object.DeepCopy(), client.DryRunAll,
		&client.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
}

func samples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("find config/samples/*.yaml: %v, %d files", err, len(files))
	}
	return slices.DeleteFunc(files, func(file string) bool { return filepath.Base(file) == "kustomization.yaml" })
}
