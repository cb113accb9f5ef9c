package operator

import (
	"testing"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// A revision owns its settings: while the old color is kept they stay as they were, and a rollback brings them back with it.
func TestSettingsComeBackWithARollback(t *testing.T) {
	t.Parallel()
	covers(t, "X50")
	instance := install(t)
	before := fetchConfig(t, instance)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.Config = &v1alpha1.ConfigSpec{LogLevel: v1alpha1.LogError}
	})
	awaitStep(t, instance, v1alpha1.StepRetaining)
	serves(t, instance, "1.0.0", v1alpha1.Green) // a setting is a revision, like a version
	if now := fetchConfig(t, instance).Data["LOG_LEVEL"]; now != "error" {
		t.Errorf("the new revision logs %s", now)
	}
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Config = nil })
	awaitStep(t, instance, v1alpha1.StepStable)
	serves(t, instance, "1.0.0", v1alpha1.Blue)
	if now := fetchConfig(t, instance); now.UID != before.UID || now.Data["LOG_LEVEL"] != before.Data["LOG_LEVEL"] {
		t.Errorf("the settings after the rollback are %s with LOG_LEVEL %s, and were %s with %s", now.Name, now.Data["LOG_LEVEL"], before.Name, before.Data["LOG_LEVEL"])
	}
	if now := deployment(instance.Namespace, "demo-api-blue"); fetch(t, now, now.Namespace, now.Name).Spec.Template.Spec.Containers[0].EnvFrom[0].ConfigMapRef.Name != before.Name {
		t.Error("the pods that serve do not have the settings that they began with")
	}
}
