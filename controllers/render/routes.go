package render

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1ac "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// routes leads the hosts of exposure to the live Services, and the preview's host to the candidate. An Ingress holds all hosts, so that one
// certificate covers them; it is rendered with the API. HTTPRoutes are one for each component. Routes that lead by weights are left to weights.
func routes(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	switch {
	case in.Spec.Exposure.Type == v1alpha1.ExposureIngress && e.Component == v1alpha1.API:
		if RouteProblem(&in.Spec) != "" {
			return nil, nil // told in words as a refusal of the spec; a half of a route would be worse than none
		}
		all := classOf(in.Spec.Exposure.Ingress.ClassName).companions(in)
		if len(Weighted(in.Instance, &in.Spec, in.Cluster)) > 0 {
			return all, nil
		}
		return append(one(ingressTo(in, e)), all...), nil
	case in.Spec.Exposure.Type == v1alpha1.ExposureGateway && in.Cluster.HTTPRoutes:
		return httpRoutes(in, e), nil
	default:
		return nil, nil
	}
}

// weights leads the hosts of exposure to both colors, one of which gets all requests: the switch is this one write.
func weights(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	for _, w := range Weighted(in.Instance, &in.Spec, in.Cluster) {
		switch {
		case w.Component != e.Component:
		case w.Kind == ingressKind:
			return one(ingressTo(in, e).WithAnnotations(epochOf(e))), nil
		default:
			r := httpRoute(in, e.Component, w.Name, hosts(in, e.Component)...).WithAnnotations(epochOf(e))
			r.Spec.WithRules(gatewayv1ac.HTTPRouteRule().WithBackendRefs(backendRefs(in, e)...))
			return one(r), nil
		}
	}
	return nil, nil
}

const (
	ingressKind   = "Ingress"
	httpRouteKind = "HTTPRoute"
)

// Weighted names the routes that lead by weights: an HTTPRoute for each component that has hosts, or the one Ingress of a class that can.
func Weighted(instance *v1alpha1.EngLogInstance, s *v1alpha1.EngLogInstanceSpec, cluster Cluster) []world.RouteRef {
	in := Input{Instance: instance, Spec: *s}
	var all []world.RouteRef
	switch {
	case s.Exposure.Type == v1alpha1.ExposureIngress && RouteProblem(s) == "":
		if actions := classOf(s.Exposure.Ingress.ClassName).weighted(in); len(actions) > 0 {
			all = append(all, world.RouteRef{Component: v1alpha1.API, Kind: ingressKind, Name: instance.Name, Actions: actions})
		}
	case s.Exposure.Type == v1alpha1.ExposureGateway && cluster.HTTPRoutes && s.Rollout.Traffic.Switch != v1alpha1.TrafficSwitchService:
		for _, c := range world.Routed {
			if len(hosts(in, c)) > 0 {
				all = append(all, world.RouteRef{Component: c, Kind: httpRouteKind, Name: routeName(in, c)})
			}
		}
	}
	return all
}

// routeName is the instance's for the API, and with the component's name for others.
func routeName(in Input, c v1alpha1.ComponentName) string {
	if c == v1alpha1.API {
		return in.Instance.Name
	}
	return plan.LiveName(in.Instance.Name, c)
}

// hosts are those that lead to a component.
func hosts(in Input, c v1alpha1.ComponentName) []v1alpha1.Hostname {
	switch {
	case c == v1alpha1.API:
		return in.Spec.Exposure.Hosts
	case c == v1alpha1.Frontend && in.frontend():
		return in.Spec.Exposure.FrontendHosts
	default:
		return nil
	}
}

func epochOf(e plan.Ensure) map[string]string {
	return map[string]string{EpochKey: strconv.FormatInt(e.Epoch, 10)}
}

// candidate is the color that is being verified, if there is one.
func (in Input) candidate() v1alpha1.Color {
	if c := in.Instance.Status.Candidate; c != nil {
		return c.Color
	}
	return ""
}

func (in Input) frontend() bool { return in.Spec.Frontend.Mode != v1alpha1.ModeDisabled }

// backend is one host or path with the component that answers for it.
type backend struct {
	host      v1alpha1.Hostname
	path      string
	component v1alpha1.ComponentName
	// color is set where one color is meant, whether users are sent to it or not.
	color v1alpha1.Color
}

// backends lists where each host leads. The preview host shows the candidate as users would see it: the pages, and the API below /api.
func backends(in Input) []backend {
	var all []backend
	for _, h := range in.Spec.Exposure.Hosts {
		all = append(all, backend{host: h, path: "/", component: v1alpha1.API})
	}
	if in.frontend() {
		for _, h := range in.Spec.Exposure.FrontendHosts {
			all = append(all, backend{host: h, path: "/", component: v1alpha1.Frontend})
		}
	}
	if h, color := in.Spec.Exposure.PreviewHost, in.candidate(); h != "" && color != "" {
		if in.frontend() {
			all = append(all, backend{host: h, path: "/api", component: v1alpha1.API, color: color}, backend{host: h, path: "/", component: v1alpha1.Frontend, color: color})
		} else {
			all = append(all, backend{host: h, path: "/", component: v1alpha1.API, color: color})
		}
	}
	return all
}

