// Package managed runs an instance with Managed stores on the real node, whose NetworkPolicies are enforced there. It sees what users see and
// must import neither controllers nor workload.
package managed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/stores"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
	"github.com/garnizeh/englog-operator/test/node"
)

const namespace = "englog-managed"

// short is the shortest spec there is.
const short = `
apiVersion: englog.io/v1alpha1
kind: EngLogInstance
metadata: {name: short, namespace: englog-managed}
spec:
  version: 1.0.0
  database: {type: Managed}
  cache: {type: Managed}
`

// stage is the real node with the operator in it.
type stage struct{ *cutover.Stage }

// TestManagedOnTheNode makes an instance of the shortest spec on the real node, under restricted Pod Security and enforced
// NetworkPolicies, loses it and takes its data up again.
func TestManagedOnTheNode(t *testing.T) {
	node.Need(t)
	t.Log("covers X34 X35 X49 X51 X53")
	s := raise(t)
	s.apply(t)
	var journey *load.Journey
	t.Run("an entry and its insight", func(t *testing.T) {
		journey = s.travel(t)
		s.volumeIsTheServers(t)
	})
	if journey == nil {
		return
	}
	t.Run("network policies", func(t *testing.T) { s.network(t) })
	t.Run("a deleted instance leaves its data", func(t *testing.T) { s.remove(t) })
	t.Run("applied again, the same entry is there", func(t *testing.T) {
		s.apply(t)
		s.remembers(t, journey)
	})
	t.Run("without the claim no directory is left", func(t *testing.T) { s.clear(t) })
}

func raise(t *testing.T) *stage {
	t.Helper()
	major, err := stores.PostgresMajor()
	if err != nil {
		t.Fatal(err)
	}
	// The operator is told which PostgreSQL there is an image of here.
	const first = "- --leader-elect\n"
	options := cutover.Options{OperatorManifest: func(manifest string) string {
		return strings.Replace(manifest, first, first+"        - --managed-postgresql-major="+major+"\n", 1)
	}}
	raised, err := cutover.Raise(t.Context(), options, &cutover.Lines{Out: node.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(raised.Close)
	s := &stage{Stage: raised}
	tool(t, "load-stores")
	s.empty(t)
	s.space(t, namespace)
	t.Cleanup(func() { s.empty(t) })
	return s
}

// tool runs a command of the local cluster.
func tool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "./hack/cluster"}, args...)...)
	cmd.Dir = "../../.."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// space makes a namespace under the strictest Pod Security.
func (s *stage) space(t *testing.T, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	err := s.Create(t.Context(), ns)
	switch {
	case apierrors.IsAlreadyExists(err):
	case err != nil:
		t.Fatal(err)
	default:
		t.Cleanup(func() { _ = s.Delete(context.WithoutCancel(t.Context()), ns) }) // it may be gone
	}
}

// empty removes the namespaces of this test and of an earlier one.
func (s *stage) empty(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	for _, name := range []string{namespace, strangers} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		s.await(t, "namespace "+name+" to be gone", 2*time.Minute, func() (bool, string) {
			err := s.Delete(ctx, ns.DeepCopy())
			return apierrors.IsNotFound(err), fmt.Sprint(err)
		})
	}
}

// await polls until done, and says at the end what was still missing.
func (s *stage) await(t *testing.T, what string, within time.Duration, done func() (bool, string)) {
	t.Helper()
	err := cutover.Await(context.WithoutCancel(t.Context()), within, what, func(context.Context) (bool, string, error) {
		ok, missing := done()
		return ok, missing, nil
	})
	if err != nil {
		events, _ := s.Kubectl(context.WithoutCancel(t.Context()), "get", "events,pods,pvc", "-n", namespace, "--sort-by=.metadata.creationTimestamp")
		logs, _ := s.Kubectl(context.WithoutCancel(t.Context()), "logs", "-n", namespace, "--tail=20", "--prefix", "--ignore-errors", "-l", "app.kubernetes.io/instance=short")
		t.Fatalf("%v\n%s\n%s", err, events, logs)
	}
}

// apply creates the instance and waits until it is Ready.
func (s *stage) apply(t *testing.T) {
	t.Helper()
	i := &v1alpha1.EngLogInstance{}
	if err := yaml.UnmarshalStrict([]byte(short), i); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	s.await(t, "the instance to be Ready", 3*time.Minute, func() (bool, string) {
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(i), i); err != nil {
			return false, err.Error()
		}
		var said []string
		for _, c := range i.Status.Conditions {
			said = append(said, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Message))
		}
		return meta.IsStatusConditionTrue(i.Status.Conditions, string(v1alpha1.ConditionReady)), strings.Join(said, "; ")
	})
	t.Logf("Ready after %s", time.Since(begin).Round(100*time.Millisecond))
}

