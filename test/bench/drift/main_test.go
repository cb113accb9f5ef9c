package drift

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/probe"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

var cluster *rig.Rig

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if cluster, err = rig.Start(rig.Options{AddToScheme: controllers.AddToScheme}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stop, err := startOperator()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	stop()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// startOperator runs one operator on the rig, as cmd/manager would.
func startOperator() (stop func(), err error) {
	yes := true
	mgr, err := ctrl.NewManager(cluster.Config, ctrl.Options{
		Scheme: cluster.Scheme, Cache: controllers.Caches(), Metrics: metricsserver.Options{BindAddress: "0"},
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &yes}},
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := controllers.Setup(ctx, mgr, controllers.Options{Ask: answers{}}); err != nil {
		cancel()
		return nil, fmt.Errorf("setting the operator up: %w", err)
	}
	var ended sync.WaitGroup
	ended.Go(func() { _ = mgr.Start(ctx) }) // it ends with the context, which is no failure
	return func() { cancel(); ended.Wait() }, nil
}

// answers stands in for pods that are ready and say so: the rig's have no network.
type answers struct{}

// Ask implements probe.Asker.
func (answers) Ask(ctx context.Context, namespace, _ string, to plan.Address) (probe.Answer, error) {
	var o client.Object = &corev1.Service{}
	name := to.Service
	if to.Pod != "" {
		o, name = &corev1.Pod{}, to.Pod
	}
	if err := cluster.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, o); err != nil {
		return probe.Answer{}, fmt.Errorf("reading %s: %w", name, err)
	}
	revision := o.GetLabels()["englog.io/revision"]
	if s, ok := o.(*corev1.Service); ok {
		revision = s.Spec.Selector["englog.io/revision"]
	}
	return probe.Answer{Status: 200, Revision: revision, Body: fmt.Appendf(nil, `{"status":"ready","revision":%q}`, revision)}, nil
}

// install makes an instance with an autoscaler and waits until it rests.
func install(b *testing.B) *v1alpha1.EngLogInstance {
	b.Helper()
	instance := &v1alpha1.EngLogInstance{}
	instance.Namespace, instance.Name = cluster.Namespace(b), "demo"
	zero, one := int32(0), int32(1)
	instance.Spec = v1alpha1.EngLogInstanceSpec{
		Version: "1.0.0", Environment: v1alpha1.EnvironmentStaging,
		Database: v1alpha1.DatabaseSpec{Type: v1alpha1.StoreExternal}, Cache: v1alpha1.CacheSpec{Type: v1alpha1.StoreExternal},
		API:     &v1alpha1.APISpec{Autoscaling: &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 6}},
		Rollout: &v1alpha1.RolloutSpec{ConfirmSeconds: &one, RetentionSeconds: 15, Traffic: &v1alpha1.TrafficSpec{PropagationSeconds: &zero}},
	}
	secret := &corev1.Secret{StringData: map[string]string{
		"DATABASE_URL": "postgres://englog:secret@db/englog", "REDIS_URL": "redis://cache:6379",
		"JWT_SECRET": "0123456789abcdef0123456789abcdef", "SESSION_KEY": "fedcba9876543210fedcba9876543210",
	}}
	secret.Namespace, secret.Name = instance.Namespace, "demo-secrets"
	cluster.Kubelet.Rule(b, rig.Rule{
		Namespace: instance.Namespace, Labels: map[string]string{"app.kubernetes.io/component": "migrate"},
		Message: `{"phase":"expand","from":0,"to":2,"current":2,"oldestCompatible":1}`,
	})
	cluster.Create(b, secret, instance)
	cluster.Await(b, instance, "an instance at rest", func() bool {
		return instance.Status.Active != nil && instance.Status.Rollout.Step == v1alpha1.StepStable
	})
	return instance
}
