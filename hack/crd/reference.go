package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// writeReference writes one section for each object of the API and one row for each of its fields.
func writeReference(out io.Writer, crd apiextensionsv1.CustomResourceDefinition) {
	version := crd.Spec.Versions[0]
	schema := version.Schema.OpenAPIV3Schema
	fmt.Fprintf(out, "# API reference: %s\n\n", crd.Spec.Names.Kind)
	fmt.Fprintf(out, "<!-- Generated from the types in api/ by `make manifests`. Do not edit. -->\n\n")
	fmt.Fprintf(out, "`apiVersion: %s/%s`, short names: `%s`. The same text is in the cluster: `kubectl explain %s.spec`.\n\n",
		crd.Spec.Group, version.Name, strings.Join(crd.Spec.Names.ShortNames, "`, `"), crd.Spec.Names.Singular)
	fmt.Fprintf(out, "%s\n\n", oneLine(schema.Description))
	writeRules(out, *schema)
	for _, name := range []string{"spec", "status"} {
		writeObject(out, name, schema.Properties[name])
	}
}

func writeObject(out io.Writer, path string, schema apiextensionsv1.JSONSchemaProps) {
	fmt.Fprintf(out, "## %s\n\n", path)
	if schema.Description != "" {
		fmt.Fprintf(out, "%s\n\n", oneLine(schema.Description))
	}
	fmt.Fprintf(out, "| field | type | meaning |\n|---|---|---|\n")
	names := slices.Sorted(maps.Keys(schema.Properties))
	for _, name := range names {
		writeField(out, path, name, schema.Properties[name], slices.Contains(schema.Required, name))
	}
	fmt.Fprintln(out)
	writeRules(out, schema)
	for _, name := range names {
		if child, ok := objectWithin(name, schema.Properties[name]); ok {
			writeObject(out, path+"."+name+listMark(schema.Properties[name]), child)
		}
	}
}

func writeField(out io.Writer, path, name string, schema apiextensionsv1.JSONSchemaProps, required bool) {
	label := "`" + name + "`"
	if _, ok := objectWithin(name, schema); ok {
		label = "[" + label + "](#" + anchor(path+"."+name+listMark(schema)) + ")"
	}
	if required {
		label += " **required**"
	}
	meaning := oneLine(schema.Description)
	if _, ok := objectWithin(name, schema); !ok { // an object lists its rules in its own section
		for _, rule := range schema.XValidations {
			meaning += " *Rule: " + oneLine(rule.Message) + ".*"
		}
	}
	fmt.Fprintf(out, "| %s | %s | %s |\n", label, typeOf(schema), strings.ReplaceAll(meaning, "|", "\\|"))
}

func writeRules(out io.Writer, schema apiextensionsv1.JSONSchemaProps) {
	if len(schema.XValidations) == 0 {
		return
	}
	fmt.Fprintf(out, "Rules:\n\n")
	for _, rule := range schema.XValidations {
		fmt.Fprintf(out, "- %s.\n", oneLine(rule.Message))
	}
	fmt.Fprintln(out)
}

// objectWithin gives the object a field holds, by itself or as items of a list, if it is one of ours.
func objectWithin(name string, schema apiextensionsv1.JSONSchemaProps) (apiextensionsv1.JSONSchemaProps, bool) {
	if isForeign(name, schema) {
		return schema, false
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		schema = *schema.Items.Schema
	}
	return schema, len(schema.Properties) > 0
}

func typeOf(schema apiextensionsv1.JSONSchemaProps) string {
	switch {
	case schema.XIntOrString:
		return "quantity"
	case len(schema.Enum) > 0:
		return enumOf(schema)
	case schema.Type == "array":
		return "list of " + typeOf(*schema.Items.Schema) + itemsOf(schema)
	case schema.AdditionalProperties != nil:
		return "map of strings"
	case schema.Type == "integer":
		return "integer" + rangeOf(schema)
	case schema.Type == "string":
		return stringOf(schema)
	}
	return schema.Type
}

func enumOf(schema apiextensionsv1.JSONSchemaProps) string {
	values := make([]string, len(schema.Enum))
	for i, value := range schema.Enum {
		values[i] = "`" + strings.Trim(string(value.Raw), `"`) + "`"
	}
	return strings.Join(values, ", ")
}

func itemsOf(schema apiextensionsv1.JSONSchemaProps) string {
	if schema.MaxItems == nil {
		return ""
	}
	return fmt.Sprintf(", at most %d", *schema.MaxItems)
}

func rangeOf(schema apiextensionsv1.JSONSchemaProps) string {
	switch {
	case schema.Minimum != nil && schema.Maximum != nil:
		return fmt.Sprintf(", %.0f to %.0f", *schema.Minimum, *schema.Maximum)
	case schema.Minimum != nil:
		return fmt.Sprintf(", at least %.0f", *schema.Minimum)
	}
	return ""
}

func stringOf(schema apiextensionsv1.JSONSchemaProps) string {
	switch {
	case schema.Format == "date-time":
		return "time"
	case schema.MaxLength != nil:
		return fmt.Sprintf("string, at most %d characters", *schema.MaxLength)
	}
	return "string"
}

func listMark(schema apiextensionsv1.JSONSchemaProps) string {
	if schema.Type == "array" {
		return "[]"
	}
	return ""
}

// anchor is the one GitHub makes of a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(".[]", r) {
			return -1
		}
		return r
	}, strings.ToLower(heading))
}

// oneLine fits a comment into a table; Markdown would take a <placeholder> for a tag.
func oneLine(text string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(strings.Join(strings.Fields(text), " "))
}
