// Package inprocess runs the operator inside of a test, on a rig, and answers for the rig's pods. It must never import the rooms of
// controllers beyond what cmd/manager hands in.
package inprocess

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/garnizeh/englog-operator/controllers"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/probe"
)

// Start runs one operator, as cmd/manager would. What it returns ends the operator and waits for its end.
func Start(config *rest.Config, scheme *runtime.Scheme, options controllers.Options) (stop func(), err error) {
	yes := true
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: controllers.Caches(), Metrics: metricsserver.Options{BindAddress: "0"},
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &yes}},
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := controllers.Setup(ctx, mgr, options); err != nil {
		cancel()
		return nil, fmt.Errorf("setting the operator up: %w", err)
	}
	var ended sync.WaitGroup
	ended.Go(func() { _ = mgr.Start(ctx) }) // it ends with the context, which is no failure
	return func() { cancel(); ended.Wait() }, nil
}

// Network answers for pods and Services by what the API server says about them: the rig's pods have no network. All that are there are well.
type Network struct {
	Client client.Reader
}

// Ask implements probe.Asker.
func (n Network) Ask(ctx context.Context, namespace, _ string, to plan.Address) (probe.Answer, error) {
	revision, err := n.revision(ctx, namespace, to)
	if err != nil {
		return probe.Answer{}, err
	}
	return probe.Answer{Status: 200, Revision: revision, Body: fmt.Appendf(nil, `{"status":"ready","revision":%q}`, revision)}, nil
}

func (n Network) revision(ctx context.Context, namespace string, to plan.Address) (string, error) {
	if to.Pod != "" {
		pod := &corev1.Pod{}
		if err := n.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: to.Pod}, pod); err != nil {
			return "", fmt.Errorf("reading Pod %s: %w", to.Pod, err)
		}
		return pod.Labels["englog.io/revision"], nil
	}
	service := &corev1.Service{}
	if err := n.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: to.Service}, service); err != nil {
		return "", fmt.Errorf("reading Service %s: %w", to.Service, err)
	}
	return service.Spec.Selector["englog.io/revision"], nil
}
