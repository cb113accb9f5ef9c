package apply

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/garnizeh/englog-operator/controllers/world"
)

// busy is an API server on which something else writes a Deployment between any two of our calls, until it has done so often enough.
type busy struct {
	client.Client
	now     world.Identity
	writes  int
	another func(*world.Identity)
	sent    []string
}

func newBusy(writes int, another func(*world.Identity)) *busy {
	b := &busy{now: world.Identity{UID: "u", ResourceVersion: "2", Generation: 1}, writes: writes, another: another}
	b.Client = interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{Apply: b.apply, Get: b.get})
	return b
}

func (b *busy) apply(_ context.Context, _ client.WithWatch, o runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	version := ""
	switch o := o.(type) {
	case *appsv1ac.DeploymentApplyConfiguration:
		version = *o.ResourceVersion
	case *corev1ac.ServiceApplyConfiguration:
		version = *o.ResourceVersion
	}
	b.sent = append(b.sent, version)
	if version == b.now.ResourceVersion {
		return nil
	}
	return apierrors.NewConflict(schema.GroupResource{Resource: "deployments"}, "demo-api-blue", errors.New("it has moved"))
}

func (b *busy) get(_ context.Context, _ client.WithWatch, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	o.SetUID(b.now.UID)
	o.SetResourceVersion(b.now.ResourceVersion)
	o.SetGeneration(b.now.Generation)
	if b.writes--; b.writes > 0 {
		b.another(&b.now)
	}
	return nil
}

func TestAWriteOutlastsTheStatusOfItsDeployment(t *testing.T) {
	decided := world.Identity{UID: "u", ResourceVersion: "1", Generation: 1}
	counts := func(i *world.Identity) { i.ResourceVersion += "0" }
	tests := map[string]struct {
		server *busy
		object runtime.ApplyConfiguration
		kind   string
		sent   int
		done   bool
	}{
		"status moves thrice":           {newBusy(3, counts), appsv1ac.Deployment("demo-api-blue", "n"), "Deployment", 4, true},
		"status never rests":            {newBusy(1000, counts), appsv1ac.Deployment("demo-api-blue", "n"), "Deployment", tries, false},
		"the spec has moved":            {newBusy(2, func(i *world.Identity) { counts(i); i.Generation++ }), appsv1ac.Deployment("demo-api-blue", "n"), "Deployment", 2, false},
		"it was made anew":              {newBusy(2, func(i *world.Identity) { counts(i); i.UID = "v" }), appsv1ac.Deployment("demo-api-blue", "n"), "Deployment", 2, false},
		"a Service is no such busy one": {newBusy(1, counts), corev1ac.Service("demo-api", "n"), "Service", 1, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := &Applier{Client: test.server, Live: test.server}
			fence(test.object, decided)
			err := a.send(t.Context(), identity{Kind: test.kind, Name: "demo-api-blue", Namespace: "n"}, decided, test.object)
			if test.done != (err == nil) || len(test.server.sent) != test.sent {
				t.Errorf("it ended with %v after the resourceVersions %v, want %d of them", err, test.server.sent, test.sent)
			}
			if err != nil && !Overtaken(err) {
				t.Errorf("%v is not for a new decision", err)
			}
		})
	}
}
