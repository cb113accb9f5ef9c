package validation

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// manifests are the objects of config/default, but for the CRD, which the rig has installed.
func manifests(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for _, room := range []string{"manager", "rbac", "network-policy"} {
		for _, file := range resources(t, "../../config/"+room) {
			objects = append(objects, documents(t, file)...)
		}
	}
	return objects
}

func resources(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.UnmarshalStrict(data, &kustomization); err != nil {
		t.Fatal(err)
	}
	for i, name := range kustomization.Resources {
		kustomization.Resources[i] = filepath.Join(dir, name)
	}
	return kustomization.Resources
}

func documents(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	var objects []*unstructured.Unstructured
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, &unstructured.Unstructured{Object: parse(t, string(document))})
	}
}

func deploy(t *testing.T) {
	t.Helper()
	for _, object := range manifests(t) {
		err := cluster.Client.Create(t.Context(), object, &client.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

// TestOperatorMay asks the API server what the operator's ServiceAccount may do: all it needs, and no more.
func TestOperatorMay(t *testing.T) {
	deploy(t)
	tests := []struct {
		verb, group, resource, namespace string
		want                             bool
	}{
		{"get", "", "secrets", "default", true},
		{"create", "", "secrets", "default", true},
		{"list", "", "secrets", "default", false},
		{"watch", "", "secrets", "default", false},
		{"delete", "", "secrets", "default", false},
		{"update", "englog.io", "engloginstances", "default", false},
		{"patch", "englog.io", "engloginstances", "default", false},
		{"delete", "englog.io", "engloginstances", "default", false},
		{"patch", "englog.io", "engloginstances/status", "default", true},
		{"patch", "apps", "deployments", "default", true},
		{"update", "apps", "deployments", "default", false},
		{"update", "apps", "deployments/scale", "default", true},
		{"delete", "batch", "jobs", "default", true},
		{"delete", "", "persistentvolumeclaims", "default", false},
		{"delete", "", "pods", "default", false},
		{"create", "", "pods", "default", false},
		{"create", "", "pods/exec", "default", false},
		{"create", "", "serviceaccounts/token", "default", false},
		{"create", "rbac.authorization.k8s.io", "rolebindings", "default", false},
		{"get", "", "nodes", "", false},
		{"list", "", "namespaces", "", false},
		{"update", "coordination.k8s.io", "leases", "englog-system", true},
		{"update", "coordination.k8s.io", "leases", "default", false},
		{"create", "authentication.k8s.io", "tokenreviews", "", true},
		{"patch", "gateway.networking.k8s.io", "httproutes", "default", true},
	}
	for _, test := range tests {
		t.Run(test.verb+" "+test.resource+" in "+test.namespace, func(t *testing.T) {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:englog-system:englog-operator",
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: test.verb, Group: test.group, Resource: test.resource, Namespace: test.namespace,
				},
			}}
			if err := cluster.Client.Create(t.Context(), review); err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != test.want {
				t.Errorf("allowed: %v, want %v (%s)", review.Status.Allowed, test.want, review.Status.Reason)
			}
		})
	}
}

// TestNamespaceOfAnInstance shows that the namespace which ships for an instance has the document's labels, and refuses what is not restricted.
func TestNamespaceOfAnInstance(t *testing.T) {
	for _, file := range resources(t, "../../config/namespace") {
		for _, object := range documents(t, file) {
			cluster.Create(t, object)
			if labels := object.GetLabels(); labels["name"] != "englog" || labels["environment"] != "production" {
				t.Errorf("labels %v", labels)
			}
		}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "englog", Name: "careless"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
	}
	if err := cluster.Client.Create(t.Context(), pod, client.DryRunAll); !apierrors.IsForbidden(err) {
		t.Errorf("a pod without security context: %v, want Forbidden", err)
	}
}

// TestNamespaceIsRestricted shows that the operator's own namespace refuses what is not restricted, and that the operator's
// pods pass.
func TestNamespaceIsRestricted(t *testing.T) {
	deploy(t)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "englog-system", Name: "careless"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
	}
	if err := cluster.Client.Create(t.Context(), pod, client.DryRunAll); !apierrors.IsForbidden(err) {
		t.Errorf("a pod without security context: %v, want Forbidden", err)
	}
	pods := &corev1.PodList{}
	cluster.AwaitList(t, pods, "the operator's pod", func() bool { return len(pods.Items) == 1 },
		client.InNamespace("englog-system"), client.MatchingLabels{"app.kubernetes.io/name": "englog-operator"})
}
