// Package revision knows what makes one revision of an instance different from another: which inputs of the spec belong to it, which
// Secret keys it reads, how it is hashed, and what is stored of it so that it can be rendered again for ever.
//
// It must never import a Kubernetes client, read a clock or do I/O, and it must never look at defaults when it hashes: a new default of
// a new operator would replace every pod of every instance.
package revision

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// Inputs is the canonical JSON of what the user wrote and what pods depend on. It takes the spec as it is in the API server, without
// defaults. Two specs with equal inputs are the same revision; everything else of a spec applies in place.
func Inputs(spec v1alpha1.EngLogInstanceSpec) ([]byte, error) {
	s := *spec.DeepCopy()
	inputsOfInstance(&s)
	inputsOfComponents(&s)
	inputsOfStores(&s)
	inputsOfSecrets(&s)
	out, err := canonical(s)
	if err != nil {
		return nil, fmt.Errorf("encoding the revision inputs: %w", err)
	}
	return out, nil
}

// canonical sorts the groups by name and drops those in which nothing is left, so that a spec that only sets a group's in-place fields is
// the one that does not mention the group.
func canonical(s v1alpha1.EngLogInstanceSpec) ([]byte, error) {
	encoded, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	groups := map[string]json.RawMessage{}
	if err := json.Unmarshal(encoded, &groups); err != nil {
		return nil, err
	}
	maps.DeleteFunc(groups, func(_ string, group json.RawMessage) bool { return string(group) == "{}" })
	return json.Marshal(groups)
}

// inputsOfInstance removes the groups that steer the operator and not the pods, and keeps of the others what ends in a pod's environment.
func inputsOfInstance(s *v1alpha1.EngLogInstanceSpec) {
	s.Rollout = nil
	s.RestartToken = ""
	s.Reconciliation = ""
	s.Activity = ""
	s.NetworkPolicy = nil
	s.Exposure = exposureInputs(s.Exposure)
	s.Monitoring = monitoringInputs(s.Monitoring)
}

func exposureInputs(e *v1alpha1.ExposureSpec) *v1alpha1.ExposureSpec {
	if e == nil || e.RateLimit == nil || e.RateLimit.RequestsPerSecond == 0 {
		return nil
	}
	return &v1alpha1.ExposureSpec{RateLimit: &v1alpha1.RateLimitSpec{RequestsPerSecond: e.RateLimit.RequestsPerSecond}}
}

func monitoringInputs(m *v1alpha1.MonitoringSpec) *v1alpha1.MonitoringSpec {
	if m == nil || m.Metrics == "" {
		return nil
	}
	return &v1alpha1.MonitoringSpec{Metrics: m.Metrics}
}

// inputsOfComponents removes the number of pods and what the operator's ServiceAccounts carry.
func inputsOfComponents(s *v1alpha1.EngLogInstanceSpec) {
	if c := s.API; c != nil {
		c.Autoscaling = nil
		componentInputs(&c.ComponentSpec)
	}
	if c := s.Worker; c != nil {
		c.Autoscaling = nil
		componentInputs(&c.ComponentSpec)
	}
	if c := s.Frontend; c != nil {
		c.Autoscaling = nil
		componentInputs(&c.ComponentSpec)
	}
}

func componentInputs(c *v1alpha1.ComponentSpec) {
	c.Replicas = 0
	if a := c.ServiceAccount; a != nil && a.Name == "" {
		c.ServiceAccount = nil
	} else if a != nil {
		a.Annotations = nil
	}
}

// inputsOfStores removes what describes a Managed store's own pod and volume.
func inputsOfStores(s *v1alpha1.EngLogInstanceSpec) {
	s.Database.Managed = nil
	s.Cache.Managed = nil
}

// inputsOfSecrets removes how the instance's own Secret is filled; what is in it is hashed by its contents.
func inputsOfSecrets(s *v1alpha1.EngLogInstanceSpec) {
	if s.Secrets == nil {
		return
	}
	s.Secrets.AWSSecretsManager = nil
	s.Secrets.Generate = ""
	s.Secrets.Rotation = ""
	if *s.Secrets == (v1alpha1.SecretsSpec{Type: v1alpha1.SecretsKubernetes}) {
		s.Secrets = nil // what a spec means that does not mention the group
	}
}
