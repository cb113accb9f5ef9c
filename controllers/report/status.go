package report

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Status is everything that the status of an instance is to say. effective holds the settings that pods are given, without secrets; nil
// leaves what was said before.
func Status(w *world.World, p plan.Plan, failure error, effective map[string]string, now time.Time) v1alpha1.EngLogInstanceStatus {
	v := newView(w, p, failure, now)
	conditions := v.conditions() // before the message is replaced: they read the plan's
	if r := v.next.Rollout; r != nil {
		r.Message = clip(v.sentence(), 1024)
	}
	s := v.next
	s.Conditions = conditions
	s.ObservedGeneration = w.Instance.Generation
	s.URL = v.url()
	s.Components = v.components()
	v.images()
	if effective != nil {
		s.Effective = settings(effective)
	}
	s.Managed = pinned(w)
	return *s
}

// pinned keeps the major version that the managed database was made with: a default that changes later must not change it.
func pinned(w *world.World) *v1alpha1.ManagedStatus {
	m := w.Spec.Database.Managed
	if was := w.Instance.Status.Managed; was != nil || m == nil || w.Spec.Database.Type != v1alpha1.StoreManaged {
		return was
	}
	return &v1alpha1.ManagedStatus{PostgresMajor: m.MajorVersion}
}

// url is where users find the API.
func (v *view) url() string {
	e := v.w.Spec.Exposure
	if e == nil || len(e.Hosts) == 0 {
		return "http://" + plan.LiveName(v.w.Instance.Name, v1alpha1.API) + "." + v.w.Instance.Namespace + ".svc"
	}
	scheme := "http://"
	if e.TLS != nil && e.TLS.Type != v1alpha1.TLSNone {
		scheme = "https://"
	}
	return scheme + string(e.Hosts[0])
}

// components lists the Deployments of every color that has a role.
func (v *view) components() []v1alpha1.ComponentStatus {
	var list []v1alpha1.ComponentStatus
	for _, r := range v.roles() {
		for _, c := range world.Components {
			w := v.w.Workloads[world.Slot{Component: c, Color: r.Color}]
			if !w.Exists {
				continue
			}
			list = append(list, v1alpha1.ComponentStatus{Name: c, Color: r.Color, Revision: w.Revision, Desired: w.Replicas, Ready: w.Ready(w.Revision)})
		}
	}
	return list
}

// images records, for each revision with a role, the ids of the images that its ready pods really run. A revision without pods keeps what
// is on record.
func (v *view) images() {
	for _, r := range v.roles() {
		ids := map[string]bool{}
		for _, c := range world.Components {
			for _, p := range v.w.Workloads[world.Slot{Component: c, Color: r.Color}].Pods {
				if p.Revision == r.Revision && p.Ready && p.ImageID != "" {
					ids[clip(p.ImageID, 512)] = true
				}
			}
		}
		if len(ids) > 0 {
			list := slices.Sorted(maps.Keys(ids))
			r.Images = list[:min(len(list), 6)]
		}
	}
}

func settings(effective map[string]string) []v1alpha1.EffectiveSetting {
	list := make([]v1alpha1.EffectiveSetting, 0, len(effective))
	for _, name := range slices.Sorted(maps.Keys(effective)) {
		if name != "" && len(name) <= 63 {
			list = append(list, v1alpha1.EffectiveSetting{Name: name, Value: clip(effective[name], 1024)})
		}
	}
	return list[:min(len(list), 64)]
}

// worthWriting says whether a status says something new. While a step of a rollout is under way, pods come and go by the second: then
// numbers alone are no news, in counts of pods and in sentences alike. They are told with the next write that has news.
func worthWriting(old, next *v1alpha1.EngLogInstanceStatus) bool {
	if equality.Semantic.DeepEqual(old, next) {
		return false
	}
	if slices.Contains(resting, stepOf(next)) {
		return true
	}
	return !equality.Semantic.DeepEqual(withoutNumbers(old), withoutNumbers(next))
}

func withoutNumbers(s *v1alpha1.EngLogInstanceStatus) *v1alpha1.EngLogInstanceStatus {
	s = s.DeepCopy()
	for i := range s.Conditions {
		s.Conditions[i].Message = wordsOf(s.Conditions[i].Message)
	}
	if s.Rollout != nil {
		s.Rollout.Message = wordsOf(s.Rollout.Message)
	}
	s.Components = nil
	for _, r := range []*v1alpha1.RevisionStatus{s.Active, s.Candidate, s.Previous} {
		if r != nil {
			r.Images = nil
		}
	}
	return s
}

var (
	numbers = regexp.MustCompile(`\d+`)
	// names of pods and the like end in random text, which would make a message new with each pod.
	suffixes = regexp.MustCompile(`(-[a-z0-9]{8,10})?-[a-z0-9]{5}\b`)
)

func wordsOf(message string) string {
	return strings.TrimSpace(numbers.ReplaceAllString(suffixes.ReplaceAllString(message, ""), "#"))
}
