package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// route is what a watch saw of a live Service. Every system is timed by the same one.
type route struct {
	// moved are the moments in which its selector was seen changed.
	moved []time.Time
	// converged is when its EndpointSlices first listed none of the pods that they had listed before the first move.
	converged time.Time

	selector string
	slices   map[string]map[string]bool // slice to ready pods
	listed   []listing
}

// listing is what the EndpointSlices listed from a moment on.
type listing struct {
	at   time.Time
	pods map[string]bool
}

// watchRoute watches a Service and its EndpointSlices until ctx ends, and then sends what it saw.
func (b *bench) watchRoute(ctx context.Context, name string) (<-chan route, error) {
	services, err := b.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(cutover.Namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)})
	if err != nil {
		return nil, fmt.Errorf("watching Service %s: %w", name, err)
	}
	endpoints, err := b.Watch(ctx, &discoveryv1.EndpointSliceList{}, client.InNamespace(cutover.Namespace),
		client.MatchingLabels{discoveryv1.LabelServiceName: name})
	if err != nil {
		services.Stop()
		return nil, fmt.Errorf("watching the EndpointSlices of Service %s: %w", name, err)
	}
	out := make(chan route, 1)
	go func() {
		defer services.Stop()
		defer endpoints.Stop()
		r := route{slices: map[string]map[string]bool{}}
		for {
			select {
			case <-ctx.Done():
				r.converged = r.convergence()
				out <- r
				return
			case e := <-services.ResultChan():
				r.service(e)
			case e := <-endpoints.ResultChan():
				r.endpoints(e)
			}
		}
	}()
	return out, nil
}

func (r *route) service(e watch.Event) {
	svc, ok := e.Object.(*corev1.Service)
	if !ok {
		return
	}
	now := fmt.Sprint(svc.Spec.Selector)
	if r.selector != "" && now != r.selector {
		r.moved = append(r.moved, time.Now())
	}
	r.selector = now
}

func (r *route) endpoints(e watch.Event) {
	slice, ok := e.Object.(*discoveryv1.EndpointSlice)
	if !ok {
		return
	}
	pods := map[string]bool{}
	for _, p := range slice.Endpoints {
		if p.TargetRef != nil && e.Type != watch.Deleted && (p.Conditions.Ready == nil || *p.Conditions.Ready) {
			pods[p.TargetRef.Name] = true
		}
	}
	r.slices[slice.Name] = pods
	all := map[string]bool{}
	for _, pods := range r.slices {
		maps.Copy(all, pods)
	}
	r.listed = append(r.listed, listing{time.Now(), all})
}

// disorder is how much later than what follows from it a change may be seen: the two watches are independent.
const disorder = 50 * time.Millisecond

// convergence is when pods were first listed after the first move, and none of those before it.
func (r *route) convergence() time.Time {
	if len(r.moved) == 0 {
		return time.Time{}
	}
	var before map[string]bool
	for _, l := range r.listed {
		switch {
		case l.at.Before(r.moved[0].Add(-disorder)):
			before = l.pods
		case len(l.pods) > 0 && disjoint(l.pods, before):
			return l.at
		}
	}
	return time.Time{}
}

func disjoint(a, b map[string]bool) bool {
	for name := range a {
		if b[name] {
			return false
		}
	}
	return true
}
