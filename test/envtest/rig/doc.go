// Package rig starts a Kubernetes control plane for tests: etcd, kube-apiserver and the real kube-controller-manager,
// with a small kubelet of our own that runs no containers but answers for pods as a test tells it to. Deployments,
// Jobs, EndpointSlices, garbage collection and admission are therefore the real ones; only "the container is ready" is
// made up.
//
//	var cluster *rig.Rig
//
//	func TestMain(m *testing.M) { os.Exit(rig.Main(m, rig.Options{}, &cluster)) }
//
//	func TestCandidateNeverReady(t *testing.T) {
//		namespace := cluster.Namespace(t)
//		cluster.Kubelet.Rule(t, rig.Rule{Labels: map[string]string{"englog.io/color": "green"}, Ready: rig.Never})
//		...
//		cluster.Await(t, &deployment, "3 ready replicas", func() bool { return deployment.Status.ReadyReplicas == 3 })
//	}
//
// One rig serves a whole test package; tests keep apart by namespace. It must never be imported by the product, and it
// must never import the operator or the service: it knows Kubernetes only.
package rig
