package operator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// throughGateway exposes an instance by HTTPRoutes.
func throughGateway(i *v1alpha1.EngLogInstance) {
	i.Spec.Exposure = &v1alpha1.ExposureSpec{
		Type: v1alpha1.ExposureGateway, Gateway: &v1alpha1.GatewaySpec{ParentRefs: []v1alpha1.GatewayParentRef{{Name: "local", Namespace: "gateway"}}},
		Hosts: []v1alpha1.Hostname{"api.example.org"}, FrontendHosts: []v1alpha1.Hostname{"example.org"}, PreviewHost: "preview.example.org",
	}
}

func routeNamed(instance *v1alpha1.EngLogInstance, name string) *gatewayv1.HTTPRoute {
	return &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: name}}
}

// backendsOf are a route's backends with their weights, in order.
func backendsOf(r *gatewayv1.HTTPRoute) string {
	var all []string
	for _, rule := range r.Spec.Rules {
		for _, b := range rule.BackendRefs {
			weight := int32(1)
			if b.Weight != nil {
				weight = *b.Weight
			}
			all = append(all, fmt.Sprintf("%s %d", b.Name, weight))
		}
	}
	return strings.Join(all, ", ")
}

func awaitBackends(t *testing.T, r *gatewayv1.HTTPRoute, want string) {
	t.Helper()
	cluster.Await(t, r, "backends "+want, func() bool { return backendsOf(r) == want })
}

func epochOf(t *testing.T, o client.Object) int {
	t.Helper()
	n, err := strconv.Atoi(o.GetAnnotations()["englog.io/rollout-epoch"])
	if err != nil {
		t.Errorf("%T %s: %v", o, o.GetName(), err)
	}
	return n
}

// The switch is one write for each HTTPRoute and each live Service, all with one epoch, the frontend's before the API's; the way back begins with
// the API's.
func TestSwitchByWeights(t *testing.T) {
	t.Parallel()
	covers(t, "X41", "X74")
	instance := install(t, throughGateway)
	api, frontend := routeNamed(instance, "demo"), routeNamed(instance, "demo-frontend")
	awaitBackends(t, api, "demo-api-blue 100, demo-api-green 0")
	awaitBackends(t, frontend, "demo-frontend-blue 100, demo-frontend-green 0")
	for _, r := range []*gatewayv1.HTTPRoute{api, frontend} {
		for _, b := range r.Spec.Rules[0].BackendRefs { // a route to a Service that is not there is refused as a whole by some controllers
			fetch(t, &corev1.Service{}, instance.Namespace, string(b.Name))
		}
	}

	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.Version, s.Rollout.Promotion = "1.1.0", &v1alpha1.PromotionSpec{Mode: v1alpha1.PromotionManual}
	})
	awaitStep(t, instance, v1alpha1.StepAwaitingPromotion)
	preview := routeNamed(instance, "demo-preview")
	awaitBackends(t, preview, "demo-api-green 1, demo-frontend-green 1")
	if got := backendsOf(fetch(t, &gatewayv1.HTTPRoute{}, instance.Namespace, "demo")); got != "demo-api-blue 100, demo-api-green 0" {
		t.Errorf("before the promotion: %s", got)
	}
	begun := time.Now()
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.Rollout.Promotion.ApprovedRevision = instance.Status.Candidate.Revision
	})
	awaitStep(t, instance, v1alpha1.StepRetaining)
	switchedTo(t, instance, "green", begun, "httproutes/demo-frontend services/demo-frontend httproutes/demo services/demo-api")

	begun = time.Now()
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.Version, s.Rollout.Promotion.ApprovedRevision = "1.0.0", instance.Status.Previous.Revision
	})
	awaitStep(t, instance, v1alpha1.StepStable)
	switchedTo(t, instance, "blue", begun, "httproutes/demo services/demo-api httproutes/demo-frontend services/demo-frontend")
	cluster.AwaitGone(t, preview)
}

// switchedTo checks that all route objects lead to a color with one epoch, and the order in which they came there.
func switchedTo(t *testing.T, instance *v1alpha1.EngLogInstance, color string, since time.Time, order string) {
	t.Helper()
	epochs := map[int]bool{}
	for component, name := range map[string]string{"api": "demo", "frontend": "demo-frontend"} {
		r, s := fetch(t, &gatewayv1.HTTPRoute{}, instance.Namespace, name), fetch(t, &corev1.Service{}, instance.Namespace, "demo-"+component)
		if want := fmt.Sprintf("demo-%s-%s 100", component, color); !strings.Contains(backendsOf(r), want) || strings.Count(backendsOf(r), " 0") != 1 {
			t.Errorf("HTTPRoute %s leads to %s, want %s", name, backendsOf(r), want)
		}
		if got := s.Spec.Selector["englog.io/color"]; got != color {
			t.Errorf("live Service of the %s selects %s", component, got)
		}
		epochs[epochOf(t, r)], epochs[epochOf(t, s)] = true, true
	}
	if len(epochs) != 1 {
		t.Errorf("one switch has the epochs %v", epochs)
	}
	var made []string
	for _, c := range about(instance, calls.Since(since)) {
		if c.Verb == "PATCH" && slices.Contains([]string{"httproutes/demo-frontend", "services/demo-frontend", "httproutes/demo", "services/demo-api"}, c.Resource+"/"+c.Name) {
			made = append(made, c.Resource+"/"+c.Name)
		}
	}
	if got := strings.Join(made, " "); got != order {
		t.Errorf("the switch was %q, want %q", got, order)
	}
}

