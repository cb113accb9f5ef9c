package render

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// class is how one kind of ingress controller is told what an Ingress itself cannot say.
type class interface {
	// annotations are those of the Ingress while a color leads.
	annotations(in Input, leader v1alpha1.Color) map[string]string
	path(in Input, b backend) *networkingv1ac.HTTPIngressPathApplyConfiguration
	// companions are further objects that the class needs.
	companions(in Input) []runtime.ApplyConfiguration
	// weighted lists the annotations by which the class leads to both colors; none where it leads to the live Services.
	weighted(in Input) []string
	limits() bool
	redirects() bool
}

// limitingClasses are those that can limit the rate of requests.
const limitingClasses = "nginx and traefik"

// classOf knows a class by its name: nginx itself, or a class of one's own such as nginx-internal.
func classOf(name string) class {
	for kind, c := range map[string]class{"nginx": nginx{}, "traefik": traefik{}, "alb": alb{}} {
		if name == kind || strings.HasPrefix(name, kind+"-") || strings.HasSuffix(name, "-"+kind) {
			return c
		}
	}
	return plain{}
}

// plain is a class of which nothing is known: what every Ingress can say works, and nothing else.
type plain struct{}

func (plain) annotations(Input, v1alpha1.Color) map[string]string { return nil }
func (plain) weighted(Input) []string                             { return nil }
func (plain) companions(Input) []runtime.ApplyConfiguration       { return nil }
func (plain) limits() bool                                        { return false }
func (plain) redirects() bool                                     { return false }
func (plain) path(in Input, b backend) *networkingv1ac.HTTPIngressPathApplyConfiguration {
	return ingressPath(b.path, serviceName(in, b), networkingv1ac.ServiceBackendPort().WithNumber(servicePort))
}

func redirect(in Input) bool { return in.Spec.Exposure.HTTPSRedirect == v1alpha1.ModeEnabled }

func limited(in Input) bool {
	return in.Spec.Exposure.RateLimit.Enforcement == v1alpha1.RateLimitApplicationAndIngress
}

// nginx is ingress-nginx. The annotations that the deployment document uses for the rate limit do not exist there (X43); these do.
type nginx struct{ plain }

const nginxPrefix = "nginx.ingress.kubernetes.io/"

// What ingress-nginx allows unless it is told otherwise.
const (
	nginxBody    = 1 << 20
	nginxTimeout = 60
)

func (nginx) limits() bool    { return true }
func (nginx) redirects() bool { return true }

func (nginx) annotations(in Input, _ v1alpha1.Color) map[string]string {
	a := map[string]string{
		nginxPrefix + "ssl-redirect":       strconv.FormatBool(redirect(in)),
		nginxPrefix + "force-ssl-redirect": strconv.FormatBool(redirect(in)),
	}
	if limited(in) {
		a[nginxPrefix+"limit-rps"] = number(in.Spec.Exposure.RateLimit.RequestsPerSecond)
	}
	if wait := in.Spec.Config.WriteTimeoutSeconds; wait > nginxTimeout {
		a[nginxPrefix+"proxy-read-timeout"] = number(wait)
	}
	if body := in.Spec.Config.MaxContentBytes; body > nginxBody/2 {
		a[nginxPrefix+"proxy-body-size"] = number(2 * body) // text grows when it is written as JSON
	}
	return a
}

// traefik takes redirects and limits as Middlewares, and a redirect as an Ingress on the port that is redirected.
type traefik struct{ plain }

const traefikPrefix = "traefik.ingress.kubernetes.io/router."

func (traefik) limits() bool    { return true }
func (traefik) redirects() bool { return true }

func (traefik) annotations(in Input, _ v1alpha1.Color) map[string]string {
	a := map[string]string{}
	if in.Spec.Exposure.TLS.Type != v1alpha1.TLSNone {
		a[traefikPrefix+"tls"] = "true"
	}
	if redirect(in) {
		a[traefikPrefix+"entrypoints"] = "websecure"
	}
	if limited(in) && in.Cluster.Middlewares {
		a[traefikPrefix+"middlewares"] = middlewareRef(in, "limit")
	}
	return a
}

func middlewareName(in Input, use string) string { return in.Instance.Name + "-" + use }

func middlewareRef(in Input, use string) string {
	return in.Instance.Namespace + "-" + middlewareName(in, use) + "@kubernetescrd"
}

func middleware(in Input, use string, spec map[string]any) *Object {
	return newObject(in, "traefik.io/v1alpha1", "Middleware", middlewareName(in, use), "", spec)
}

