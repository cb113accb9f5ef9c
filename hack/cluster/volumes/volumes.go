// Package volumes gives each claim of the class `directory` a directory of the node as its volume, and takes both away
// when the claim is gone. The volumes are of type local: unlike hostPath, these get a pod's fsGroup. It must import
// nothing of the operator or the service.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
)

// Provisioner is what the StorageClass names.
const Provisioner = "cluster.invalid/directory"

// Annotations by which Kubernetes speaks with provisioners.
const (
	wantedFrom    = "volume.kubernetes.io/storage-provisioner" // on a claim: who is to make its volume
	selectedNode  = "volume.kubernetes.io/selected-node"       // on a claim: where its first pod will run
	provisionedBy = "pv.kubernetes.io/provisioned-by"          // on a volume: who is to remove it
)

type meta struct {
	Namespace   string            `json:"namespace,omitempty"`
	Name        string            `json:"name"`
	UID         string            `json:"uid,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type claim struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		AccessModes      []string `json:"accessModes"`
		StorageClassName string   `json:"storageClassName"`
		VolumeName       string   `json:"volumeName"`
		Resources        struct {
			Requests map[string]string `json:"requests"`
		} `json:"resources"`
	} `json:"spec"`
}

// waits says whether we are to make the claim's volume now.
func (c claim) waits() bool {
	a := c.Metadata.Annotations
	return a[wantedFrom] == Provisioner && a[selectedNode] == local.NodeName && c.Spec.VolumeName == ""
}

type volume struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		ReclaimPolicy string `json:"persistentVolumeReclaimPolicy"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

// done says whether we are to remove the volume now.
func (v volume) done() bool {
	return v.Metadata.Annotations[provisionedBy] == Provisioner && v.Status.Phase == "Released" && v.Spec.ReclaimPolicy == "Delete"
}

// Serve provides volumes until the context ends.
func Serve(ctx context.Context, c *local.Cluster) error {
	changed := make(chan struct{}, 1)
	claims := local.NewMirror[claim](ctx, c, "/api/v1/persistentvolumeclaims", changed)
	volumes := local.NewMirror[volume](ctx, c, "/api/v1/persistentvolumes", changed)
	var ready atomic.Bool
	go func() {
		for {
			wanted, known := claims.Objects()
			present, seen := volumes.Objects()
			if known && seen {
				ready.Store(true)
				if err := settle(ctx, c, wanted, present); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			case <-time.After(5 * time.Second): // what failed is tried again
			}
		}
	}()
	return local.Serve(ctx, local.VolumesAddress, func() (string, bool) { return "ok\n", ready.Load() })
}

// settle makes the volumes that claims wait for and removes those that are released.
func settle(ctx context.Context, c *local.Cluster, claims []claim, volumes []volume) error {
	var errs []error
	for _, wanted := range claims {
		if wanted.waits() {
			errs = append(errs, provide(ctx, c, wanted))
		}
	}
	for _, v := range volumes {
		if v.done() {
			errs = append(errs, remove(ctx, c, v))
		}
	}
	return errors.Join(errs...)
}

const volumesPath = "/api/v1/persistentvolumes"

// provide makes a claim's directory and its volume. Both have a name of their own for each incarnation of a claim, so
// doing it twice is doing it once.
func provide(ctx context.Context, c *local.Cluster, wanted claim) error {
	name := nameFor(wanted)
	dir := filepath.Join(c.VolumesDir(), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	if err := c.Create(ctx, volumesPath, describe(wanted, dir)); err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	return nil
}

func nameFor(c claim) string { return "pvc-" + c.Metadata.UID }

// remove takes the directory away before the object: what fails is tried again as long as the object is there.
func remove(ctx context.Context, c *local.Cluster, v volume) error {
	if err := os.RemoveAll(filepath.Join(c.VolumesDir(), filepath.Base(v.Metadata.Name))); err != nil {
		return fmt.Errorf("remove volume %s: %w", v.Metadata.Name, err)
	}
	if err := c.Delete(ctx, volumesPath+"/"+v.Metadata.Name); err != nil {
		return fmt.Errorf("remove volume %s: %w", v.Metadata.Name, err)
	}
	return nil
}

// object is JSON for the API server.
type object = map[string]any

// describe is the volume of a claim: as large as it asks for, which nothing enforces.
func describe(wanted claim, dir string) object {
	onNode := object{"key": "kubernetes.io/hostname", "operator": "In", "values": []string{local.NodeName}}
	return object{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": meta{Name: nameFor(wanted), Annotations: map[string]string{provisionedBy: Provisioner}},
		"spec": object{
			"capacity":                      wanted.Spec.Resources.Requests,
			"accessModes":                   wanted.Spec.AccessModes,
			"persistentVolumeReclaimPolicy": "Delete",
			"storageClassName":              wanted.Spec.StorageClassName,
			"claimRef": object{
				"apiVersion": "v1", "kind": "PersistentVolumeClaim",
				"namespace": wanted.Metadata.Namespace, "name": wanted.Metadata.Name, "uid": wanted.Metadata.UID,
			},
			"local":        object{"path": dir},
			"nodeAffinity": object{"required": object{"nodeSelectorTerms": []object{{"matchExpressions": []object{onNode}}}}},
		},
	}
}