// service is the address of a Service of the instance.
func (s *stage) service(t *testing.T, name string) string {
	t.Helper()
	svc := &corev1.Service{}
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, svc); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:%d", svc.Spec.ClusterIP, svc.Spec.Ports[0].Port)
}

// travel writes an entry and reads its insight.
func (s *stage) travel(t *testing.T) *load.Journey {
	t.Helper()
	j, err := load.Travel(t.Context(), load.Config{Address: s.service(t, "short-api"), Host: "short-api." + namespace, Rate: 1, Users: 50})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("entry %s, insight %s after %.0f ms", j.EntryID, j.Insight, j.InsightMs)
	return j
}

// volumeIsTheServers looks at the files on the node: the pod's user owns them and nobody else may read them.
func (s *stage) volumeIsTheServers(t *testing.T) {
	t.Helper()
	info, err := os.Stat(s.directory(t, "short-database") + "/data")
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // Linux
	if owner.Uid != 999 || info.Mode().Perm() != 0o700 {
		t.Errorf("the server's files belong to user %d with mode %o, not to 999 with 700", owner.Uid, info.Mode().Perm())
	}
}

// directory is where the volume of a claim is on the node.
func (s *stage) directory(t *testing.T, claim string) string {
	t.Helper()
	c, v := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: claim}, c); err != nil {
		t.Fatal(err)
	}
	if err := s.Get(t.Context(), client.ObjectKey{Name: c.Spec.VolumeName}, v); err != nil {
		t.Fatal(err)
	}
	if v.Spec.Local == nil {
		t.Fatalf("volume %s is no local one", v.Name)
	}
	return v.Spec.Local.Path
}

// kept are the objects that outlive the instance.
func (s *stage) kept(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, name := range []string{"short-database", "short-cache"} {
		for _, o := range []client.Object{&corev1.PersistentVolumeClaim{}, &corev1.Secret{}} {
			if err := s.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
				t.Fatalf("%T %s: %v", o, name, err)
			}
			all = append(all, string(o.GetUID()))
		}
	}
	return all
}

// remove deletes the instance and waits until only what is kept is left.
func (s *stage) remove(t *testing.T) {
	t.Helper()
	before := s.kept(t)
	i := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "short"}}
	if err := s.Delete(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	s.await(t, "the instance's objects to be gone", 2*time.Minute, func() (bool, string) {
		left, err := s.Kubectl(t.Context(), "get", "pods,statefulsets,deployments,services,configmaps,networkpolicies,controllerrevisions", "-n", namespace,
			"-l", "app.kubernetes.io/instance=short", "-o", "name")
		return err == nil && left == "", left
	})
	if after := s.kept(t); !slices.Equal(before, after) {
		t.Errorf("volumes and credentials were %v and are %v", before, after)
	}
}

// remembers logs the user in again and reads the entry that was written before.
func (s *stage) remembers(t *testing.T, j *load.Journey) {
	t.Helper()
	at := "http://" + s.service(t, "short-api") + "/api/v1/"
	var session struct {
		Token string `json:"access_token"`
	}
	credentials, err := json.Marshal(map[string]string{"email": j.User, "password": j.Password})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, http.MethodPost, at+"auth/login", "", credentials, &session)
	var entry struct {
		ID string `json:"id"`
	}
	ask(t, http.MethodGet, at+"entries/"+j.EntryID, session.Token, nil, &entry)
	var insights struct {
		Items []struct {
			Kind string `json:"kind"`
		} `json:"items"`
	}
	ask(t, http.MethodGet, at+"entries/"+j.EntryID+"/insights", session.Token, nil, &insights)
	if entry.ID != j.EntryID || len(insights.Items) == 0 {
		t.Errorf("entry %q and insights %v, want entry %s and the insight %s", entry.ID, insights.Items, j.EntryID, j.Insight)
	}
}

// ask makes one request that has to succeed.
func ask(t *testing.T, method, url, token string, body []byte, answer any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(response.Body)
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v: %s", method, url, response.Status, err, said)
	}
	if err := json.Unmarshal(said, answer); err != nil {
		t.Fatal(err)
	}
}

// clear deletes the instance and then, as the how-to says, what it keeps; with the claims goes what is on the node.
func (s *stage) clear(t *testing.T) {
	t.Helper()
	dir := s.directory(t, "short-database")
	s.remove(t)
	if _, err := s.Kubectl(t.Context(), "delete", "pvc,secret", "-n", namespace, "-l", "app.kubernetes.io/instance=short,englog.io/kept"); err != nil {
		t.Fatal(err)
	}
	s.await(t, dir+" to be gone", 30*time.Second, func() (bool, string) {
		_, err := os.Stat(dir)
		return os.IsNotExist(err), "it is there"
	})
}
