package render

import (
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/garnizeh/englog-operator/controllers/plan"
)

// servicePort is where Services answer, whatever the pods' port is.
const servicePort = 80

// colorService leads to one color, whether users do or not. It is what a candidate is verified through and what a frontend speaks to.
func colorService(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	return one(corev1ac.Service(plan.SlotName(in.Instance.Name, slotOf(e)), in.Instance.Namespace).
		WithLabels(slotLabels(in, e)).WithOwnerReferences(in.owner()).
		WithSpec(serviceSpec(in, e))), nil
}

// liveService leads users to one revision in one color: the switch is this one write.
func liveService(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	return one(corev1ac.Service(plan.LiveName(in.Instance.Name, e.Component), in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, string(e.Component))).WithOwnerReferences(in.owner()).
		WithAnnotations(map[string]string{EpochKey: strconv.FormatInt(e.Epoch, 10)}).
		WithSpec(serviceSpec(in, e))), nil
}

func serviceSpec(in Input, e plan.Ensure) *corev1ac.ServiceSpecApplyConfiguration {
	to := maps.Clone(selector(in.Instance.Name, string(e.Component), e.Color))
	to[RevisionLabel] = e.Revision
	spec := corev1ac.ServiceSpec().WithType(corev1.ServiceTypeClusterIP).WithSelector(to).WithPorts(
		corev1ac.ServicePort().WithName(httpName).WithPort(servicePort).WithTargetPort(intstr.FromString(httpName)).
			WithProtocol(corev1.ProtocolTCP).WithAppProtocol("http"))
	if policy := in.Spec.Exposure.IPFamilyPolicy; policy != "" {
		spec.WithIPFamilyPolicy(corev1.IPFamilyPolicy(policy))
	}
	for _, family := range in.Spec.Exposure.IPFamilies {
		spec.WithIPFamilies(corev1.IPFamily(family))
	}
	return spec
}
