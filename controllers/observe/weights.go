package observe

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// weighted reads the routes that lead by weights.
func (c *children) weighted(instance string, wanted []world.RouteRef) map[v1alpha1.ComponentName]world.WeightedRoute {
	all := map[v1alpha1.ComponentName]world.WeightedRoute{}
	for _, w := range wanted {
		all[w.Component] = world.WeightedRoute{}
		shares := shares{instance: instance, to: world.WeightedRoute{Weights: map[v1alpha1.Color]int32{}}}
		for i := range c.httpRoutes.Items {
			if r := &c.httpRoutes.Items[i]; w.Kind == "HTTPRoute" && r.Name == w.Name {
				all[w.Component] = shares.ofHTTPRoute(r)
			}
		}
		for i := range c.ingresses.Items {
			if g := &c.ingresses.Items[i]; w.Kind == "Ingress" && g.Name == w.Name {
				all[w.Component] = shares.ofIngress(g, w.Actions)
			}
		}
	}
	return all
}

// shares sums up what each color gets.
type shares struct {
	instance string
	to       world.WeightedRoute
}

// add counts the weight that a Service gets.
func (s *shares) add(service string, weight int32) {
	for _, component := range world.Routed {
		for _, color := range world.Colors {
			if service == fmt.Sprintf("%s-%s-%s", s.instance, component, strings.ToLower(string(color))) {
				s.to.Weights[color] += weight
				return
			}
		}
	}
	s.to.Foreign = s.to.Foreign || weight > 0
}

func (s *shares) seen(o metav1.Object) world.WeightedRoute {
	s.to.Exists, s.to.Identity = true, world.IdentityOf(o)
	s.to.Epoch, _ = strconv.ParseInt(o.GetAnnotations()[EpochKey], 10, 64) // no annotation is epoch 0
	return s.to
}

// ofHTTPRoute reads backends; one without a weight has 1.
func (s *shares) ofHTTPRoute(r *gatewayv1.HTTPRoute) world.WeightedRoute {
	for i := range r.Spec.Rules {
		for _, b := range r.Spec.Rules[i].BackendRefs {
			weight := int32(1)
			if b.Weight != nil {
				weight = *b.Weight
			}
			s.add(string(b.Name), weight)
		}
	}
	return s.seen(r)
}

// ofIngress reads the weighted actions of the AWS Load Balancer Controller. One that is missing or cannot be read leads nowhere known.
func (s *shares) ofIngress(g *networkingv1.Ingress, actions []string) world.WeightedRoute {
	for _, key := range actions {
		var action struct {
			ForwardConfig struct {
				TargetGroups []struct {
					ServiceName string `json:"serviceName"`
					Weight      int32  `json:"weight"`
				} `json:"targetGroups"`
			} `json:"forwardConfig"`
		}
		if err := json.Unmarshal([]byte(g.Annotations[key]), &action); err != nil {
			s.to.Foreign = true
		}
		for _, t := range action.ForwardConfig.TargetGroups {
			s.add(t.ServiceName, t.Weight)
		}
	}
	return s.seen(g)
}

// routeWarnings tells what keeps the routes of a spec from leading users as they should.
func (r *Reader) routeWarnings(w *world.World, c *children) {
	warn := func(reason, format string, args ...any) {
		w.Warnings = append(w.Warnings, world.Problem{Reason: reason, Message: fmt.Sprintf(format, args...)})
	}
	for _, problem := range r.Lacking(&w.Spec) {
		warn("KindUnknown", "%s", problem)
	}
	for i := range c.httpRoutes.Items {
		if problem := refused(&c.httpRoutes.Items[i]); problem != "" {
			warn("RouteRefused", "HTTPRoute %s: %s", c.httpRoutes.Items[i].Name, problem)
		}
	}
	for _, component := range world.Routed {
		if _, byWeights := w.Weighted[component]; byWeights {
			continue
		}
		if field, most := crowd(&w.Spec, component); most > oneSlice {
			warn("MoreThanOneSlice", "%s: up to %d pods of a color fill several EndpointSlices of %d, so a switch of the live Service is several writes and users may meet both revisions "+
				"for a moment: use at most %d, or exposure.type Gateway with rollout.traffic.switch Route", field, most, oneSlice, oneSlice)
		}
	}
}

// oneSlice is how many endpoints the EndpointSlice controller puts into one slice, its --max-endpoints-per-slice.
const oneSlice = 100

// crowd is the most pods that a component of a color may have, with the field that says so.
func crowd(spec *v1alpha1.EngLogInstanceSpec, c v1alpha1.ComponentName) (field string, most int32) {
	switch {
	case c == v1alpha1.API && spec.API != nil:
		return bound("spec.api", spec.API.Replicas, spec.API.Autoscaling)
	case c == v1alpha1.Frontend && spec.Frontend != nil && spec.Frontend.Mode != v1alpha1.ModeDisabled:
		return bound("spec.frontend", spec.Frontend.Replicas, spec.Frontend.Autoscaling)
	default:
		return "", 0
	}
}

func bound(field string, replicas int32, bounds *v1alpha1.AutoscalingSpec) (string, int32) {
	if bounds != nil {
		return field + ".autoscaling.maxReplicas", bounds.MaxReplicas
	}
	return field + ".replicas", replicas
}

// refused is what a Gateway says against a route's newest form. Nothing is said while none has spoken about it.
func refused(r *gatewayv1.HTTPRoute) string {
	for _, p := range r.Status.Parents {
		for _, kind := range []string{string(gatewayv1.RouteConditionAccepted), string(gatewayv1.RouteConditionResolvedRefs)} {
			cond := meta.FindStatusCondition(p.Conditions, kind)
			if cond != nil && cond.Status == metav1.ConditionFalse && cond.ObservedGeneration == r.Generation {
				return fmt.Sprintf("Gateway %s says %s: %s", p.ParentRef.Name, cond.Reason, clip(cond.Message))
			}
		}
	}
	return ""
}
