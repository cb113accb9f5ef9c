package render

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
)

// credentialsPath is where credentials are mounted, one directory for each group.
const credentialsPath = "/etc/englog/credentials/"

// credentials are the part of a pod that brings Secrets to it: files of exactly the keys that it needs, and the variables that name them.
type credentials struct {
	volumes []corev1.Volume
	mounts  []corev1.VolumeMount
	env     []corev1.EnvVar
}

// forComponent takes the references that a component's pods need.
func forComponent(references []revision.Reference, c v1alpha1.ComponentName) []revision.Reference {
	var needed []revision.Reference
	for _, r := range references {
		if slices.Contains(r.Components, c) {
			needed = append(needed, r)
		}
	}
	return needed
}

// forMigrations takes those of the tables' owner, or of the service where the two are the same.
func forMigrations(references []revision.Reference) []revision.Reference {
	group := revision.Database
	if slices.ContainsFunc(references, func(r revision.Reference) bool { return r.Group == revision.Migration }) {
		group = revision.Migration
	}
	var needed []revision.Reference
	for _, r := range references {
		if r.Group == group || r.Group == revision.DatabaseCA {
			needed = append(needed, r)
		}
	}
	return needed
}

func credentialsOf(references []revision.Reference) credentials {
	var c credentials
	for _, r := range references {
		if r.Group == revision.Env {
			c.env = append(c.env, corev1.EnvVar{Name: r.Variable, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: r.Secret}, Key: r.Key,
			}}})
			continue
		}
		c.env = append(c.env, corev1.EnvVar{Name: fileVariable(r), Value: credentialsPath + r.Group + "/" + r.File})
		c.mount(r)
	}
	return c
}

// fileVariable is NAME_FILE for a secret, and NAME itself where the service expects a path anyway.
func fileVariable(r revision.Reference) string {
	if r.Group == revision.DatabaseCA || r.Group == revision.CacheCA {
		return r.Variable
	}
	return r.Variable + "_FILE"
}

// mount adds one key to its group's volume. Keys are listed one by one: a Secret may hold more than this pod is to see.
func (c *credentials) mount(r revision.Reference) {
	at := slices.IndexFunc(c.volumes, func(v corev1.Volume) bool { return v.Name == r.Group })
	if at < 0 {
		c.volumes = append(c.volumes, corev1.Volume{Name: r.Group, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: new(int32(0o440)),
		}}})
		c.mounts = append(c.mounts, corev1.VolumeMount{Name: r.Group, MountPath: credentialsPath + r.Group, ReadOnly: true})
		at = len(c.volumes) - 1
	}
	volume := c.volumes[at].Projected
	item := corev1.KeyToPath{Key: r.Key, Path: r.File}
	for i := range volume.Sources {
		if s := volume.Sources[i].Secret; s.Name == r.Secret && optional(s) == r.Optional {
			s.Items = append(s.Items, item)
			return
		}
	}
	s := &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: r.Secret}, Items: []corev1.KeyToPath{item}}
	if r.Optional {
		s.Optional = new(true)
	}
	volume.Sources = append(volume.Sources, corev1.VolumeProjection{Secret: s})
}

func optional(s *corev1.SecretProjection) bool { return s.Optional != nil && *s.Optional }
