package capacity

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
	"github.com/garnizeh/englog-operator/test/node"
)

// The sample's own names.
const production = "englog"

// production: the sample as it stands, at its least replicas, through to Ready and through a cutover under load.
func (r *rig) production(t *testing.T) {
	file, err := filepath.Abs(filepath.Join("..", "..", "config", "samples", "production.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(manifest), "\n"); lines > 40 {
		t.Errorf("the sample has %d lines, more than 40", lines)
	}
	if err := r.Remove(t.Context()); err != nil { // the demo's instance: the node has two cores
		t.Fatal(err)
	}
	r.secretOf(t)
	t.Cleanup(func() { r.removeProduction(t) })
	if _, err := r.Kubectl(t.Context(), "apply", "--server-side", "-f", file); err != nil {
		t.Fatal(err)
	}
	i := r.produced(t, 4*time.Minute, "Ready", func(i *v1alpha1.EngLogInstance) bool {
		return strings.HasPrefix(condition(i, v1alpha1.ConditionReady), "True")
	})
	r.atLeastReplicas(t, i)
	cfg := r.productionLoad(t)
	accounts, _, err := load.Prepare(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, entries := node.UnderLoad(t, cfg, accounts, func() {
		// The sample keeps the old version for ten minutes, more than the rest of this takes.
		r.patchProduction(t, `{"spec":{"version":"`+cutover.VersionNew+`","rollout":{"retentionSeconds":60}}}`)
		i = r.produced(t, 5*time.Minute, "the end of the cutover", func(i *v1alpha1.EngLogInstance) bool {
			return inStep(v1alpha1.StepStable)(i) && i.Status.Active.Version == cutover.VersionNew
		})
	})
	if ready := condition(i, v1alpha1.ConditionReady); !strings.HasPrefix(ready, "True") {
		t.Errorf("Ready is %s", ready)
	}
	check, err := load.CheckEntries(t.Context(), cfg, load.CheckConfig{Within: time.Second}, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Their tasks wait: the sample's providers of insights are outside of this machine.
	if t.Logf("%d entries were acknowledged, %d lost", check.Entries, check.LostEntries); check.LostEntries > 0 || check.Entries == 0 {
		t.Errorf("%+v", check.Samples)
	}
}

// secretOf makes the namespace, the stores and the Secret that the sample's head names.
func (r *rig) secretOf(t *testing.T) {
	t.Helper()
	node.Elsewhere(t, r.WithWatch, production)
	uri, err := r.Tool(t.Context(), "create-database", production, "--fresh")
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := address.User.Password()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: production, Name: production + "-secrets"}, StringData: map[string]string{
		"DB_PASSWORD": password, "JWT_SECRET": strings.Repeat("journal-", 8), "SESSION_KEY": strings.Repeat("session-", 8),
		"OPENAI_API_KEY": "no-such-key", "AZURE_API_KEY": "no-such-key",
	}}
	if err := errors.Join(client.IgnoreNotFound(r.Delete(t.Context(), secret.DeepCopy())), r.Create(t.Context(), secret)); err != nil {
		t.Fatal(err)
	}
}

// removeProduction deletes the instance and what was made for it.
func (r *rig) removeProduction(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	_, deleteErr := r.Kubectl(ctx, "-n", production, "delete", "englog", production, "--ignore-not-found")
	_, err := r.Kubectl(ctx, "delete", "namespace", production, "--wait")
	_, dropErr := r.Tool(ctx, "drop-database", production)
	if err := errors.Join(deleteErr, err, dropErr); err != nil {
		t.Error(err)
	}
}

func (r *rig) patchProduction(t *testing.T, patch string) {
	t.Helper()
	i := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: production, Name: production}}
	if err := r.Patch(t.Context(), i, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// produced awaits a state of the sample's instance.
func (r *rig) produced(t *testing.T, within time.Duration, what string, done func(*v1alpha1.EngLogInstance) bool) *v1alpha1.EngLogInstance {
	t.Helper()
	i := &v1alpha1.EngLogInstance{}
	err := cutover.Await(t.Context(), within, what, func(ctx context.Context) (bool, string, error) {
		err := r.Get(ctx, client.ObjectKey{Namespace: production, Name: production}, i)
		return err == nil && done(i), condition(i, v1alpha1.ConditionReconciling), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// atLeastReplicas looks at what the document's production set-up consists of.
func (r *rig) atLeastReplicas(t *testing.T, i *v1alpha1.EngLogInstance) {
	t.Helper()
	list := &corev1.PodList{}
	if err := r.List(t.Context(), list, client.InNamespace(production)); err != nil {
		t.Fatal(err)
	}
	ready := map[string]int{}
	for _, p := range list.Items {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				ready[p.Labels["app.kubernetes.io/component"]]++
			}
		}
	}
	if ready["api"] < 3 || ready["worker"] != 2 || ready["frontend"] != 2 {
		t.Errorf("ready pods: %v", ready)
	}
	hosts := map[string]string{}
	ingresses := &networkingv1.IngressList{}
	if err := r.List(t.Context(), ingresses, client.InNamespace(production)); err != nil {
		t.Fatal(err)
	}
	for _, g := range ingresses.Items {
		for _, rule := range g.Spec.Rules {
			hosts[rule.Host] = *g.Spec.IngressClassName
		}
	}
	if hosts["api.englog.io"] != "nginx" || hosts["englog.io"] != "nginx" {
		t.Errorf("hosts and their Ingress classes: %v", hosts)
	}
	t.Logf("%s is Ready in %s with %v, hosts %v", i.Spec.Version, i.Status.Active.Color, ready, hosts)
}

// productionLoad is load on the sample's live API Service.
func (r *rig) productionLoad(t *testing.T) load.Config {
	t.Helper()
	var service corev1.Service
	if err := r.Get(t.Context(), client.ObjectKey{Namespace: production, Name: production + "-api"}, &service); err != nil {
		t.Fatal(err)
	}
	return load.Config{Address: service.Spec.ClusterIP + ":80", Host: "api.englog.io", Rate: rate / 2, Sources: cutover.Sources(), Users: 50}
}
