// Package gateway takes instances through cutovers behind a real Ingress controller and a real implementation of the Gateway API, on the real
// node and under load. It sees what users see and must import neither controllers nor workload.
package gateway

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/node"
)

const (
	address     = local.NodeIP + ":80"
	apiHost     = "api.example.org"
	previewHost = "preview.example.org"
)

// exposed are the ways in which users come through Traefik.
var exposed = map[string]v1alpha1.ExposureSpec{
	"Ingress":   {Type: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressSpec{ClassName: "traefik"}},
	"HTTPRoute": {Type: v1alpha1.ExposureGateway, Gateway: &v1alpha1.GatewaySpec{ParentRefs: []v1alpha1.GatewayParentRef{{Name: "local", Namespace: "gateway"}}}},
}

func TestCutoverBehindAGateway(t *testing.T) {
	node.Need(t)
	for _, name := range []string{"Ingress", "HTTPRoute"} {
		t.Run(name, func(t *testing.T) { through(t, name, exposed[name]) })
	}
}

func through(t *testing.T, kind string, exposure v1alpha1.ExposureSpec) {
	exposure.Hosts, exposure.FrontendHosts, exposure.PreviewHost = []v1alpha1.Hostname{apiHost}, []v1alpha1.Hostname{"example.org"}, previewHost
	var previews preview
	o := cutover.Options{
		Rate: 200, ConfirmSeconds: 10, RetentionSeconds: 15, With: "gateway", Address: address, Host: apiHost,
		Spec: func(s *v1alpha1.EngLogInstanceSpec) {
			s.Exposure = &exposure
			s.Config = &v1alpha1.ConfigSpec{TrustedProxies: []string{local.NodeIP + "/32"}}
			s.Rollout.Promotion = &v1alpha1.PromotionSpec{DelaySeconds: new(int32(8))} // time to look at the preview
		},
		During: func(step v1alpha1.Step) {
			if step == v1alpha1.StepAwaitingPromotion {
				previews.look(t.Context())
			}
		},
	}
	stage, err := cutover.Raise(t.Context(), o, &cutover.Lines{Out: node.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	if err := stage.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = cutover.Await(t.Context(), 30*time.Second, "Traefik to lead to the API", func(ctx context.Context) (bool, string, error) {
		_, status, err := ask(ctx, apiHost)
		return status == http.StatusOK, fmt.Sprint("it answers ", status), err
	})
	if err != nil {
		t.Fatal(err)
	}
	result, err := stage.Cutover(t.Context(), map[string]any{"version": cutover.VersionNew})
	if err != nil {
		t.Fatal(err)
	}
	result.Print(node.Log(t))
	unnoticed(t, result)
	if got := previews.answered(); !got[result.NewRevision] || len(got) > 1 {
		t.Errorf("the preview's host answered with %v before the promotion, want %s alone", got, result.NewRevision)
	}
	if kind == "HTTPRoute" {
		carried(t, stage)
	}
	if err := stage.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

func unnoticed(t *testing.T, r *cutover.Result) {
	t.Helper()
	if !r.Clean() {
		t.Errorf("users noticed the cutover: %+v", r)
	}
	for _, revision := range []string{r.OldRevision, r.NewRevision} {
		if spans := r.Load.By[revision]; spans["fresh"].Answers == 0 || spans["keep_alive"].Answers == 0 {
			t.Errorf("revision %q did not answer on both kinds of connections: %+v", revision, spans)
		}
	}
	// Traefik follows the API server every 2 s; the rest is room for a busy machine.
	if r.LastOldFreshMs > 6000 || r.LastOldKeepAliveMs > 6000 {
		t.Errorf("last old answers %v ms (fresh) and %v ms (keep-alive) after the switch", r.LastOldFreshMs, r.LastOldKeepAliveMs)
	}
}

// carried checks that the HTTPRoutes themselves were switched, with the epoch of the live Services.
func carried(t *testing.T, stage *cutover.Stage) {
	t.Helper()
	instance, err := stage.Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{cutover.Name, cutover.Name + "-frontend"} {
		r := &unstructured.Unstructured{}
		r.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"})
		if err := stage.Get(t.Context(), client.ObjectKey{Namespace: cutover.Namespace, Name: name}, r); err != nil {
			t.Fatal(err)
		}
		if got, want := r.GetAnnotations()["englog.io/rollout-epoch"], fmt.Sprint(instance.Status.Rollout.Epoch); got != want {
			t.Errorf("HTTPRoute %s has epoch %s, want %s", name, got, want)
		}
	}
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: cutover.Name}}
	if err := client.IgnoreNotFound(stage.Get(t.Context(), client.ObjectKeyFromObject(ingress), ingress)); err != nil || ingress.UID != "" {
		t.Errorf("there is an Ingress beside the HTTPRoutes: %v", err)
	}
}

// preview asks the preview's host while a candidate waits.
type preview struct {
	mu   sync.Mutex
	seen map[string]bool
}

// look asks until the candidate has answered, or would no longer be one.
func (p *preview) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			if revision, status, err := ask(ctx, previewHost); err == nil && status == http.StatusOK {
				p.mu.Lock()
				if p.seen == nil {
					p.seen = map[string]bool{}
				}
				p.seen[revision] = true
				p.mu.Unlock()
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
}

func (p *preview) answered() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// ask asks a host through Traefik on a connection of its own, and returns the revision that answered.
func ask(ctx context.Context, host string) (revision string, status int, err error) {
	path := "/health"
	if host == previewHost {
		path = "/api/v1/openapi.json" // below /api the preview leads to the API, elsewhere to the frontend
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return "", 0, err
	}
	request.Host, request.Close = host, true
	response, err := (&http.Client{Timeout: 2 * time.Second}).Do(request)
	if err != nil {
		return "", 0, err
	}
	return response.Header.Get("X-Englog-Revision"), response.StatusCode, response.Body.Close()
}
