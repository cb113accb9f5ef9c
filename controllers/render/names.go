package render

import (
	"encoding/json"
	"fmt"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Names lists the objects of some kinds that the spec wants, as "Kind/name".
func Names(in Input, kinds ...plan.Kind) (map[string]bool, error) {
	names := map[string]bool{}
	for _, kind := range kinds {
		for _, component := range append([]v1alpha1.ComponentName{revision.Database, revision.Cache}, world.Components...) {
			objects, err := Objects(in, plan.Ensure{Kind: kind, Component: component})
			if err != nil {
				return nil, err
			}
			for _, o := range objects {
				name, err := nameOf(o)
				if err != nil {
					return nil, err
				}
				names[name] = true
			}
		}
	}
	return names, nil
}

func nameOf(o any) (string, error) {
	encoded, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("encoding %T: %w", o, err)
	}
	var header struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(encoded, &header); err != nil {
		return "", fmt.Errorf("reading the name of %T: %w", o, err)
	}
	return header.Kind + "/" + header.Metadata.Name, nil
}
