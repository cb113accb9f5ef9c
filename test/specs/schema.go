package specs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	apivalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// A Schema is the definition of EngLogInstance as the API server uses it.
type Schema struct {
	structural *structuralschema.Structural
	values     apivalidation.SchemaValidator
	rules      *cel.Validator
	starts     []map[string]any
	fields     []string
}

// Load reads a CustomResourceDefinition, and the instances that random ones are made from; a file may hold one.
func Load(crd string, starts ...string) (*Schema, error) {
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := read(crd, definition); err != nil {
		return nil, err
	}
	internal := &apiextensions.JSONSchemaProps{}
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition.Spec.Versions[0].Schema.OpenAPIV3Schema, internal, nil)
	if err != nil {
		return nil, fmt.Errorf("converting the schema in %s: %w", crd, err)
	}
	s := &Schema{}
	if s.structural, err = structuralschema.NewStructural(internal); err != nil {
		return nil, fmt.Errorf("reading the schema in %s: %w", crd, err)
	}
	if s.values, _, err = apivalidation.NewSchemaValidator(internal); err != nil {
		return nil, fmt.Errorf("preparing the schema in %s: %w", crd, err)
	}
	s.rules = cel.NewValidator(s.structural, true, celconfig.PerCallLimit)
	spec := s.structural.Properties["spec"]
	s.fields = collect(&spec, nil, "spec", true)
	slices.Sort(s.fields)
	return s, s.begin(starts)
}

// begin reads the instances that others are made from. They have to be accepted.
func (s *Schema) begin(files []string) error {
	for _, file := range files {
		start := map[string]any{}
		if err := read(file, &start); err != nil {
			return err
		}
		start["metadata"] = map[string]any{"name": "journal", "namespace": "default"}
		if err := s.Refusal(start); err != nil {
			return fmt.Errorf("%s is not accepted: %w", file, err)
		}
		s.starts = append(s.starts, start)
	}
	return nil
}

func read(file string, into any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading a manifest: %w", err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	return nil
}

// Refusal says why the API server would not create an object; nil when it would. As there, unknown fields are dropped and defaults filled in
// first, in the object itself.
func (s *Schema) Refusal(object map[string]any) error {
	whole(object)
	pruning.Prune(object, s.structural, true)
	defaulting.Default(object, s.structural)
	problems := apivalidation.ValidateCustomResource(nil, object, s.values)
	problems = append(problems, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if len(problems) == 0 {
		problems, _ = s.rules.Validate(context.Background(), nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	}
	return problems.ToAggregate() //nolint:wrapcheck // nil stays nil
}

// whole turns the numbers that YAML reads as floats into the integers that JSON has in an API server.
func whole(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return value
}

// Into decodes an object as a typed client does.
func Into(object map[string]any, typed any) error {
	encoded, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encoding an instance: %w", err)
	}
	if err := json.Unmarshal(encoded, typed); err != nil {
		return fmt.Errorf("decoding an instance: %w", err)
	}
	return nil
}
