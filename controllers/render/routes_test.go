package render

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

var (
	routeOfAPI   = plan.Ensure{Kind: plan.Route, Component: v1alpha1.API}
	weightsOfAPI = plan.Ensure{Kind: plan.Weights, Component: v1alpha1.API, Color: v1alpha1.Green, Epoch: 3}
)

// What each class of Ingress needs, with a candidate under verification.
func TestIngressClasses(t *testing.T) {
	files := map[string]*bytes.Buffer{}
	for _, name := range []string{"nginx", "traefik", "alb"} {
		in := load(t, "production")
		in.Spec.Exposure.Ingress.ClassName = name
		in.Spec.Exposure.PreviewHost = "preview.englog.io"
		in.Instance.Status.Candidate = &v1alpha1.RevisionStatus{Color: v1alpha1.Blue, Revision: blue}
		if name == "alb" {
			in.Spec.Exposure.RateLimit.Enforcement = v1alpha1.RateLimitApplication
		}
		files[name+".yaml"] = &bytes.Buffer{}
		for _, o := range append(mustRender(t, in, routeOfAPI), mustRender(t, in, weightsOfAPI)...) {
			out, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			files[name+".yaml"].WriteString("---\n" + string(out))
		}
	}
	compare(t, filepath.Join("testdata", "classes"), files)
}

// X43: what a class cannot do is refused in words, never left out in silence.
func TestUnknownClassesAreRefused(t *testing.T) {
	for _, c := range []struct {
		class, says string
		limit       v1alpha1.RateLimitEnforcement
		redirect    v1alpha1.Mode
	}{
		{"nginx", "", v1alpha1.RateLimitApplicationAndIngress, v1alpha1.ModeEnabled},
		{"nginx-internal", "", v1alpha1.RateLimitApplicationAndIngress, v1alpha1.ModeEnabled},
		{"external-traefik", "", v1alpha1.RateLimitApplicationAndIngress, v1alpha1.ModeEnabled},
		{"alb", "rateLimit.enforcement", v1alpha1.RateLimitApplicationAndIngress, v1alpha1.ModeEnabled},
		{"alb", "", v1alpha1.RateLimitApplication, v1alpha1.ModeEnabled},
		{"haproxy", "rateLimit.enforcement", v1alpha1.RateLimitApplicationAndIngress, v1alpha1.ModeDisabled},
		{"haproxy", "httpsRedirect", v1alpha1.RateLimitApplication, v1alpha1.ModeEnabled},
		{"haproxy", "", v1alpha1.RateLimitApplication, v1alpha1.ModeDisabled},
		{"", "the cluster's default", v1alpha1.RateLimitApplicationAndIngress, v1alpha1.ModeDisabled},
	} {
		in := load(t, "production")
		in.Spec.Exposure.Ingress.ClassName, in.Spec.Exposure.RateLimit.Enforcement, in.Spec.Exposure.HTTPSRedirect = c.class, c.limit, c.redirect
		problem := RouteProblem(&in.Spec)
		if (problem == "") != (c.says == "") || !strings.Contains(problem, c.says) {
			t.Errorf("X43 %+v: got %q", c, problem)
		}
		if n := len(mustRender(t, in, routeOfAPI)) + len(mustRender(t, in, weightsOfAPI)); (n == 0) != (c.says != "") {
			t.Errorf("X43 %+v: %d objects are rendered", c, n)
		}
	}
}

// Both colors stand in a weighted route from the start, whether their pods do or not; the one that is ensured has all the weight.
func TestWeightsAreThoseOfTheWrite(t *testing.T) {
	for _, c := range []struct {
		component v1alpha1.ComponentName
		color     v1alpha1.Color
		want      []string
	}{
		{v1alpha1.API, v1alpha1.Blue, []string{"journal-api-blue 100", "journal-api-green 0"}},
		{v1alpha1.API, v1alpha1.Green, []string{"journal-api-blue 0", "journal-api-green 100"}},
		{v1alpha1.Frontend, v1alpha1.Green, []string{"journal-frontend-blue 0", "journal-frontend-green 100"}},
		{v1alpha1.Worker, v1alpha1.Green, nil},
	} {
		in := load(t, "staging")
		in.World.Routes = routesTo(v1alpha1.Blue) // where users are now changes nothing
		e := plan.Ensure{Kind: plan.Weights, Component: c.component, Color: c.color, Epoch: 9}
		objects := mustRender(t, in, e)
		if got := backendsOf(t, objects); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: got %v, want %v", c.component, c.color, got, c.want)
		}
		if len(objects) > 0 && decode(t, objects[0]).Metadata.Annotations[EpochKey] != "9" {
			t.Errorf("%s %s: no epoch in %s", c.component, c.color, text(t, objects))
		}
		if e.Kind = plan.Route; c.component == v1alpha1.API && len(mustRender(t, in, e)) != 0 {
			t.Errorf("the weighted route of the %s is rendered twice", c.component)
		}
	}
}

