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

var routeOfAPI = plan.Ensure{Kind: plan.Route, Component: v1alpha1.API}

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
		for _, o := range mustRender(t, in, routeOfAPI) {
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
		if n := len(mustRender(t, in, routeOfAPI)); (n == 0) != (c.says != "") {
			t.Errorf("X43 %+v: %d objects are rendered", c, n)
		}
	}
}

// A weighted route never names a Service that is not there yet, and shows no backend before a color leads.
func TestWeightsFollowTheLeader(t *testing.T) {
	for _, c := range []struct {
		name   string
		leader v1alpha1.Color
		exist  []v1alpha1.Color
		want   []string
	}{
		{"before the first switch", "", nil, nil},
		{"one color", v1alpha1.Blue, []v1alpha1.Color{v1alpha1.Blue}, []string{"journal-api-blue 100"}},
		{"a candidate", v1alpha1.Blue, v1Colors, []string{"journal-api-blue 100", "journal-api-green 0"}},
		{"after the switch", v1alpha1.Green, v1Colors, []string{"journal-api-blue 0", "journal-api-green 100"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := load(t, "staging")
			in.World.Routes, in.World.Previews = routesTo(c.leader), map[world.Slot]world.Endpoints{}
			for _, color := range c.exist {
				in.World.Previews[world.Slot{Component: v1alpha1.API, Color: color}] = world.Endpoints{}
			}
			if got := backendsOf(t, mustRender(t, in, routeOfAPI)); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

var v1Colors = []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green}

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
	in.Cluster.HTTPRoutes = false
	if got := mustRender(t, in, routeOfAPI); got != nil {
		t.Errorf("%d routes are rendered in a cluster that does not know them", len(got))
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
