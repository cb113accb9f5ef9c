// Command crd finishes what controller-gen begins: it shortens the CRD and writes the API reference from it.
//
//	go run ./hack/crd config/crd/bases/englog.io_engloginstances.yaml docs/reference/api.md
//
// Kubernetes' own types (affinity, metrics, ...) bring their whole documentation along, once for every component. With it
// the CRD is larger than the annotation that a client-side `kubectl apply` needs (256 KiB). Those descriptions are dropped:
// they can be read with `kubectl explain pod.spec` and `kubectl explain hpa.spec`.
//
// The pattern of quantities that controller-gen gives allows exponents of any length. A typed client needs forever to read 1e-99999999999, and with it
// no other instance; so the pattern is replaced by one that bounds them.
//
// It must never be imported, and it must never import the product: it reads the generated CRD only.
package main

import (
	"bytes"
	"fmt"
	"os"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// header is what controller-gen puts before each file.
const header = "---\n"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go run ./hack/crd CRD.yaml REFERENCE.md")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "crd:", err)
		os.Exit(1)
	}
}

func run(crdPath, referencePath string) error {
	data, err := os.ReadFile(crdPath)
	if err != nil {
		return fmt.Errorf("read the CRD (run controller-gen first): %w", err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		return fmt.Errorf("parse %s: %w", crdPath, err)
	}
	shorten(&crd)
	if err := writeCRD(crdPath, crd); err != nil {
		return err
	}
	var reference bytes.Buffer
	writeReference(&reference, crd)
	if err := os.WriteFile(referencePath, reference.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the reference: %w", err)
	}
	return nil
}

func writeCRD(path string, crd apiextensionsv1.CustomResourceDefinition) error {
	// The API server fills status; in a file it would only be refused or confuse a diff.
	data, err := yaml.Marshal(struct {
		APIVersion string                                       `json:"apiVersion"`
		Kind       string                                       `json:"kind"`
		Metadata   any                                          `json:"metadata"`
		Spec       apiextensionsv1.CustomResourceDefinitionSpec `json:"spec"`
	}{
		APIVersion: crd.APIVersion,
		Kind:       crd.Kind,
		Metadata:   map[string]any{"name": crd.Name, "annotations": crd.Annotations},
		Spec:       crd.Spec,
	})
	if err != nil {
		return fmt.Errorf("encode the CRD: %w", err)
	}
	if err := os.WriteFile(path, append([]byte(header), data...), 0o644); err != nil {
		return fmt.Errorf("write the CRD: %w", err)
	}
	return nil
}

// foreign names the fields whose content is a type of Kubernetes' own.
var foreign = map[string]bool{
	"resources": true, "tolerations": true, "affinity": true, "topologySpreadConstraints": true,
	"metrics": true, "behavior": true, "peer": true,
}

func shorten(crd *apiextensionsv1.CustomResourceDefinition) {
	for i := range crd.Spec.Versions {
		schema := crd.Spec.Versions[i].Schema.OpenAPIV3Schema
		spec := schema.Properties["spec"]
		shortenProperties(&spec)
		bound(&spec)
		schema.Properties["spec"] = spec
	}
}

func shortenProperties(schema *apiextensionsv1.JSONSchemaProps) {
	if schema.Items != nil && schema.Items.Schema != nil {
		shortenProperties(schema.Items.Schema)
	}
	for name, property := range schema.Properties {
		if isForeign(name, property) {
			description := property.Description
			undocument(&property)
			property.Description = description
		} else {
			shortenProperties(&property)
		}
		schema.Properties[name] = property
	}
}

// quantity is the pattern of amounts that can be computed with: at most 18 digits on each side of the point, and exponents of two.
const quantity = `^(\+|-)?(([0-9]{1,18}(\.[0-9]{0,18})?)|(\.[0-9]{1,18}))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]{1,2}))?$`

// bound replaces the pattern of every quantity.
func bound(schema *apiextensionsv1.JSONSchemaProps) {
	if schema.XIntOrString && schema.Pattern != "" {
		schema.Pattern = quantity
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		bound(schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		bound(schema.AdditionalProperties.Schema)
	}
	for name, property := range schema.Properties {
		bound(&property)
		schema.Properties[name] = property
	}
}

// isForeign tells the autoscaler's list of metrics from monitoring's switch of the same name.
func isForeign(name string, schema apiextensionsv1.JSONSchemaProps) bool {
	return foreign[name] && schema.Type != "string"
}

func undocument(schema *apiextensionsv1.JSONSchemaProps) {
	schema.Description = ""
	if schema.Items != nil && schema.Items.Schema != nil {
		undocument(schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		undocument(schema.AdditionalProperties.Schema)
	}
	for name, property := range schema.Properties {
		undocument(&property)
		schema.Properties[name] = property
	}
}