func (t traefik) companions(in Input) []runtime.ApplyConfiguration {
	if !in.Cluster.Middlewares {
		return nil
	}
	var all []runtime.ApplyConfiguration
	if limited(in) {
		n := int64(in.Spec.Exposure.RateLimit.RequestsPerSecond)
		all = append(all, middleware(in, "limit", map[string]any{"rateLimit": map[string]any{"average": n, "burst": n, "period": "1s"}}))
	}
	if redirect(in) {
		all = append(all, middleware(in, "https", map[string]any{"redirectScheme": map[string]any{"scheme": "https", "permanent": true}}), t.redirect(in))
	}
	return all
}

// redirect is an Ingress without a certificate on the unencrypted port: a router with one would not answer there.
func (traefik) redirect(in Input) runtime.ApplyConfiguration {
	spec := networkingv1ac.IngressSpec()
	if name := in.Spec.Exposure.Ingress.ClassName; name != "" {
		spec.WithIngressClassName(name)
	}
	for _, b := range backends(in) {
		if b.path == "/" {
			spec.WithRules(networkingv1ac.IngressRule().WithHost(string(b.host)).WithHTTP(networkingv1ac.HTTPIngressRuleValue().WithPaths(plain{}.path(in, b))))
		}
	}
	return networkingv1ac.Ingress(middlewareName(in, "redirect"), in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, "")).WithOwnerReferences(in.owner()).
		WithAnnotations(map[string]string{traefikPrefix + "entrypoints": "web", traefikPrefix + "middlewares": middlewareRef(in, "https")}).
		WithSpec(spec)
}

// alb is the AWS Load Balancer Controller. It registers pods with a target group for each Service, and would leave a gap when a live
// Service's selector changes: so both colors' Services stand in one weighted action, and a switch only moves the weight.
type alb struct{ plain }

const albPrefix = "alb.ingress.kubernetes.io/"

func (alb) redirects() bool { return true }

func (alb) annotations(in Input, leader v1alpha1.Color) map[string]string {
	a := map[string]string{
		albPrefix + "target-type":             "ip",
		albPrefix + "healthcheck-path":        "/ready",
		albPrefix + "listen-ports":            `[{"HTTP":80}]`,
		albPrefix + "target-group-attributes": "deregistration_delay.timeout_seconds=30",
	}
	if in.Spec.Exposure.TLS.Type != v1alpha1.TLSNone {
		a[albPrefix+"listen-ports"] = `[{"HTTP":80},{"HTTPS":443}]`
	}
	if redirect(in) {
		a[albPrefix+"ssl-redirect"] = "443"
	}
	for _, c := range routedComponents(in) {
		a[albAction(in, c)] = forward(in, c, leader)
	}
	return a
}

// routedComponents are those that an Ingress leads to.
func routedComponents(in Input) []v1alpha1.ComponentName {
	if in.frontend() {
		return world.Routed
	}
	return []v1alpha1.ComponentName{v1alpha1.API}
}

// albAction is the annotation with the action of the backend that is called as the live Service.
func albAction(in Input, c v1alpha1.ComponentName) string {
	return albPrefix + "actions." + plan.LiveName(in.Instance.Name, c)
}

func (alb) weighted(in Input) []string {
	var actions []string
	for _, c := range routedComponents(in) {
		actions = append(actions, albAction(in, c))
	}
	return actions
}

// forward is an action that gives one color all the traffic, and keeps the other's targets registered.
func forward(in Input, c v1alpha1.ComponentName, leader v1alpha1.Color) string {
	type group struct {
		ServiceName string `json:"serviceName"`
		ServicePort string `json:"servicePort"`
		Weight      int32  `json:"weight"`
	}
	groups := make([]group, 0, len(world.Colors))
	for _, color := range world.Colors {
		groups = append(groups, group{
			ServiceName: plan.SlotName(in.Instance.Name, world.Slot{Component: c, Color: color}), ServicePort: fmt.Sprint(servicePort), Weight: weight(color == leader),
		})
	}
	encoded, err := json.Marshal(groups)
	if err != nil {
		return "" // strings and numbers always encode
	}
	return `{"type":"forward","forwardConfig":{"targetGroups":` + string(encoded) + `}}`
}

func (alb) path(in Input, b backend) *networkingv1ac.HTTPIngressPathApplyConfiguration {
	if b.color != "" {
		return plain{}.path(in, b)
	}
	return ingressPath(b.path, serviceName(in, b), networkingv1ac.ServiceBackendPort().WithName("use-annotation"))
}
