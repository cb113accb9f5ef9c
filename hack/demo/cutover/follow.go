package cutover

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// instances sends each version of the demo's instance until ctx ends. A watch that breaks is begun again.
func (c *Cluster) instances(ctx context.Context) <-chan *v1alpha1.EngLogInstance {
	out := make(chan *v1alpha1.EngLogInstance)
	go func() {
		defer close(out)
		for ctx.Err() == nil {
			c.watchOnce(ctx, out)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return out
}

func (c *Cluster) watchOnce(ctx context.Context, out chan<- *v1alpha1.EngLogInstance) {
	w, err := c.Watch(ctx, &v1alpha1.EngLogInstanceList{}, client.InNamespace(Namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", Name)})
	if err != nil {
		return // begun again; whoever follows has a deadline
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		i, ok := event.Object.(*v1alpha1.EngLogInstance)
		if !ok {
			return // an error event
		}
		select {
		case out <- i:
		case <-ctx.Done():
			return
		}
	}
}

// verdict says whether the rollout that a change of the spec caused has come to its end, and the error when it was not
// the good one. before is the instance as it was before the change.
func verdict(before, now *v1alpha1.EngLogInstance, generation int64) (ended bool, err error) {
	s := now.Status
	if s.ObservedGeneration < generation || s.Active == nil || s.Rollout == nil || s.Rollout.Step != v1alpha1.StepStable {
		return false, nil
	}
	if before.Status.Rollout != nil && before.Status.Rollout.ID == s.Rollout.ID {
		return false, nil // the rollout before
	}
	if s.Active.Revision == s.Rollout.ToRevision && s.Active.Revision != before.Status.Active.Revision {
		return true, nil
	}
	if f := s.LastFailure; f != nil && f.Revision == s.Rollout.ToRevision {
		return true, fmt.Errorf("the rollout to %s failed in %s: %s: %s", f.Version, f.Step, f.Reason, f.Message)
	}
	return false, nil
}

// holds reports whether a condition is True.
func holds(i *v1alpha1.EngLogInstance, condition string) bool {
	for _, c := range i.Status.Conditions {
		if c.Type == condition {
			return c.Status == metav1.ConditionTrue
		}
	}
	return false
}

// stepTimes are the steps of the rollout as the operator recorded them, with the time spent in each. now ends the last.
func stepTimes(r *v1alpha1.RolloutStatus, now time.Time) []StepTime {
	if r == nil {
		return nil
	}
	var out []StepTime
	for n, s := range r.Steps {
		end := now
		if n+1 < len(r.Steps) {
			end = r.Steps[n+1].At.Time
		}
		if s.Step != v1alpha1.StepStable {
			out = append(out, StepTime{Step: s.Step, At: s.At.Time, Seconds: end.Sub(s.At.Time).Seconds()})
		}
	}
	return out
}