func serviceName(in Input, b backend) string {
	if b.color != "" {
		return plan.SlotName(in.Instance.Name, world.Slot{Component: b.component, Color: b.color})
	}
	return plan.LiveName(in.Instance.Name, b.component)
}

// ingressTo is the one Ingress. Where its class leads by weights, they follow the color that is ensured.
func ingressTo(in Input, e plan.Ensure) *networkingv1ac.IngressApplyConfiguration {
	class := classOf(in.Spec.Exposure.Ingress.ClassName)
	annotations := maps.Clone(in.Spec.Exposure.Ingress.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(annotations, certificateAnnotations(in.Spec.Exposure.TLS))
	maps.Copy(annotations, class.annotations(in, e.Color))
	rules := make([]*networkingv1ac.IngressRuleApplyConfiguration, 0, len(backends(in)))
	for _, b := range backends(in) {
		path := class.path(in, b)
		if n := len(rules); n > 0 && *rules[n-1].Host == string(b.host) {
			rules[n-1].HTTP.WithPaths(path)
			continue
		}
		rules = append(rules, networkingv1ac.IngressRule().WithHost(string(b.host)).WithHTTP(networkingv1ac.HTTPIngressRuleValue().WithPaths(path)))
	}
	spec := networkingv1ac.IngressSpec().WithRules(rules...)
	if name := in.Spec.Exposure.Ingress.ClassName; name != "" {
		spec.WithIngressClassName(name)
	}
	if tls := ingressTLS(in); tls != nil {
		spec.WithTLS(tls)
	}
	return networkingv1ac.Ingress(in.Instance.Name, in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, "")).WithAnnotations(annotations).WithOwnerReferences(in.owner()).WithSpec(spec)
}

func ingressPath(path, service string, port *networkingv1ac.ServiceBackendPortApplyConfiguration) *networkingv1ac.HTTPIngressPathApplyConfiguration {
	return networkingv1ac.HTTPIngressPath().WithPath(path).WithPathType(networkingv1.PathTypePrefix).WithBackend(
		networkingv1ac.IngressBackend().WithService(networkingv1ac.IngressServiceBackend().WithName(service).WithPort(port)))
}

// certificateAnnotations ask cert-manager for the certificate.
func certificateAnnotations(tls *v1alpha1.TLSSpec) map[string]string {
	if tls.Type != v1alpha1.TLSCertManager || tls.CertManager == nil {
		return nil
	}
	key := "cert-manager.io/cluster-issuer"
	if tls.CertManager.IssuerRef.Kind == v1alpha1.IssuerKindIssuer {
		key = "cert-manager.io/issuer"
	}
	return map[string]string{key: tls.CertManager.IssuerRef.Name}
}

func ingressTLS(in Input) *networkingv1ac.IngressTLSApplyConfiguration {
	secret := ""
	switch t := in.Spec.Exposure.TLS; t.Type {
	case v1alpha1.TLSSecret:
		secret = t.Secret.Name
	case v1alpha1.TLSCertManager:
		secret = cmp.Or(t.CertManager.SecretName, in.Instance.Name+"-tls")
	case v1alpha1.TLSNone:
		return nil
	}
	tls := networkingv1ac.IngressTLS().WithSecretName(secret)
	for _, h := range certified(in) {
		tls.WithHosts(string(h))
	}
	return tls
}

// certified lists the hosts of the certificate. The preview's is always one of them: a certificate that came and went with each candidate would
// be made anew in every rollout.
func certified(in Input) []v1alpha1.Hostname {
	hosts := slices.Clone(in.Spec.Exposure.Hosts)
	if in.frontend() {
		hosts = append(hosts, in.Spec.Exposure.FrontendHosts...)
	}
	if h := in.Spec.Exposure.PreviewHost; h != "" {
		hosts = append(hosts, h)
	}
	return hosts
}

// httpRoutes are a component's HTTPRoute where that leads to the live Service and, while a candidate is verified, the preview's.
func httpRoutes(in Input, e plan.Ensure) []runtime.ApplyConfiguration {
	var routes []runtime.ApplyConfiguration
	if hosts := hosts(in, e.Component); len(hosts) > 0 && len(Weighted(in.Instance, &in.Spec, in.Cluster)) == 0 {
		r := httpRoute(in, e.Component, routeName(in, e.Component), hosts...)
		r.Spec.WithRules(gatewayv1ac.HTTPRouteRule().WithBackendRefs(backendRef(plan.LiveName(in.Instance.Name, e.Component))))
		routes = append(routes, r)
	}
	if e.Component == v1alpha1.API {
		routes = append(routes, previewRoute(in)...)
	}
	return routes
}

