package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	color   = "color"
	live    = "live"
	patient = 2 * time.Minute
)

var colors = []string{"blue", "green"}

// result is what switches of one size took, in milliseconds.
type result struct {
	Pods     int     `json:"pods"`
	Switches int     `json:"switches"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	// Writes is the mean number of changes of EndpointSlices that a switch makes; Mixed counts switches in which both colors were listed for a while.
	Writes float64 `json:"slice_writes"`
	Mixed  int     `json:"mixed"`
}

// board follows the EndpointSlices of the live Service.
type board struct {
	events <-chan watch.Event
	slices map[string][]string // slice to the colors of its ready pods
}

func measure(ctx context.Context, c client.WithWatch, size, flips int) (result, error) {
	ns := fmt.Sprintf("flip-%d", size)
	if err := furnish(ctx, c, ns, size); err != nil {
		return result{}, err
	}
	w, err := c.Watch(ctx, &discoveryv1.EndpointSliceList{}, client.InNamespace(ns), client.MatchingLabels{discoveryv1.LabelServiceName: live})
	if err != nil {
		return result{}, fmt.Errorf("watching EndpointSlices: %w", err)
	}
	defer w.Stop()
	b := &board{events: w.ResultChan(), slices: map[string][]string{}}
	if _, _, _, err := b.await(ctx, colors[0], size); err != nil {
		return result{}, err
	}
	out := result{Pods: size, Switches: flips}
	times := make([]float64, 0, flips)
	for n := range flips {
		to := colors[(n+1)%2]
		sent := time.Now()
		if err := show(ctx, c, ns, to); err != nil {
			return out, err
		}
		at, writes, mixed, err := b.await(ctx, to, size)
		if err != nil {
			return out, err
		}
		times = append(times, at.Sub(sent).Seconds()*1000)
		out.Writes += float64(writes) / float64(flips)
		if mixed {
			out.Mixed++
		}
		time.Sleep(20 * time.Millisecond) // a switch is no storm: the controllers are at rest before each
	}
	slices.Sort(times)
	out.P50, out.P99, out.Max = round(quantile(times, .5)), round(quantile(times, .99)), round(times[len(times)-1])
	out.Writes = round(out.Writes)
	return out, nil
}

func round(f float64) float64 { return math.Round(f*10) / 10 }

// quantile of sorted values, the nearest rank.
func quantile(sorted []float64, q float64) float64 {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// furnish makes the namespace with the Service and both colors' pods.
func furnish(ctx context.Context, c client.Client, ns string, size int) error {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: live}, Spec: corev1.ServiceSpec{
			Selector: map[string]string{color: colors[0]}, Ports: []corev1.ServicePort{{Port: 80}},
		}},
	}
	no := false
	for _, col := range colors {
		for n := range size {
			objects = append(objects, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("%s-%d", col, n), Labels: map[string]string{color: col}},
				Spec:       corev1.PodSpec{AutomountServiceAccountToken: &no, Containers: []corev1.Container{{Name: "api", Image: "none"}}},
			})
		}
	}
	for _, o := range objects {
		if err := create(ctx, c, o); err != nil {
			return fmt.Errorf("making %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

// create tries for a while: a new namespace has no service account at first.
func create(ctx context.Context, c client.Client, o client.Object) (err error) {
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		if err = c.Create(ctx, o); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func show(ctx context.Context, c client.Client, ns, to string) error {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: live}}
	return c.Patch(ctx, svc, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"selector":{%q:%q}}}`, color, to)))
}

// await reads events until exactly the pods of a color are listed.
func (b *board) await(ctx context.Context, want string, size int) (at time.Time, writes int, mixed bool, err error) {
	timeout := time.After(patient)
	for {
		select {
		case <-ctx.Done():
			return at, writes, mixed, context.Cause(ctx)
		case <-timeout:
			return at, writes, mixed, fmt.Errorf("waited %s for %d %s endpoints; listed are %v", patient, size, want, b.count())
		case e, open := <-b.events:
			slice, ok := e.Object.(*discoveryv1.EndpointSlice)
			if !open || !ok {
				return at, writes, mixed, errors.New("the watch of EndpointSlices has ended")
			}
			writes++
			b.note(e.Type, slice)
		}
		n := b.count()
		if n[want] == size && len(n) == 1 {
			return time.Now(), writes, mixed, nil
		}
		mixed = mixed || len(n) == 2
	}
}

func (b *board) note(kind watch.EventType, slice *discoveryv1.EndpointSlice) {
	delete(b.slices, slice.Name)
	if kind == watch.Deleted {
		return
	}
	for _, p := range slice.Endpoints {
		if p.Conditions.Ready == nil || *p.Conditions.Ready {
			col, _, _ := strings.Cut(p.TargetRef.Name, "-")
			b.slices[slice.Name] = append(b.slices[slice.Name], col)
		}
	}
}

func (b *board) count() map[string]int {
	n := map[string]int{}
	for _, list := range b.slices {
		for _, col := range list {
			n[col]++
		}
	}
	return n
}