// What somebody else makes of an HTTPRoute is taken back: weights with an epoch of their own, the rest at once.
func TestHTTPRoutesAreRepaired(t *testing.T) {
	t.Parallel()
	instance := install(t, throughGateway)
	api := routeNamed(instance, "demo")
	awaitBackends(t, api, "demo-api-blue 100, demo-api-green 0")
	epoch := epochOf(t, api)

	spread := api.DeepCopy()
	for i := range spread.Spec.Rules[0].BackendRefs {
		spread.Spec.Rules[0].BackendRefs[i].Weight = new(int32(50))
	}
	patch(t, api, spread)
	awaitBackends(t, api, "demo-api-blue 100, demo-api-green 0")
	if epochOf(t, api) <= epoch {
		t.Errorf("weights were taken back with epoch %d after %d", epochOf(t, api), epoch)
	}
	renamed := api.DeepCopy()
	renamed.Spec.Hostnames = []gatewayv1.Hostname{"elsewhere.example.org"}
	patch(t, api, renamed)
	cluster.Await(t, api, "its host", func() bool { return len(api.Spec.Hostnames) == 1 && api.Spec.Hostnames[0] == "api.example.org" })
	if err := cluster.Client.Delete(t.Context(), api); err != nil {
		t.Fatal(err)
	}
	cluster.Await(t, api, "another HTTPRoute", func() bool {
		return api.DeletionTimestamp == nil && backendsOf(api) == "demo-api-blue 100, demo-api-green 0"
	})

	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Rollout.Traffic.Switch = v1alpha1.TrafficSwitchService })
	awaitBackends(t, api, "demo-api 1")
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Rollout.Traffic.Switch = v1alpha1.TrafficSwitchRoute })
	awaitBackends(t, api, "demo-api-blue 100, demo-api-green 0")
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Exposure = nil })
	cluster.AwaitGone(t, api)
	cluster.AwaitGone(t, routeNamed(instance, "demo-frontend"))
}

func patch(t *testing.T, from, to client.Object) {
	t.Helper()
	if err := cluster.Client.Patch(t.Context(), to, client.MergeFrom(from)); err != nil {
		t.Fatal(err)
	}
}

// The one Ingress of class alb carries the switch: both components' colors stand in weighted actions.
func TestSwitchByWeightedActions(t *testing.T) {
	t.Parallel()
	instance := install(t, func(i *v1alpha1.EngLogInstance) {
		i.Spec.Exposure = &v1alpha1.ExposureSpec{Type: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressSpec{ClassName: "alb"}, Hosts: []v1alpha1.Hostname{"api.example.org"}}
	})
	ingress := fetch(t, &networkingv1.Ingress{}, instance.Namespace, "demo")
	leads := func(color string) bool {
		for _, component := range []string{"api", "frontend"} {
			action := ingress.Annotations["alb.ingress.kubernetes.io/actions.demo-"+component]
			if !strings.Contains(action, fmt.Sprintf(`"demo-%s-%s","servicePort":"80","weight":100`, component, color)) || !strings.Contains(action, `"weight":0`) {
				return false
			}
		}
		return true
	}
	if !leads("blue") {
		t.Fatalf("actions %v", ingress.Annotations)
	}
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	awaitStep(t, instance, v1alpha1.StepConfirming)
	if ingress = fetch(t, ingress, instance.Namespace, "demo"); !leads("green") {
		t.Errorf("after the switch: %v", ingress.Annotations)
	}
	if service := fetch(t, &corev1.Service{}, instance.Namespace, "demo-api"); epochOf(t, ingress) != epochOf(t, service) {
		t.Errorf("epochs %d and %d", epochOf(t, ingress), epochOf(t, service))
	}
	awaitStep(t, instance, v1alpha1.StepStable)
	drifted := ingress.DeepCopy()
	drifted.Annotations["alb.ingress.kubernetes.io/actions.demo-api"] = strings.NewReplacer("blue", "green", "green", "blue").Replace(ingress.Annotations["alb.ingress.kubernetes.io/actions.demo-api"])
	patch(t, ingress, drifted)
	cluster.Await(t, ingress, "green again", func() bool { return leads("green") })
}

// More pods than one EndpointSlice holds are no single write any more: a condition says so, unless weights carry the switch.
func TestMoreThanOneSliceIsTold(t *testing.T) {
	t.Parallel()
	covers(t, "X11")
	instance := install(t, throughGateway, func(i *v1alpha1.EngLogInstance) {
		i.Spec.API = &v1alpha1.APISpec{Autoscaling: &v1alpha1.AutoscalingSpec{MinReplicas: 1, MaxReplicas: 150}}
		i.Spec.Database.MaxConnections = 5000
	})
	if _, _, message := condition(instance, v1alpha1.ConditionSpecAccepted); strings.Contains(message, "EndpointSlice") {
		t.Errorf("with weights: %s", message)
	}
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Rollout.Traffic.Switch = v1alpha1.TrafficSwitchService })
	cluster.Await(t, instance, "a warning", func() bool {
		_, reason, message := condition(instance, v1alpha1.ConditionSpecAccepted)
		return reason == "AcceptedWithWarnings" && strings.Contains(message, "spec.api.autoscaling.maxReplicas: up to 150 pods")
	})
}
