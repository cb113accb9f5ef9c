package render

import (
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/revision"
)

// managedStore is one of the stores that the operator runs beside an instance.
type managedStore struct {
	component string
	port      int32
}

// stores lists the stores that are Managed.
func stores(in Input) []managedStore {
	var all []managedStore
	if in.Spec.Database.Type == v1alpha1.StoreManaged {
		all = append(all, managedStore{component: revision.Database, port: 5432})
	}
	if in.Spec.Cache.Type == v1alpha1.StoreManaged {
		all = append(all, managedStore{component: revision.Cache, port: 6379})
	}
	return all
}

func store(Input, plan.Ensure) ([]runtime.ApplyConfiguration, error) { return nil, nil }

func quantity(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.DecimalSI) }
