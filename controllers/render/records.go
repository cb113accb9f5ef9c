package render

import (
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/garnizeh/englog-operator/controllers/plan"
)

// serviceAccount is the identity of a component's pods. It may do nothing, and no pod mounts its token.
func serviceAccount(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	given := component(&in.Spec, e.Component).ServiceAccount
	if given != nil && given.Name != "" {
		return nil, nil
	}
	sa := corev1ac.ServiceAccount(plan.LiveName(in.Instance.Name, e.Component), in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, string(e.Component))).WithOwnerReferences(in.owner()).
		WithAutomountServiceAccountToken(false)
	if given != nil {
		sa.WithAnnotations(given.Annotations)
	}
	return one(sa), nil
}

// configMap is the environment of a revision. It is immutable, so that no color's configuration changes under it (X50).
func configMap(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	s, err := in.snapshot(e.Revision)
	if err != nil {
		return nil, err
	}
	data := maps.Clone(s.Config)
	data["ENGLOG_REVISION"] = e.Revision
	return one(corev1ac.ConfigMap(plan.ConfigName(in.Instance.Name, e.Revision), in.Instance.Namespace).
		WithLabels(revisionLabels(in, e.Revision, s.Version)).WithOwnerReferences(in.owner()).
		WithImmutable(true).WithData(data)), nil
}

// controllerRevision stores the snapshot. Its ordinal grows with each new revision and is kept when the revision comes back.
func controllerRevision(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	s, err := in.snapshot(e.Revision)
	if err != nil {
		return nil, err
	}
	encoded, err := s.Encode()
	if err != nil {
		return nil, err
	}
	return one(appsv1ac.ControllerRevision(plan.SnapshotName(in.Instance.Name, e.Revision), in.Instance.Namespace).
		WithLabels(revisionLabels(in, e.Revision, s.Version)).WithOwnerReferences(in.owner()).
		WithRevision(in.ordinal(e.Revision)).WithData(runtime.RawExtension{Raw: encoded})), nil
}

func (in Input) ordinal(name string) int64 {
	if known, ok := in.World.Known[name]; ok {
		return known.Ordinal
	}
	var highest int64
	for _, known := range in.World.Known {
		highest = max(highest, known.Ordinal)
	}
	return highest + 1
}

func revisionLabels(in Input, name, version string) map[string]string {
	l := Labels(in.Instance.Name, "")
	l[RevisionLabel], l[VersionLabel] = name, labelValue(version)
	return l
}

// labelValue shortens a version to what a label may hold.
func labelValue(version string) string {
	return strings.TrimRight(version[:min(len(version), 63)], "-._")
}
