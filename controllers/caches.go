package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/observe"
)

// children lists every kind that the caches hold. Secrets are not among them: they are read one by one, and never kept.
func children() []client.Object {
	return []client.Object{
		&appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.ControllerRevision{},
		&corev1.Pod{}, &corev1.Service{}, &corev1.ConfigMap{}, &corev1.ServiceAccount{}, &corev1.PersistentVolumeClaim{},
		&discoveryv1.EndpointSlice{}, &batchv1.Job{}, &autoscalingv2.HorizontalPodAutoscaler{}, &policyv1.PodDisruptionBudget{},
		&networkingv1.NetworkPolicy{}, &networkingv1.Ingress{},
	}
}

// Caches holds only what carries the operator's label, without the bulk that no decision reads: memory follows the number of instances,
// not the size of the cluster.
func Caches(namespaces ...string) cache.Options {
	ours := labels.SelectorFromSet(labels.Set{observe.ManagedByLabel: observe.Manager})
	opts := cache.Options{
		// The label is the default, so that it also counts for kinds that the cluster learns later.
		DefaultLabelSelector: ours, DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{&v1alpha1.EngLogInstance{}: {Label: labels.Everything()}},
	}
	for _, o := range children() {
		by := cache.ByObject{Label: ours}
		if _, ok := o.(*corev1.Pod); ok {
			by.Transform = slimPod
		}
		opts.ByObject[o] = by
	}
	if len(namespaces) > 0 {
		opts.DefaultNamespaces = map[string]cache.Config{}
		for _, ns := range namespaces {
			opts.DefaultNamespaces[ns] = cache.Config{}
		}
	}
	return opts
}

// slimPod keeps of a pod what observe reads.
func slimPod(in any) (any, error) {
	p, ok := in.(*corev1.Pod)
	if !ok {
		return in, nil
	}
	p.ManagedFields, p.Annotations = nil, nil
	p.Spec = corev1.PodSpec{NodeName: p.Spec.NodeName}
	return p, nil
}

// index lets the caches find an instance's children without walking a namespace.
func index(ctx context.Context, indexer client.FieldIndexer) error {
	for _, o := range children() {
		if err := indexByInstance(ctx, indexer, o); err != nil {
			return err
		}
	}
	return nil
}

func indexByInstance(ctx context.Context, indexer client.FieldIndexer, o client.Object) error {
	err := indexer.IndexField(ctx, o, observe.InstanceIndex, func(o client.Object) []string {
		if name := o.GetLabels()[observe.InstanceLabel]; name != "" {
			return []string{name}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("indexing %T by instance: %w", o, err)
	}
	return nil
}
