package observe

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// previewSuffix ends the name of the Service that a preview host leads to.
const previewSuffix = "-preview"

// unwanted adds the optional children to the leftovers that the spec no longer wants: an Ingress after a change of the exposure, a
// NetworkPolicy that was disabled, a preview's Service or HTTPRoute, a Middleware. They are tidied up at rest only, so that is when they are looked for.
func (r *Reader) unwanted(w *world.World, c *children) error {
	if s := w.Instance.Status.Rollout; s != nil && s.Step != v1alpha1.StepStable || len(w.Refusals) > 0 {
		return nil
	}
	wanted, err := r.Wanted(w)
	if err != nil {
		return fmt.Errorf("listing what instance %s wants: %w", w.Instance.Name, err)
	}
	add := func(kind string, o metav1.Object) {
		if !wanted[kind+"/"+o.GetName()] {
			w.Leftovers = append(w.Leftovers, world.Leftover{Kind: kind, Name: o.GetName(), Identity: world.IdentityOf(o)})
		}
	}
	for i := range c.ingresses.Items {
		add("Ingress", &c.ingresses.Items[i])
	}
	for i := range c.policies.Items {
		add("NetworkPolicy", &c.policies.Items[i])
	}
	for i := range c.httpRoutes.Items {
		add("HTTPRoute", &c.httpRoutes.Items[i])
	}
	for i := range c.extras {
		add(c.extras[i].Kind, &c.extras[i])
	}
	for i := range c.services.Items {
		if s := &c.services.Items[i]; strings.HasSuffix(s.Name, previewSuffix) {
			add("Service", s)
		}
	}
	return nil
}
