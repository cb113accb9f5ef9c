// Package operator tests the operator through its front door: specs go in, objects and conditions come out, on a real control plane with a
// kubelet that does as told. It must never reach into the rooms of controllers.
package operator

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/probe"
	"github.com/garnizeh/englog-operator/test/envtest/inprocess"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

var (
	cluster *rig.Rig
	calls   *rig.Calls
	network *fakeNetwork
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	r, err := rig.Start(rig.Options{AddToScheme: controllers.AddToScheme, CRDPaths: rig.GatewayCRDs()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cluster = r
	network, amazon = &fakeNetwork{Network: inprocess.Network{Client: r.Client}}, startAmazon()
	defer amazon.server.Close()
	if err := grant(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if stopOperator, err = startOperator(time.Now); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	stopOperator()
	if err := r.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// stopOperator ends the operator that runs, and starts counts those that ran: each needs a name of its own.
var (
	stopOperator func()
	starts       int
)

// restartOperator ends the operator and starts another, with a clock of its own. It is for tests that do not run in parallel.
func restartOperator(t *testing.T, now func() time.Time) {
	t.Helper()
	stopOperator()
	stop, err := startOperator(now)
	if err != nil {
		t.Fatal(err)
	}
	stopOperator = stop
}

// startOperator runs one operator on the rig, as cmd/manager would.
func startOperator(now func() time.Time) (stop func(), err error) {
	config, recorded := cluster.ConfigAs("englog-operator-test")
	calls = recorded
	config.Impersonate = operatorIdentity
	starts++
	return inprocess.Start(config, cluster.Scheme, controllers.Options{
		Ask: network, Now: now, AWSEndpoint: amazon.server.URL, Name: fmt.Sprintf("englog-%d", starts),
	})
}

// fakeNetwork is the rig's, with answers that a test may break.
type fakeNetwork struct {
	inprocess.Network

	mu     sync.Mutex
	broken map[string]bool
}

// Break makes every answer of a version's Services fail.
func (n *fakeNetwork) Break(t *testing.T, namespace string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken == nil {
		n.broken = map[string]bool{}
	}
	n.broken[namespace] = true
	t.Cleanup(func() { n.mu.Lock(); defer n.mu.Unlock(); delete(n.broken, namespace) })
}

// Ask implements probe.Asker.
func (n *fakeNetwork) Ask(ctx context.Context, namespace, instance string, to plan.Address) (probe.Answer, error) {
	answer, err := n.Network.Ask(ctx, namespace, instance, to)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil && n.broken[namespace] && to.Path == "/broken" {
		answer.Status = 500
	}
	return answer, err
}

// newInstance is a small instance, with its Secret, that moves as fast as the API allows.
func newInstance(t *testing.T, change ...func(*v1alpha1.EngLogInstance)) *v1alpha1.EngLogInstance {
	t.Helper()
	instance := draft(t, change...)
	cluster.Create(t, secretFor(instance), instance)
	return instance
}

// draft is such an instance in a namespace of its own, not created yet.
func draft(t *testing.T, change ...func(*v1alpha1.EngLogInstance)) *v1alpha1.EngLogInstance {
	t.Helper()
	namespace := cluster.Namespace(t)
	zero, one := int32(0), int32(1)
	instance := &v1alpha1.EngLogInstance{}
	instance.Namespace, instance.Name = namespace, "demo"
	instance.Spec = v1alpha1.EngLogInstanceSpec{
		Version: "1.0.0", Environment: v1alpha1.EnvironmentStaging,
		Database: v1alpha1.DatabaseSpec{Type: v1alpha1.StoreExternal}, Cache: v1alpha1.CacheSpec{Type: v1alpha1.StoreExternal},
		API: &v1alpha1.APISpec{ComponentSpec: v1alpha1.ComponentSpec{Replicas: 2}},
		Rollout: &v1alpha1.RolloutSpec{
			ConfirmSeconds: &one, RetentionSeconds: 15, ProgressDeadlineSeconds: 30, Traffic: &v1alpha1.TrafficSpec{PropagationSeconds: &zero},
		},
	}
	for _, c := range change {
		c(instance)
	}
	return instance
}

func secretFor(instance *v1alpha1.EngLogInstance) *corev1.Secret {
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = instance.Namespace, instance.Name+"-secrets"
	secret.StringData = map[string]string{
		"DATABASE_URL": "postgres://englog:secret@db/englog", "REDIS_URL": "redis://cache:6379",
		"JWT_SECRET": "0123456789abcdef0123456789abcdef", "SESSION_KEY": "fedcba9876543210fedcba9876543210",
	}
	return secret
}

// migrated makes the migration Jobs of a namespace answer as the service's do.
func migrated(t *testing.T, namespace string) {
	t.Helper()
	cluster.Kubelet.Rule(t, rig.Rule{
		Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/component": "migrate"},
		Message: `{"phase":"expand","from":0,"to":2,"current":2,"oldestCompatible":1}`,
	})
}

// edit changes the spec through the API server until no other writer is in the way.
func edit(t *testing.T, instance *v1alpha1.EngLogInstance, change func(*v1alpha1.EngLogInstanceSpec)) {
	t.Helper()
	before := instance.DeepCopy()
	change(&instance.Spec)
	if err := cluster.Client.Patch(t.Context(), instance, client.MergeFrom(before)); err != nil {
		t.Fatalf("changing the spec: %v", err)
	}
}

// awaitStep waits until the rollout is in a step.
func awaitStep(t *testing.T, instance *v1alpha1.EngLogInstance, step v1alpha1.Step) {
	t.Helper()
	cluster.Await(t, instance, "step "+string(step), func() bool {
		return instance.Status.Rollout != nil && instance.Status.Rollout.Step == step && instance.Status.ObservedGeneration == instance.Generation
	})
}

func condition(instance *v1alpha1.EngLogInstance, kind string) (status, reason, message string) {
	for _, c := range instance.Status.Conditions {
		if c.Type == kind {
			return string(c.Status), c.Reason, c.Message
		}
	}
	return "", "", ""
}

// awaitCondition waits for a condition's status and reason, and returns its message.
func awaitCondition(t *testing.T, instance *v1alpha1.EngLogInstance, kind, status, reason string) string {
	t.Helper()
	cluster.Await(t, instance, kind+"="+status+" "+reason, func() bool {
		s, r, _ := condition(instance, kind)
		return s == status && (reason == "" || r == reason)
	})
	_, _, message := condition(instance, kind)
	return message
}

// quiet waits until the operator has made no call for a while.
func quiet(t *testing.T, d time.Duration) []rig.Call {
	t.Helper()
	begun := time.Now()
	<-time.After(d)
	return calls.Since(begun)
}

// about leaves out what was said about other namespaces: those of earlier tests may still be going away.
func about(instance *v1alpha1.EngLogInstance, made []rig.Call) []rig.Call {
	return slices.DeleteFunc(made, func(c rig.Call) bool { return c.Namespace != "" && c.Namespace != instance.Namespace })
}

// alone waits until the namespaces of earlier tests are gone: an operator is not at rest while children of theirs go away.
func alone(t *testing.T) {
	t.Helper()
	namespaces := &corev1.NamespaceList{}
	cluster.AwaitList(t, namespaces, "end of the earlier tests' namespaces", func() bool {
		n := 0
		for i := range namespaces.Items {
			if strings.HasPrefix(namespaces.Items[i].Name, "test-") {
				n++
			}
		}
		return n <= 1
	})
}
