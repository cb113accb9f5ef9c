package revision

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// What the user writes about a store's pod names its record; defaults, the volume's size and the rest of the spec do not.
func TestStoreRecord(t *testing.T) {
	record := func(store string, change func(*v1alpha1.EngLogInstance)) string {
		i := &v1alpha1.EngLogInstance{}
		i.Name, i.Spec.Version, i.Spec.Database.Type, i.Spec.Cache.Type = "demo", "1.0.0", v1alpha1.StoreManaged, v1alpha1.StoreManaged
		if change != nil {
			change(i)
		}
		name, err := StoreRecord(i, store)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	database, cache := record(Database, nil), record(Cache, nil)
	size := resource.MustParse("20Gi")
	for _, c := range []struct {
		name            string
		database, cache bool // whether a new record follows
		change          func(*v1alpha1.EngLogInstance)
	}{
		{"version", false, false, func(i *v1alpha1.EngLogInstance) { i.Spec.Version = "2.0.0" }},
		{"what status pins", false, false, func(i *v1alpha1.EngLogInstance) { i.Status.Managed = &v1alpha1.ManagedStatus{PostgresMajor: 17} }},
		{"an empty group", false, false, func(i *v1alpha1.EngLogInstance) { i.Spec.Database.Managed = &v1alpha1.ManagedDatabase{} }},
		{"size of the volume", false, false, func(i *v1alpha1.EngLogInstance) {
			i.Spec.Database.Managed = &v1alpha1.ManagedDatabase{Storage: &v1alpha1.StorageSpec{Size: &size}}
		}},
		{"image of the cache", false, true, func(i *v1alpha1.EngLogInstance) { i.Spec.Cache.Managed = &v1alpha1.ManagedCache{Image: "redis:8"} }},
		{"connections", true, false, func(i *v1alpha1.EngLogInstance) { i.Spec.Database.MaxConnections = 50 }},
		{"pull secrets", true, true, func(i *v1alpha1.EngLogInstance) {
			i.Spec.Image = &v1alpha1.ImageSpec{PullSecrets: []v1alpha1.SecretName{{Name: "mine"}}}
		}},
	} {
		if got := record(Database, c.change) != database; got != c.database {
			t.Errorf("%s: a new record of the database is %v", c.name, got)
		}
		if got := record(Cache, c.change) != cache; got != c.cache {
			t.Errorf("%s: a new record of the cache is %v", c.name, got)
		}
	}
}

func TestANewerOperatorsStoreIsRefused(t *testing.T) {
	if _, err := DecodeStore([]byte(`{"format":2}`)); err == nil {
		t.Error("a newer format was read")
	}
	encoded, err := StoreSnapshot{Script: "x"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := DecodeStore(encoded); err != nil || s.Script != "x" {
		t.Errorf("%+v, %v", s, err)
	}
}
