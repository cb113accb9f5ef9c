package observe

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

func managed(change func(*v1alpha1.EngLogInstance)) *v1alpha1.EngLogInstance {
	i := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	i.Spec.Version, i.Spec.Database.Type, i.Spec.Cache.Type = "1.0.0", v1alpha1.StoreManaged, v1alpha1.StoreManaged
	if change != nil {
		change(i)
	}
	return i
}

func TestTheOperatorsMajorIsForNewDatabasesThatNameNone(t *testing.T) {
	pinned := func(i *v1alpha1.EngLogInstance) { i.Status.Managed = &v1alpha1.ManagedStatus{PostgresMajor: 16} }
	named := func(i *v1alpha1.EngLogInstance) {
		i.Spec.Database.Managed = &v1alpha1.ManagedDatabase{MajorVersion: 18}
	}
	for _, c := range []struct {
		name   string
		flag   int32
		change func(*v1alpha1.EngLogInstance)
		major  int32
		image  string
	}{
		{"no flag", 0, nil, 17, "docker.io/library/postgres:17"},
		{"flag", 15, nil, 15, "docker.io/library/postgres:15"},
		{"the volume was made by another", 15, pinned, 16, "docker.io/library/postgres:16"},
		{"the user names one", 15, named, 18, "docker.io/library/postgres:18"},
	} {
		i := managed(c.change)
		got := (&Reader{PostgresMajor: c.flag}).resolved(i).Database.Managed
		if got.MajorVersion != c.major || got.Image != c.image {
			t.Errorf("%s: %d from %s, want %d from %s", c.name, got.MajorVersion, got.Image, c.major, c.image)
		}
		if c.change == nil && i.Status.Managed != nil {
			t.Errorf("%s: the instance was changed", c.name)
		}
	}
}

func TestRecordsOfStores(t *testing.T) {
	i := managed(nil)
	encoded, err := revision.StoreSnapshot{Script: "x"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	name, err := revision.StoreRecord(i, revision.Database)
	if err != nil {
		t.Fatal(err)
	}
	c := &children{}
	for n, labels := range map[string]map[string]string{
		name:                    {StoreRecordLabel: "database"},
		"demo-database-pod-old": {StoreRecordLabel: "database"},
		"demo-database-abc":     {ComponentLabel: "database"}, // the StatefulSet's own
	} {
		r := appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: n, Labels: labels}}
		r.Data.Raw = encoded
		c.snapshots.Items = append(c.snapshots.Items, r)
	}
	seen := &Seen{World: &world.World{Instance: i, Spec: i.Resolve()}}
	if err := c.storeRecords(seen); err != nil {
		t.Fatal(err)
	}
	if len(seen.Stores) != 1 || seen.Stores[name].Script != "x" {
		t.Errorf("records %+v, want the one of %s", seen.Stores, name)
	}
	if left := c.leftovers(seen.World); len(left) != 1 || left[0].Name != "demo-database-pod-old" {
		t.Errorf("leftovers %+v, want the record of an earlier spec alone", left)
	}
	if known := c.known(); len(known) != 0 {
		t.Errorf("records of stores are no revisions: %v", known)
	}
}
