package revision

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// The Jobs of a revision, as keys of Snapshot.Jobs.
const (
	Expand      = "expand"
	Contract    = "contract"
	WorkerCheck = "workercheck"
	Check       = "check"
)

// format is the version of the stored form. A reader refuses what is newer than it.
const format = 1

// Snapshot is everything that the pods of a revision are made from. It names neither the revision nor a color: what depends on them is
// added when an object is rendered. Because children are rendered from a stored snapshot and never from the spec, a new operator with
// other templates or other defaults restarts nothing.
type Snapshot struct {
	Format  int    `json:"format"`
	Version string `json:"version"`
	// Config is the non-secret environment that all pods share, without the revision's name.
	Config map[string]string `json:"config"`
	// Templates are the pods of the components. All three are here, whether the frontend is enabled or not.
	Templates map[v1alpha1.ComponentName]corev1.PodTemplateSpec `json:"templates"`
	// Jobs are the pods of the revision's Jobs. That of Check lacks its arguments, which are in-place inputs.
	Jobs map[string]corev1.PodTemplateSpec `json:"jobs"`
	// Connections is the size of one pod's pool of database connections.
	Connections int32 `json:"connections"`
	// Secrets are the keyed digests that the revision was hashed with, by "secret/key". A record of an older operator has none.
	Secrets map[string]string `json:"secrets,omitempty"`
}

// Encode gives the form that is stored in a ControllerRevision.
func (s Snapshot) Encode() ([]byte, error) {
	s.Format = format
	out, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding a snapshot: %w", err)
	}
	return out, nil
}

// Decode reads the stored form. It refuses the form of a newer operator.
func Decode(stored []byte) (Snapshot, error) {
	var s Snapshot
	if err := json.Unmarshal(stored, &s); err != nil {
		return Snapshot{}, fmt.Errorf("decoding a snapshot: %w", err)
	}
	if s.Format < 1 || s.Format > format {
		return Snapshot{}, fmt.Errorf("snapshot has format %d and this operator reads 1 to %d: run the newer operator", s.Format, format)
	}
	return s, nil
}
