package managed

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

const strangers = "englog-strangers"

// Who tries to connect: pods that carry the labels of the instance's own, pods of other namespaces, and this process, which
// is a client outside of the cluster.
const (
	stranger   = strangers + "/stranger"
	monitor    = "monitoring/monitor"
	neighbour  = cutover.OperatorNamespace + "/neighbour"
	asWorker   = namespace + "/as-worker"
	asFrontend = namespace + "/as-frontend"
	asDatabase = namespace + "/as-database"
	outsider   = "outside"
)

// Where they connect to beside the instance's pods. The first two are addresses of this machine on the cluster's link, the
// last one stands for what clouds keep in the link-local range.
const (
	outside   = "10.88.0.101:443"
	elsewhere = "10.88.0.102:443"
	linkLocal = "169.254.77.1:443"
)

// connection is one attempt. The target may name a component's pod.
type connection struct {
	from, to string
	open     bool
}

var byDefault = []connection{
	{outsider, "api:8080", true}, {outsider, "api:8081", false}, {outsider, "frontend:8080", true}, {outsider, "database:5432", false},
	{stranger, "api:8080", true}, {stranger, "api:8081", false}, {stranger, "worker:8081", false}, {stranger, "frontend:8081", false},
	{stranger, "database:5432", false}, {stranger, "cache:6379", false},
	{stranger, outside, true}, {stranger, linkLocal, true}, // no policy is about it: both are there
	{monitor, "api:8081", true}, {monitor, "worker:8081", true}, {monitor, "frontend:8081", true}, {monitor, "database:5432", false},
	{neighbour, "api:8081", true}, {neighbour, "worker:8081", true}, {neighbour, "cache:6379", false},
	{asWorker, "database:5432", true}, {asWorker, "cache:6379", true}, {asWorker, outside, true}, {asWorker, linkLocal, false},
	{asFrontend, "short-api." + namespace + ".svc:80", true}, // by its name: DNS too
	{asFrontend, outside, false}, {asFrontend, "database:5432", false}, {asFrontend, local.Postgres, false},
	{asDatabase, outside, false}, {asDatabase, "cache:6379", false},
}

// strict names who may come and where the pods may go.
const strict = `{"spec":{"networkPolicy":{"mode":"Strict","peers":[
{"name":"strangers","direction":"Ingress","peer":{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"englog-strangers"}}}},
{"name":"provider","direction":"Egress","ports":[443],"peer":{"ipBlock":{"cidr":"10.88.0.101/32"}}}]}}}`

var whenStrict = []connection{
	{outsider, "api:8080", false}, {monitor, "api:8080", false}, {monitor, "api:8081", true}, {neighbour, "api:8080", true},
	{stranger, "api:8080", true}, {stranger, "api:8081", false}, {stranger, "frontend:8080", true},
	{asWorker, outside, true}, {asWorker, elsewhere, false}, {asWorker, linkLocal, false}, {asWorker, local.Postgres, false},
	{asWorker, "database:5432", true}, {asWorker, "cache:6379", true}, {asFrontend, "api:8080", true},
}

func (s *stage) network(t *testing.T) {
	s.prepareNetwork(t)
	t.Run("Default", func(t *testing.T) { s.tries(t, byDefault) })
	t.Run("Strict", func(t *testing.T) {
		i := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "short"}}
		if err := s.Patch(t.Context(), i, client.RawPatch(types.MergePatchType, []byte(strict))); err != nil {
			t.Fatal(err)
		}
		s.tries(t, whenStrict)
	})
}

// tries makes each connection until its outcome is the wanted one: rules follow policies and pods within moments.
func (s *stage) tries(t *testing.T, all []connection) {
	t.Helper()
	for _, c := range all {
		t.Run(fmt.Sprintf("%s to %s", strings.ReplaceAll(c.from, "/", " "), c.to), func(t *testing.T) {
			said := ""
			for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
				if said = s.dial(t, c.from, s.resolve(t, c.to)); strings.HasPrefix(said, "open") == c.open {
					return
				}
			}
			t.Errorf("it is %s, want open: %v", said, c.open)
		})
	}
}

