package adoption

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
	"github.com/garnizeh/englog-operator/test/node"
	"github.com/garnizeh/englog-operator/test/provider"
)

const (
	namespace = "englog"
	host      = "api.englog.io"
	gateway   = local.NodeIP + ":80"
	rate      = 60
	root      = "../.."
)

// rig is an installation made from the document's manifests.
type rig struct {
	*cutover.Stage

	admin    string // the superuser's address of the installation's database
	role     string // password of the role that the page makes
	cfg      load.Config
	accounts *load.Accounts
}

func newRig(t *testing.T) *rig {
	t.Helper()
	stage, err := cutover.Raise(t.Context(), cutover.Options{With: "gateway"}, &cutover.Lines{Out: node.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stage.Close)
	r := &rig{Stage: stage, role: rand.Text(), admin: strings.Replace(local.AdminURI(), "/postgres?", "/"+namespace+"?", 1)}
	r.clear(t)
	t.Cleanup(func() { r.clear(t) })
	key := rand.Text()
	provider.Listen(t, key)
	r.stores(t)
	r.original(t, key)
	r.load(t)
	return r
}

// clear takes away what a run has left, this one or one that was broken off.
func (r *rig) clear(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	defer cancel()
	_, err := r.Kubectl(ctx, "delete", "namespace", namespace, "--wait", "--ignore-not-found")
	_, dropErr := r.Tool(ctx, "drop-database", namespace)
	if err := errors.Join(err, dropErr); err != nil {
		t.Error(err)
	}
}

// stores makes the namespace and the database as the document has them. The database is the superuser's, and so is what is in it: the document's
// pods know no other role.
func (r *rig) stores(t *testing.T) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"name": namespace, "environment": "production"}}}
	if err := r.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	node.Elsewhere(t, r.WithWatch, namespace)
	psql(t, local.AdminURI(), "CREATE DATABASE "+namespace)
	migrate := exec.CommandContext(t.Context(), r.binary(t), "migrate", "up", "--phase", "expand")
	migrate.Env = []string{"DATABASE_URL=" + r.admin, "TERMINATION_LOG=" + os.DevNull}
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// binary is the service as the old installation runs it.
func (*rig) binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, ".cache", "demo", "englog-"+cutover.VersionOld, "englog"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// original applies the document's manifests. What they take from outside stands here: the images' commands and the platform's accounts, no
// registry to pull from, Traefik instead of nginx, and the address of the provider.
func (r *rig) original(t *testing.T, key string) {
	t.Helper()
	config, service, ingress := documented(t, &corev1.ConfigMap{}, "configmap"), documented(t, &corev1.Service{}, "service"), documented(t, &networkingv1.Ingress{}, "ingress")
	config.Data["OPENAI_BASE_URL"] = provider.BaseURL
	ingress.Annotations["kubernetes.io/ingress.class"] = "traefik"
	objects := []client.Object{config, service, ingress, documented(t, &autoscalingv2.HorizontalPodAutoscaler{}, "hpa"), r.secret(key)}
	for _, role := range []string{"api", "worker"} {
		image := "docker.io/englog/" + role + ":latest"
		if _, err := r.Tool(t.Context(), "load-image", image, r.binary(t)); err != nil {
			t.Fatal(err)
		}
		d := documented(t, &appsv1.Deployment{}, role+"-deployment")
		d.Spec.Template.Spec.Containers[0].Args = []string{role}
		d.Spec.Template.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
		objects = append(objects, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: d.Spec.Template.Spec.ServiceAccountName}}, d)
	}
	for _, o := range objects {
		if err := r.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"englog-api", "englog-worker"} {
		if _, err := r.Kubectl(t.Context(), "-n", namespace, "wait", "deployment/"+d, "--for=condition=Available", "--timeout=2m"); err != nil {
			t.Fatal(err)
		}
	}
}

// documented reads one of the document's manifests.
func documented[T client.Object](t *testing.T, o T, file string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "controllers", "render", "testdata", "document", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, o); err != nil {
		t.Fatal(err)
	}
	return o
}

// secret holds the keys of the document, and no others.
func (*rig) secret(key string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "englog-secrets"}, StringData: map[string]string{
		"DB_PASSWORD": local.PostgresPassword, "JWT_SECRET": rand.Text() + rand.Text(), "OPENAI_API_KEY": key, "AZURE_API_KEY": "no-such-key",
	}}
}

// load makes users, through the Ingress.
func (r *rig) load(t *testing.T) {
	t.Helper()
	err := cutover.Await(t.Context(), time.Minute, "Traefik to lead to the old API", func(ctx context.Context) (bool, string, error) {
		revision, err := r.answer(ctx)
		return err == nil && revision == old, revision, err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.cfg = load.Config{Address: gateway, Host: host, Rate: rate, Sources: cutover.Sources()}
	if r.accounts, _, err = load.Prepare(t.Context(), r.cfg, nil); err != nil {
		t.Fatal(err)
	}
}

// answer asks the API through the Ingress, on a connection of its own, and returns the revision that answered.
func (*rig) answer(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+gateway+"/health", http.NoBody)
	if err != nil {
		return "", err
	}
	request.Host, request.Close = host, true
	response, err := (&http.Client{Timeout: 2 * time.Second}).Do(request)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET /health answered %s", response.Status)
	}
	return response.Header.Get("X-Englog-Revision"), errors.Join(err, response.Body.Close())
}

// readPage is the how-to, by its headings.
func readPage(t *testing.T) map[string][]block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "how-to", "adopt.md"))
	if err != nil {
		t.Fatal(err)
	}
	return blocks(string(text))
}

// execute runs a block as the page says, with the local cluster's kubectl.
func (r *rig) execute(t *testing.T, b block) {
	t.Helper()
	switch b.language {
	case "sql":
		psql(t, r.admin, b.text, "-v", "password="+r.role)
	case "yaml":
		// The provider is this test's, not OpenAI's own.
		manifest := strings.Replace(b.text, "type: OpenAI}", "type: OpenAI, openAI: {baseURL: '"+provider.BaseURL+"'}}", 1)
		r.shell(t, "kubectl apply -f - <<'EOF'\n"+manifest+"EOF\n")
	case "sh":
		r.shell(t, b.text)
	default:
		t.Fatalf("nobody knows how to run %q:\n%s", b.language, b.text)
	}
}

func (r *rig) shell(t *testing.T, script string) {
	t.Helper()
	environment, err := r.Tool(t.Context(), "env")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", environment+"\n"+script)
	cmd.Env = append(os.Environ(), "PASSWORD="+r.role)
	if out, err := cmd.CombinedOutput(); err != nil {
		told, _ := r.Kubectl(context.WithoutCancel(t.Context()), "-n", namespace, "get", "pods,events,englog", "-o", "wide")
		t.Fatalf("%s\n%v: %s\n%s", script, err, out, told)
	}
}

// psql runs a script with the newest client that is installed, which may stand beside the server only.
func psql(t *testing.T, address, script string, args ...string) {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql")
	if len(found) == 0 {
		t.Fatal("no psql in /usr/lib/postgresql")
	}
	cmd := exec.CommandContext(t.Context(), found[len(found)-1], append([]string{"--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-f", "-", address}, args...)...)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v: %s", script, err, out)
	}
}
