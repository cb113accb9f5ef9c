package operator

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// documented reads one of the deployment document's manifests into a namespace.
func documented[T client.Object](t *testing.T, o T, file, namespace string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../controllers/render/testdata/document", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, o); err != nil {
		t.Fatal(err)
	}
	o.SetNamespace(namespace)
	return o
}

// TestAdoption takes an installation over that was made from the document's manifests, as docs/how-to/adopt.md says.
func TestAdoption(t *testing.T) {
	t.Parallel()
	covers(t, "X41", "X42", "X70", "X71", "X88")
	instance := draft(t, func(i *v1alpha1.EngLogInstance) { i.Name = "englog" })
	ns := instance.Namespace
	migrated(t, ns)
	api, worker := documented(t, &appsv1.Deployment{}, "api-deployment", ns), documented(t, &appsv1.Deployment{}, "worker-deployment", ns)
	service, ingress := documented(t, &corev1.Service{}, "service", ns), documented(t, &networkingv1.Ingress{}, "ingress", ns)
	config := documented(t, &corev1.ConfigMap{}, "configmap", ns)
	accounts := []client.Object{
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: api.Spec.Template.Spec.ServiceAccountName}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: worker.Spec.Template.Spec.ServiceAccountName}},
	}
	cluster.Create(t, append(accounts, secretFor(instance), config, api, worker, service, ingress)...)
	cluster.Await(t, api, "the old API", func() bool { return api.Status.ReadyReplicas == *api.Spec.Replicas })
	answers(t, ns, service.Name)

	cluster.Create(t, instance)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	for _, o := range []client.Object{service, ingress, config} {
		untouched(t, o)
	}
	answers(t, ns, service.Name) // still behind the Ingress
	answers(t, ns, "englog-api") // so that the next write moves traffic to pods that are ready
	before := ingress.DeepCopy()
	for r := range ingress.Spec.Rules {
		for p := range ingress.Spec.Rules[r].HTTP.Paths {
			if b := ingress.Spec.Rules[r].HTTP.Paths[p].Backend.Service; b.Name == service.Name {
				b.Name = "englog-api"
			}
		}
	}
	if err := cluster.Client.Patch(t.Context(), ingress, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	for _, o := range []client.Object{worker, api, service} {
		if err := cluster.Client.Delete(t.Context(), o, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			t.Fatal(err)
		}
	}
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	awaitStep(t, instance, v1alpha1.StepRetaining)
	serves(t, instance, "1.1.0", v1alpha1.Green)
	answers(t, ns, ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name)
}

// answers fails the test when no ready endpoint is behind a Service.
func answers(t *testing.T, namespace, service string) {
	t.Helper()
	list := &discoveryv1.EndpointSliceList{}
	cluster.AwaitList(t, list, "a ready endpoint of "+service, func() bool {
		return slices.ContainsFunc(list.Items, func(s discoveryv1.EndpointSlice) bool {
			return slices.ContainsFunc(s.Endpoints, func(e discoveryv1.Endpoint) bool { return e.Conditions.Ready != nil && *e.Conditions.Ready })
		})
	}, client.InNamespace(namespace), client.MatchingLabels{"kubernetes.io/service-name": service})
}