// resolve turns a component into the address of one of its pods.
func (s *stage) resolve(t *testing.T, target string) string {
	t.Helper()
	name, port, _ := strings.Cut(target, ":")
	if strings.Contains(name, ".") {
		return target
	}
	pods := &corev1.PodList{}
	err := s.List(t.Context(), pods, client.InNamespace(namespace), client.MatchingLabels{
		"app.kubernetes.io/instance": "short", "app.kubernetes.io/component": name, "app.kubernetes.io/managed-by": "englog-operator",
	})
	if err != nil || len(pods.Items) == 0 || pods.Items[0].Status.PodIP == "" {
		t.Fatalf("no pod of %s: %v", name, err)
	}
	return pods.Items[0].Status.PodIP + ":" + port
}

// dial says "open", or "closed" and why.
func (s *stage) dial(t *testing.T, from, to string) string {
	t.Helper()
	if from == outsider {
		c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(t.Context(), "tcp", to)
		if err != nil {
			return "closed: " + err.Error()
		}
		_ = c.Close()
		return "open"
	}
	ns, pod, _ := strings.Cut(from, "/")
	said, err := s.Kubectl(t.Context(), "exec", "-n", ns, pod, "--", "/web", "dial", to)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// prepareNetwork makes the pods that connect and the places outside that they connect to.
func (s *stage) prepareNetwork(t *testing.T) {
	t.Helper()
	s.loadDialer(t)
	s.listen(t)
	s.space(t, strangers)
	s.space(t, "monitoring")
	for from, component := range map[string]string{
		stranger: "", monitor: "", neighbour: "", asWorker: "worker", asFrontend: "frontend", asDatabase: "database",
	} {
		s.dialer(t, from, component)
	}
}

func (*stage) loadDialer(t *testing.T) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "web")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./hack/cluster/testdata/web")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tool(t, "load-image", "cluster-test/dialer:1", binary)
}

// listen gives this machine a link-local address on the cluster's link and answers there and at two others.
func (*stage) listen(t *testing.T) {
	t.Helper()
	host, _, _ := strings.Cut(linkLocal, ":")
	const link = "englog0"
	run(t, "ip", "address", "replace", host+"/32", "dev", link)
	t.Cleanup(func() { _ = exec.Command("ip", "address", "delete", host+"/32", "dev", link).Run() }) // it may be gone
	run(t, "nsenter", "--net="+local.NamespacePath, "--", "ip", "route", "replace", host, "via", "10.88.0.2")
	t.Cleanup(func() {
		_ = exec.Command("nsenter", "--net="+local.NamespacePath, "--", "ip", "route", "delete", host).Run() // the same
	})
	for _, address := range []string{outside, elsewhere, linkLocal} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				_ = c.Close()
			}
		}()
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// dialer is a pod with the labels of a component, which policies go by. It is never ready, so that no Service leads to it.
func (s *stage) dialer(t *testing.T, at, component string) {
	t.Helper()
	ns, name, _ := strings.Cut(at, "/")
	labels := map[string]string{}
	if component != "" {
		labels = map[string]string{"app.kubernetes.io/instance": "short", "app.kubernetes.io/component": component}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels}, Spec: corev1.PodSpec{
		AutomountServiceAccountToken:  new(bool),
		TerminationGracePeriodSeconds: new(int64),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "web", Image: "cluster-test/dialer:1", ImagePullPolicy: corev1.PullNever,
			ReadinessProbe:  &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/no"}}}, PeriodSeconds: 60},
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(bool), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		}},
	}}
	_ = s.Delete(t.Context(), pod.DeepCopy(), client.GracePeriodSeconds(0)) // what an earlier run has left
	s.await(t, at+" to be made", 30*time.Second, func() (bool, string) {
		err := s.Create(t.Context(), pod.DeepCopy())
		return err == nil, fmt.Sprint(err)
	})
	t.Cleanup(func() {
		_, _ = s.Kubectl(context.WithoutCancel(t.Context()), "delete", "pod", "-n", ns, name, "--now", "--ignore-not-found")
	})
	s.await(t, at+" to run", time.Minute, func() (bool, string) {
		now := &corev1.Pod{}
		err := s.Get(t.Context(), client.ObjectKeyFromObject(pod), now)
		return err == nil && now.Status.Phase == corev1.PodRunning && now.Status.PodIP != "", fmt.Sprint(now.Status.Phase, err)
	})
}
