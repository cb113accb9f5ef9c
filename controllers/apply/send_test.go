package apply

import (
	"context"
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// busy is an API server on which something else writes a Deployment between any two of our calls, until it has done so often enough.
type busy struct {
	client.Client
	now     world.Identity
	writes  int
	another func(*busy)
	sent    int
	// behind is a cache that still shows what the first decision was made on; orphaned is an object that has lost its owner.
	behind, orphaned bool
	// refuses is an API server that has another reason.
	refuses bool
}

func newBusy(writes int, another func(*busy)) *busy {
	b := &busy{now: world.Identity{UID: "u", ResourceVersion: "2", Generation: 1}, writes: writes, another: another}
	b.Client = interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{Apply: b.apply, Get: b.get})
	return b
}

func (b *busy) apply(_ context.Context, _ client.WithWatch, o runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	b.sent++
	version := ""
	switch o := o.(type) {
	case *appsv1ac.DeploymentApplyConfiguration:
		version = *o.ResourceVersion
	case *corev1ac.ServiceApplyConfiguration:
		version = *o.ResourceVersion
	}
	if version == b.now.ResourceVersion && !b.refuses {
		return nil
	}
	return apierrors.NewConflict(schema.GroupResource{Resource: "deployments"}, "demo-api-blue", errors.New("it has moved"))
}

func (b *busy) get(_ context.Context, _ client.WithWatch, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	o.SetUID(b.now.UID)
	o.SetGeneration(b.now.Generation)
	if !b.orphaned {
		o.SetOwnerReferences([]metav1.OwnerReference{{UID: "i"}})
	}
	if _, cached := o.(*appsv1.Deployment); cached && b.behind {
		o.SetResourceVersion("1")
		return nil
	}
	o.SetResourceVersion(b.now.ResourceVersion)
	if b.writes--; b.writes > 0 {
		b.another(b)
	}
	return nil
}

func TestAWriteOutlastsTheStatusOfItsDeployment(t *testing.T) {
	decided := world.Identity{UID: "u", ResourceVersion: "1", Generation: 1}
	counts := func(b *busy) { b.now.ResourceVersion += "0" }
	deployment := func() runtime.ApplyConfiguration { return appsv1ac.Deployment("demo-api-blue", "n") }
	tests := map[string]struct {
		server *busy
		but    func(*busy)
		object runtime.ApplyConfiguration
		sent   int
		done   bool
	}{
		"status moves thrice":          {newBusy(3, counts), nil, deployment(), 4, true},
		"the cache is behind":          {newBusy(3, counts), func(b *busy) { b.behind = true }, deployment(), 4, true},
		"status never rests":           {newBusy(1000, counts), nil, deployment(), tries, false},
		"the spec has moved":           {newBusy(2, func(b *busy) { counts(b); b.now.Generation++ }), nil, deployment(), 2, false},
		"it was made anew":             {newBusy(2, func(b *busy) { counts(b); b.now.UID = "v" }), nil, deployment(), 2, false},
		"it has lost its owner":        {newBusy(2, func(b *busy) { counts(b); b.orphaned = true }), nil, deployment(), 2, false},
		"refused for another reason":   {newBusy(1, counts), func(b *busy) { b.refuses = true }, deployment(), 2, false},
		"a Service has no busy status": {newBusy(1, counts), nil, corev1ac.Service("demo-api", "n"), 1, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.but != nil {
				test.but(test.server)
			}
			err := send(t.Context(), test.server, decided, test.object)
			if test.done != (err == nil) || test.server.sent != test.sent {
				t.Errorf("it ended with %v after %d writes, want %d of them", err, test.server.sent, test.sent)
			}
			if err != nil && !Overtaken(err) {
				t.Errorf("%v is not for a new decision", err)
			}
		})
	}
}

// A Deployment that was not there when the decision was made, and is refused, is somebody else's doing.
func TestACreationIsNotSentAgain(t *testing.T) {
	server := newBusy(1, func(*busy) {})
	if err := send(t.Context(), server, world.Identity{}, appsv1ac.Deployment("demo-api-blue", "n").WithResourceVersion("")); err == nil || server.sent != 1 {
		t.Errorf("it ended with %v after %d writes", err, server.sent)
	}
}

// A Service and an autoscaler are deleted as they were decided on; of a Job, whose counters move, it is enough that it is the same one.
func TestDeletionsNameWhatWasDecidedOn(t *testing.T) {
	for kind, version := range map[plan.Kind]string{plan.Service: "5", plan.Autoscaler: "5", plan.Job: ""} {
		var asked client.DeleteOptions
		server := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
			Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, options ...client.DeleteOption) error {
				asked.ApplyOptions(options)
				return nil
			},
		})
		a := &Applier{Client: server}
		d := plan.Delete{Kind: kind, Name: "demo", Identity: world.Identity{UID: "u", ResourceVersion: "5"}}
		if err := a.remove(t.Context(), &v1alpha1.EngLogInstance{}, d); err != nil {
			t.Fatal(err)
		}
		p := asked.Preconditions
		if p == nil || p.UID == nil || *p.UID != "u" || (p.ResourceVersion != nil) != (version != "") || p.ResourceVersion != nil && *p.ResourceVersion != version {
			t.Errorf("%s is deleted on the conditions %+v", kind, p)
		}
	}
}

func send(ctx context.Context, server *busy, decided world.Identity, o runtime.ApplyConfiguration) error {
	kind := "Deployment"
	if _, service := o.(*corev1ac.ServiceApplyConfiguration); service {
		kind = "Service"
	}
	instance := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{UID: "i"}}
	fence(o, decided)
	a := &Applier{Client: server, Live: server}
	return a.send(ctx, instance, identity{Kind: kind, Name: "demo-api-blue", Namespace: "n"}, decided, o)
}
