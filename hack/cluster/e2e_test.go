package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
)

const webManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: cluster-test, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: cluster-test}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: web
        image: cluster-test/web:1
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: cluster-test}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
`

const privilegedPod = `
apiVersion: v1
kind: Pod
metadata: {name: privileged, namespace: cluster-test}
spec: {containers: [{name: x, image: "cluster-test/web:1", securityContext: {privileged: true}}]}
`

// TestCluster brings the cluster up, or finds it up, and runs a workload on it. It leaves the cluster up if it was.
func TestCluster(t *testing.T) {
	if os.Getenv("CLUSTER_E2E") == "" || os.Geteuid() != 0 {
		t.Skip("set CLUSTER_E2E=1 and run as root to try the real node")
	}
	c := bringUp(t)
	t.Cleanup(func() { _ = do("kubectl", "delete", "namespace", "cluster-test", "--ignore-not-found") })
	load(t)
	if err := c.Apply(t.Context(), []byte(webManifest)); err != nil {
		t.Fatal(err)
	}
	const port = "18765"
	t.Cleanup(func() { _ = do("unexpose", port) })
	if err := do("expose", "cluster-test/web:http", port); err != nil {
		t.Fatal(err)
	}
	if got := eventually(t, "http://127.0.0.1:"+port+"/"); !strings.HasPrefix(got, "web-") {
		t.Errorf("the Service answered %q", got)
	}
	if got := eventually(t, "http://127.0.0.1:"+port+"/resolve?name=kubernetes.default.svc.cluster.local"); got != "[10.96.0.1]" {
		t.Errorf("a pod resolves the API server's Service to %q", got)
	}
	if err := c.Apply(t.Context(), []byte(privilegedPod)); err == nil || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("a privileged pod in a restricted namespace: %v", err)
	}
	if err := do("status"); err != nil {
		t.Error(err)
	}
}

func bringUp(t *testing.T) *local.Cluster {
	t.Helper()
	c, _, err := cluster()
	if err != nil {
		t.Fatal(err)
	}
	if !c.Formed() {
		t.Cleanup(func() { leavesNothing(t, c) })
	}
	if err := run(t.Context(), []string{"up"}); err != nil {
		t.Fatal(err)
	}
	return c
}

// leavesNothing takes the cluster down and looks for what is left.
func leavesNothing(t *testing.T, c *local.Cluster) {
	if err := run(context.Background(), []string{"down"}); err != nil {
		t.Error(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), c.State) || strings.Contains(string(mounts), local.NamespacePath) {
		t.Errorf("mounts are left: %v\n%s", err, mounts)
	}
	for _, pattern := range []string{c.State, local.NamespacePath, "/sys/class/net/englog0", "/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/*/kubepods"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			t.Errorf("left: %v", found)
		}
	}
}

func load(t *testing.T) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "web")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./testdata/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := do("load-image", "cluster-test/web:1", binary); err != nil {
		t.Fatal(err)
	}
}

// do runs a command as a person does: in a process of its own.
func do(args ...string) error {
	out, err := exec.Command("go", append([]string{"run", "."}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}

// eventually gets the body of a URL once it answers 200.
func eventually(t *testing.T, url string) string {
	t.Helper()
	last := "nothing"
	client := http.Client{Timeout: 2 * time.Second}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		response, err := client.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if last = strings.TrimSpace(string(body)); response.StatusCode == http.StatusOK {
			return last
		}
	}
	t.Fatalf("%s does not answer: %s", url, last)
	return ""
}
