package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// pauseBetweenWatches keeps an API server that ends watches at once from being flooded.
const pauseBetweenWatches = time.Second

// watch prints a line whenever the instance has something new to say, until it is interrupted or the instance is gone.
func (s *session) watch(ctx context.Context) error {
	if _, err := s.get(ctx); err != nil {
		return err
	}
	last := ""
	for {
		gone, err := s.follow(ctx, &last)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // interrupted: what was asked for
		case gone:
			return s.say("%s is gone", s.key.Name)
		case err != nil && !apierrors.IsResourceExpired(err):
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pauseBetweenWatches):
		}
	}
}

// follow prints until the watch ends, which an API server does every few minutes.
func (s *session) follow(ctx context.Context, last *string) (gone bool, err error) {
	var list v1alpha1.EngLogInstanceList
	watcher, err := s.client.Watch(ctx, &list, client.InNamespace(s.key.Namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", s.key.Name)})
	if err != nil {
		return false, fmt.Errorf("watching %s: %w", s.key.Name, err)
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		instance, ok := event.Object.(*v1alpha1.EngLogInstance)
		switch {
		case event.Type == watch.Deleted:
			return true, nil
		case event.Type == watch.Error:
			return false, errors.Join(apierrors.FromObject(event.Object))
		case !ok:
			continue
		}
		if line := headline(instance); line != *last {
			*last = line
			if err := s.say("%s  %s", s.now().Format(time.TimeOnly), line); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// headline is the state of an instance in one line.
func headline(i *v1alpha1.EngLogInstance) string {
	ready, active, message := "?", "-", ""
	if c := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		ready, message = string(c.Status), c.Message
	}
	if a := i.Status.Active; a != nil {
		active = fmt.Sprintf("%s %s", a.Color, a.Version)
	}
	if r := i.Status.Rollout; r != nil && r.Step != v1alpha1.StepStable {
		message = r.Message
	}
	return fmt.Sprintf("%-17s ready %-7s active %-16s %s", stepOf(i), ready, active, message)
}
