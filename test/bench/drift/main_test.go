package drift

import (
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers"
	"github.com/garnizeh/englog-operator/test/envtest/inprocess"
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
	stop, err := inprocess.Start(cluster.Config, cluster.Scheme, controllers.Options{Ask: inprocess.Network{Client: cluster.Client}})
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
