package render

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// NewSnapshot makes the configuration and the pods of the revision that the spec asks for. What it leaves open on purpose is added by the
// objects that use it: the revision's name, the color, and what applies in place.
func NewSnapshot(in Input) (revision.Snapshot, error) {
	in.Spec = in.Spec.WithDefaults()
	references, _ := revision.Choose(revision.References(in.Instance.Name, in.Spec), in.present())
	s := revision.Snapshot{
		Version:     in.Spec.Version,
		Config:      environment(in, givenBy(references)),
		Templates:   map[v1alpha1.ComponentName]corev1.PodTemplateSpec{},
		Jobs:        map[string]corev1.PodTemplateSpec{},
		Connections: revision.Connections(&in.Spec),
	}
	for _, c := range world.Components {
		s.Templates[c] = componentTemplate(in, c, forComponent(references, c))
	}
	for _, phase := range []string{revision.Expand, revision.Contract} {
		t := jobTemplate(in, v1alpha1.API, migrateComponent, []string{"migrate", "up", "--phase", phase}, forMigrations(references))
		t.Spec.Containers[0].Env = append(t.Spec.Containers[0].Env, migrationParts(&in.Spec, s.Config, forMigrations(references))...)
		s.Jobs[phase] = planned(t, phase)
	}
	s.Jobs[revision.WorkerCheck] = jobTemplate(in, v1alpha1.Worker, checkComponent, []string{"worker", "--health-check"}, forComponent(references, v1alpha1.Worker))
	s.Jobs[revision.Check] = jobTemplate(in, v1alpha1.API, checkComponent, nil, forComponent(references, v1alpha1.API))
	return s, nil
}

// planned lets a migration tell what it is about to do before it begins.
func planned(t corev1.PodTemplateSpec, phase string) corev1.PodTemplateSpec {
	plan := *t.Spec.Containers[0].DeepCopy()
	plan.Name, plan.Args = planContainer, []string{"migrate", "plan", "--phase", phase}
	t.Spec.InitContainers = []corev1.Container{plan}
	return t
}