// The one Ingress of alb leads to both components' colors; those of other classes never change in a switch.
func TestWeightsOfIngresses(t *testing.T) {
	in := load(t, "production")
	e := plan.Ensure{Kind: plan.Weights, Component: v1alpha1.API, Color: v1alpha1.Green, Epoch: 9}
	if got := mustRender(t, in, e); len(got) != 0 {
		t.Errorf("class nginx: %d objects lead by weights", len(got))
	}
	in.Spec.Exposure.Ingress.ClassName, in.Spec.Exposure.RateLimit.Enforcement = "alb", v1alpha1.RateLimitApplication
	annotations := decode(t, mustRender(t, in, e)[0]).Metadata.Annotations
	for _, c := range []string{"api", "frontend"} {
		action := annotations["alb.ingress.kubernetes.io/actions.englog-"+c]
		for _, want := range []string{`"englog-` + c + `-blue","servicePort":"80","weight":0`, `"englog-` + c + `-green","servicePort":"80","weight":100`} {
			if !strings.Contains(action, want) {
				t.Errorf("%s: %s, want %s", c, action, want)
			}
		}
	}
	if annotations[EpochKey] != "9" || len(mustRender(t, in, routeOfAPI)) != 0 {
		t.Errorf("epoch %q; beside the weights %d objects", annotations[EpochKey], len(mustRender(t, in, routeOfAPI)))
	}
}

func backendsOf(t *testing.T, objects []runtime.ApplyConfiguration) []string {
	t.Helper()
	var all []string
	for _, o := range objects {
		route, err := convert[struct {
			Spec struct {
				Rules []struct {
					BackendRefs []struct {
						Name   string `json:"name"`
						Weight *int32 `json:"weight"`
					} `json:"backendRefs"`
				} `json:"rules"`
			} `json:"spec"`
		}](o)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range route.Spec.Rules {
			for _, b := range r.BackendRefs {
				line := b.Name
				if b.Weight != nil {
					line += " " + number(*b.Weight)
				}
				all = append(all, line)
			}
		}
	}
	return all
}

// With the switch on the Services, an HTTPRoute leads to the live Service and never changes.
func TestRouteToLiveService(t *testing.T) {
	in := load(t, "staging")
	in.Spec.Rollout.Traffic.Switch = v1alpha1.TrafficSwitchService
	if got, want := backendsOf(t, mustRender(t, in, routeOfAPI)), []string{"journal-api"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := mustRender(t, in, weightsOfAPI); got != nil {
		t.Errorf("%d routes lead by weights", len(got))
	}
	in.Cluster.HTTPRoutes = false
	if got := mustRender(t, in, routeOfAPI); got != nil {
		t.Errorf("%d routes are rendered in a cluster that does not know them", len(got))
	}
}

// What a spec needs and the cluster does not know is told in words, and is left out rather than half made.
func TestUnknownKindsAreToldOf(t *testing.T) {
	gateway, traefik, nginx := load(t, "staging"), load(t, "production"), load(t, "production")
	traefik.Spec.Exposure.Ingress.ClassName = "traefik"
	for name, c := range map[string]struct {
		in    Input
		says  string
		knows Cluster
	}{
		"no HTTPRoutes":  {gateway, "install the definitions of the Gateway API", Cluster{Middlewares: true}},
		"HTTPRoutes":     {gateway, "", Cluster{HTTPRoutes: true}},
		"no Middlewares": {traefik, "install Traefik's definitions", Cluster{HTTPRoutes: true}},
		"Middlewares":    {traefik, "", Cluster{Middlewares: true}},
		"nothing needed": {nginx, "", Cluster{}},
	} {
		if got := strings.Join(Lacking(&c.in.Spec, c.knows), ""); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
	traefik.Cluster.Middlewares = false
	if out := text(t, mustRender(t, traefik, routeOfAPI)); strings.Contains(strings.ToLower(out), "middleware") {
		t.Errorf("without Middlewares: %s", out)
	}
}

// X42: without a frontend no host leads to one.
func TestDisabledFrontend(t *testing.T) {
	in := load(t, "production")
	in.Spec.Frontend.Mode = v1alpha1.ModeDisabled
	out := text(t, mustRender(t, in, routeOfAPI))
	if strings.Contains(out, "englog-frontend") || strings.Contains(out, `"englog.io"`) {
		t.Errorf("the Ingress leads to a frontend that is not there: %s", out)
	}
}

// A move shows its epoch, and nothing that depends on what is there now: preconditions belong to the write.
func TestMovesCarryTheirEpochAlone(t *testing.T) {
	in := load(t, "staging")
	e := plan.Ensure{Kind: plan.LiveService, Component: v1alpha1.API, Color: v1alpha1.Blue, Revision: blue, Epoch: 9, Identity: world.Identity{UID: "u", ResourceVersion: "5"}}
	s := decode(t, mustRender(t, in, e)[0])
	if s.Metadata.UID != "" || s.Metadata.ResourceVersion != "" || s.Metadata.Annotations[EpochKey] != "9" {
		t.Errorf("got uid %q, resourceVersion %q, epoch %q", s.Metadata.UID, s.Metadata.ResourceVersion, s.Metadata.Annotations[EpochKey])
	}
}
