package operator

import (
	"testing"

	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

func neverReady(t *testing.T, namespace, image string) {
	t.Helper()
	cluster.Kubelet.Rule(t, rig.Rule{Namespace: namespace, ImageContains: image, Fault: rig.ImagePullBackOff, Labels: map[string]string{"app.kubernetes.io/component": "api"}})
}