func httpRoute(in Input, c v1alpha1.ComponentName, name string, hosts ...v1alpha1.Hostname) *gatewayv1ac.HTTPRouteApplyConfiguration {
	spec := gatewayv1ac.HTTPRouteSpec()
	for _, p := range in.Spec.Exposure.Gateway.ParentRefs {
		ref := gatewayv1ac.ParentReference().WithName(gatewayv1.ObjectName(p.Name))
		if p.Namespace != "" {
			ref.WithNamespace(gatewayv1.Namespace(p.Namespace))
		}
		if p.SectionName != "" {
			ref.WithSectionName(gatewayv1.SectionName(p.SectionName))
		}
		spec.WithParentRefs(ref)
	}
	for _, h := range hosts {
		spec.WithHostnames(gatewayv1.Hostname(h))
	}
	return gatewayv1ac.HTTPRoute(name, in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, string(c))).WithOwnerReferences(in.owner()).WithSpec(spec)
}

// backendRefs are both colors, with all the weight on the one that is ensured.
func backendRefs(in Input, e plan.Ensure) []*gatewayv1ac.HTTPBackendRefApplyConfiguration {
	refs := make([]*gatewayv1ac.HTTPBackendRefApplyConfiguration, 0, len(world.Colors))
	for _, color := range world.Colors {
		refs = append(refs, backendRef(plan.SlotName(in.Instance.Name, world.Slot{Component: e.Component, Color: color})).WithWeight(weight(color == e.Color)))
	}
	return refs
}

func weight(leads bool) int32 {
	if leads {
		return 100
	}
	return 0
}

func backendRef(service string) *gatewayv1ac.HTTPBackendRefApplyConfiguration {
	return gatewayv1ac.HTTPBackendRef().WithName(gatewayv1.ObjectName(service)).WithPort(servicePort)
}

// previewRoute is the preview host's, which exists while a candidate does.
func previewRoute(in Input) []runtime.ApplyConfiguration {
	var r *gatewayv1ac.HTTPRouteApplyConfiguration
	for _, b := range backends(in) {
		if b.color == "" {
			continue
		}
		if r == nil {
			r = httpRoute(in, "", in.Instance.Name+"-preview", b.host)
		}
		r.Spec.WithRules(gatewayv1ac.HTTPRouteRule().
			WithMatches(gatewayv1ac.HTTPRouteMatch().WithPath(gatewayv1ac.HTTPPathMatch().WithType(gatewayv1.PathMatchPathPrefix).WithValue(b.path))).
			WithBackendRefs(backendRef(serviceName(in, b))))
	}
	if r == nil {
		return nil
	}
	return one(r)
}

// RouteProblem says what of a resolved spec's exposure cannot be rendered for its Ingress class, with the remedy; empty when all can.
func RouteProblem(s *v1alpha1.EngLogInstanceSpec) string {
	if s.Exposure.Type != v1alpha1.ExposureIngress {
		return ""
	}
	name := s.Exposure.Ingress.ClassName
	class := classOf(name)
	if s.Exposure.RateLimit.Enforcement == v1alpha1.RateLimitApplicationAndIngress && !class.limits() {
		return "spec.exposure.rateLimit.enforcement: ApplicationAndIngress is known for the classes " + limitingClasses + " and not for " + quoted(name) +
			": set spec.exposure.ingress.className to one of them, or enforcement to Application"
	}
	if s.Exposure.HTTPSRedirect == v1alpha1.ModeEnabled && !class.redirects() {
		return "spec.exposure.httpsRedirect: how class " + quoted(name) + " redirects to https is not known: set httpsRedirect to Disabled and, if the " +
			"class has an annotation for it, add that to spec.exposure.ingress.annotations"
	}
	return ""
}

// Lacking says which kinds a resolved spec needs that the cluster does not know, with the remedy.
func Lacking(s *v1alpha1.EngLogInstanceSpec, cluster Cluster) []string {
	in := Input{Spec: *s}
	switch {
	case s.Exposure.Type == v1alpha1.ExposureGateway && !cluster.HTTPRoutes:
		return []string{"spec.exposure.type: Gateway needs the kind HTTPRoute of gateway.networking.k8s.io/v1, which this cluster does not know, so no host leads here: " +
			"install the definitions of the Gateway API, or set type to Ingress"}
	case s.Exposure.Type == v1alpha1.ExposureIngress && classOf(s.Exposure.Ingress.ClassName) == class(traefik{}) && (limited(in) || redirect(in)) && !cluster.Middlewares:
		return []string{"spec.exposure: the redirect to https and the rate limit of class " + quoted(s.Exposure.Ingress.ClassName) + " need the kind Middleware of traefik.io/v1alpha1, " +
			"which this cluster does not know, so they are left out: install Traefik's definitions, or set httpsRedirect to Disabled and rateLimit.enforcement to Application"}
	default:
		return nil
	}
}

func quoted(class string) string {
	if class == "" {
		return "the cluster's default"
	}
	return strconv.Quote(class)
}
