package rig

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"
)

// patience bounds every wait. Nothing takes so long; it ends a test that would hang.
const patience = 60 * time.Second

// Namespace makes a namespace for one test, ready for pods, and deletes it afterwards.
func (r *Rig) Namespace(t testing.TB) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := r.Client.Create(t.Context(), namespace); err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := r.Client.Delete(context.Background(), namespace); client.IgnoreNotFound(err) != nil {
			t.Errorf("delete namespace %s: %v", namespace.Name, err)
		}
	})
	account := corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "default"}}
	r.Await(t, &account, "the default service account", func() bool { return true })
	return namespace.Name
}

// Create creates objects and fails the test where one is refused.
func (r *Rig) Create(t testing.TB, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := r.Client.Create(t.Context(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, client.ObjectKeyFromObject(object), err)
		}
	}
}

// Await watches an object, named by its namespace and name, until done holds, and leaves its state then in object.
// done is called once per change, so it costs no polling and misses no state that lasts. An object that does not exist
// yet is waited for.
func (r *Rig) Await(t testing.TB, object client.Object, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := r.await(ctx, object, func(event watch.EventType) bool { return event != watch.Deleted && done() })
	if err != nil {
		t.Fatalf("no %s within %s (%v); last seen:\n%s", what, patience, err, describe(object))
	}
}

// AwaitList watches a list until done holds, and leaves it as it then is in list. It reads the list anew on each change.
func (r *Rig) AwaitList(t testing.TB, list client.ObjectList, what string, done func() bool, options ...client.ListOption) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		watcher, err := r.Client.Watch(ctx, list, options...)
		if err != nil {
			t.Fatalf("watch %T: %v", list, err)
		}
		found, err := r.drainList(ctx, watcher, list, done, options)
		watcher.Stop()
		switch {
		case err != nil:
			t.Fatalf("no %s within %s (%v); last seen:\n%s", what, patience, err, describe(list))
		case found:
			return
		}
	}
}

// drainList reads a list at the start of a watch and on each of its events, until done holds or the watch ends.
func (r *Rig) drainList(
	ctx context.Context, watcher watch.Interface, list client.ObjectList, done func() bool, options []client.ListOption,
) (bool, error) {
	for open := true; open; {
		if err := r.Client.List(ctx, list, options...); err != nil {
			return false, fmt.Errorf("list: %w", err)
		}
		if done() {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case _, open = <-watcher.ResultChan():
		}
	}
	return false, nil
}

// AwaitGone waits until an object no longer exists.
func (r *Rig) AwaitGone(t testing.TB, object client.Object) {
	t.Helper()
	list, err := r.listFor(object)
	if err != nil {
		t.Fatal(err)
	}
	// A list, not the object's own events: it may be gone before the watch begins.
	r.AwaitList(t, list, "end of "+object.GetName(), func() bool { return meta.LenList(list) == 0 },
		client.InNamespace(object.GetNamespace()), client.MatchingFields{"metadata.name": object.GetName()})
}

func (r *Rig) awaitDefaultServiceAccount(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}
	if err := r.await(ctx, account, func(watch.EventType) bool { return true }); err != nil {
		return fmt.Errorf("wait for kube-controller-manager to make the default service account: %w", err)
	}
	return nil
}

// await hands each state of an object to done. A watch that ends early is begun again: it tells the state at its start.
func (r *Rig) await(ctx context.Context, object client.Object, done func(watch.EventType) bool) error {
	key := client.ObjectKeyFromObject(object)
	for {
		list, err := r.listFor(object)
		if err != nil {
			return err
		}
		watcher, err := r.Client.Watch(ctx, list, client.InNamespace(key.Namespace), client.MatchingFields{"metadata.name": key.Name})
		if err != nil {
			return fmt.Errorf("watch %T %s: %w", object, key, err)
		}
		found, err := drain(ctx, watcher, object, done)
		watcher.Stop()
		if found || err != nil {
			return err
		}
	}
}

// drain reads a watch to its end and tells whether done held on the way.
func drain(ctx context.Context, watcher watch.Interface, object client.Object, done func(watch.EventType) bool) (bool, error) {
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case event, open := <-watcher.ResultChan():
			switch {
			case !open:
				return false, nil
			case event.Type == watch.Error:
				return false, apierrors.FromObject(event.Object)
			}
			if err := copyInto(event.Object, object); err != nil {
				return false, err
			}
			if done(event.Type) {
				return true, nil
			}
		}
	}
}

// copyInto puts what a watch delivered where the caller looks, with no field of an earlier state left behind.
func copyInto(from runtime.Object, to client.Object) error {
	source, target := reflect.ValueOf(from), reflect.ValueOf(to)
	if source.Type() != target.Type() {
		return fmt.Errorf("the watch delivered a %T where %T was asked for", from, to)
	}
	target.Elem().Set(source.Elem())
	return nil
}

// listFor is an empty list of an object's kind: what a watch is asked with.
func (r *Rig) listFor(object client.Object) (client.ObjectList, error) {
	kind, err := apiutil.GVKForObject(object, r.Scheme)
	if err != nil {
		return nil, fmt.Errorf("find the kind of %T: %w", object, err)
	}
	kind.Kind += "List"
	made, err := r.Scheme.New(kind)
	if err != nil {
		return nil, fmt.Errorf("make a list of %s: %w", kind, err)
	}
	list, ok := made.(client.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%T is no list", made)
	}
	return list, nil
}

// describe shows an object for a failure message, without the noise of its field managers.
func describe(object runtime.Object) string {
	if single, ok := object.(client.Object); ok {
		single.SetManagedFields(nil)
	}
	text, err := yaml.Marshal(object)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
