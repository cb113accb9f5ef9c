package observe

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// StoreRecordLabel marks the record of what a Managed store's pod is made from; its value is the store.
const StoreRecordLabel = "englog.io/store"

// resolved is the spec that holds, with the operator's own default where a Managed database has no volume yet: afterwards status pins what
// the volume was made with.
func (r *Reader) resolved(instance *v1alpha1.EngLogInstance) v1alpha1.EngLogInstanceSpec {
	if r.PostgresMajor == 0 || instance.Status.Managed != nil {
		return instance.Resolve()
	}
	pinned := *instance
	pinned.Status.Managed = &v1alpha1.ManagedStatus{PostgresMajor: r.PostgresMajor}
	return pinned.Resolve()
}

// storeRecords loads what the pods of the Managed stores are made from.
func (c *children) storeRecords(seen *Seen) error {
	seen.Stores = map[string]revision.StoreSnapshot{}
	for _, store := range revision.ManagedStores(seen.World.Spec) {
		name, err := revision.StoreRecord(seen.World.Instance, store)
		if err != nil {
			return err
		}
		for i := range c.snapshots.Items {
			stored := &c.snapshots.Items[i]
			if stored.Name != name || stored.Labels[StoreRecordLabel] != store {
				continue
			}
			if seen.Stores[name], err = revision.DecodeStore(stored.Data.Raw); err != nil {
				return fmt.Errorf("reading ControllerRevision %s: %w", name, err)
			}
		}
	}
	return nil
}

// outdated is true for the record of a store whose user has changed what describes its pod.
func outdated(w *world.World, stored *appsv1.ControllerRevision) bool {
	store := stored.Labels[StoreRecordLabel]
	if store == "" {
		return false
	}
	name, err := revision.StoreRecord(w.Instance, store)
	return err == nil && stored.Name != name
}
