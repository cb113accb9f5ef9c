// Package report says what there is to say about one instance after one plan: conditions, status, events, metrics. All of it is computed
// from the world and the plan by pure functions; the write of the status at the end is the only I/O.
//
// It must never import observe, apply or probe, and never decides what is done: a status that is wrong must not be able to move traffic.
package report

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/failpoint"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Reporter tells about instances.
type Reporter struct {
	client  client.StatusClient
	events  events.EventRecorder
	now     func() time.Time
	metrics *instruments
}

// New returns a Reporter that counts in controller-runtime's registry.
func New(c client.StatusClient, recorder events.EventRecorder, now func() time.Time) *Reporter {
	return &Reporter{client: c, events: recorder, now: now, metrics: newInstruments(metrics.Registry)}
}

// Tell persists what the plan proposes, then tells the world about it: a status that was not written has not happened. failure is what
// kept the plan's writes from being made, effective the settings that pods are given, without secrets; nil leaves them as they were. It
// returns the failure of the status write, such as a conflict when the object has changed.
func (r *Reporter) Tell(ctx context.Context, w *world.World, p plan.Plan, failure error, effective map[string]string) error {
	now, old := r.now(), w.Instance.Status.DeepCopy()
	status := Status(w, p, failure, effective, now)
	written, err := Write(ctx, r.client, w.Instance, status)
	if err != nil {
		return err
	}
	r.metrics.observe(client.ObjectKeyFromObject(w.Instance), w.Instance)
	if written {
		r.announce(w.Instance, p.Events, old, &status)
		r.metrics.count(client.ObjectKeyFromObject(w.Instance), p.Events, old, &status, now)
	}
	return nil
}

// Forget removes the metrics of an instance that is gone.
func (r *Reporter) Forget(key types.NamespacedName) { r.metrics.forget(key) }

// CountWrite counts one write of a child: result is changed, unchanged or error.
func (r *Reporter) CountWrite(kind, result string) {
	r.metrics.applied.WithLabelValues(kind, result).Inc()
}

// CountDrift counts a child that somebody else had changed and that was taken back.
func (r *Reporter) CountDrift(kind string) { r.metrics.drifts.WithLabelValues(kind).Inc() }

// Write replaces the status of an instance, if there is news and nobody has changed the object since it was read, and says whether it
// did. The instance is updated to what was stored.
func Write(ctx context.Context, c client.StatusClient, instance *v1alpha1.EngLogInstance, status v1alpha1.EngLogInstanceStatus) (bool, error) {
	if !worthWriting(&instance.Status, &status) {
		return false, nil
	}
	updated := instance.DeepCopy()
	updated.Status = status
	name := "status " + string(stepOf(&status))
	failpoint.Before(name)
	if err := c.Status().Update(ctx, updated); err != nil {
		return false, fmt.Errorf("writing the status: %w", err)
	}
	failpoint.After(name)
	*instance = *updated
	return true, nil
}
