package observe

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

const (
	// EnforceLabel is what a namespace says about the pods that it admits: https://kubernetes.io/docs/concepts/security/pod-security-standards/.
	EnforceLabel = "pod-security.kubernetes.io/enforce"
	restricted   = "restricted"
)

// warnings adds what works and is not as it should be: the namespace, and what the candidate's workers have said about the stores.
func (r *Reader) warnings(ctx context.Context, w *world.World) error {
	missing, err := r.levels.missing(ctx, r, w.Instance.Namespace)
	if err != nil {
		return err
	}
	if missing {
		w.Warnings = append(w.Warnings, world.Problem{Reason: "NamespaceNotRestricted", Message: fmt.Sprintf(
			"namespace %s admits pods that are not restricted; this instance's are: kubectl label namespace %s %s=%s", w.Instance.Namespace, w.Instance.Namespace, EnforceLabel, restricted)})
	}
	if rollout := w.Instance.Status.Rollout; rollout != nil {
		for _, check := range rollout.Checks {
			if said, is := strings.CutPrefix(check.Message, world.WarningPrefix); is && check.Result == v1alpha1.CheckPassed {
				w.Warnings = append(w.Warnings, world.Problem{Reason: "CheckWarns", Message: said})
			}
		}
	}
	return nil
}

// levels remembers which namespaces enforce the restricted standard. Namespaces are no children: they are read past the caches, one by one, and
// only when an instance in them is looked at anyway.
type levels struct {
	mu   sync.Mutex
	read map[string]level
}

type level struct {
	missing bool
	at      time.Time
}

func (l *levels) missing(ctx context.Context, r *Reader, namespace string) (bool, error) {
	if r.Live == nil {
		return false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, is := l.read[namespace]; is && r.Secrets.now().Sub(known.at) < r.Secrets.refresh {
		return known.missing, nil
	}
	n := &corev1.Namespace{}
	err := r.Live.Get(ctx, types.NamespacedName{Name: namespace}, n)
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err): // an operator that is confined to namespaces may not ask
		n.Labels = map[string]string{EnforceLabel: restricted}
	case err != nil:
		return false, fmt.Errorf("reading namespace %s: %w", namespace, err)
	}
	if l.read == nil {
		l.read = map[string]level{}
	}
	l.read[namespace] = level{missing: n.Labels[EnforceLabel] != restricted, at: r.Secrets.now()}
	return l.read[namespace].missing, nil
}
