package api

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/mux"
	"sigs.k8s.io/yaml"
)

//go:embed openapi.yaml
var openAPI []byte

//go:embed docs
var docFiles embed.FS

// Document returns the OpenAPI document as JSON.
var Document = sync.OnceValues(func() ([]byte, error) {
	raw, err := yaml.YAMLToJSON(openAPI)
	if err != nil {
		return nil, fmt.Errorf("convert the OpenAPI document: %w", err)
	}
	return raw, nil
})

// docsPolicy allows this page's own style sheet and nothing else.
const docsPolicy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// serveDocs adds the document and its readable form.
func serveDocs(router *mux.Router) {
	router.HandleFunc(Prefix+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		raw, err := Document()
		serveFixed(w, "application/json; charset=utf-8", raw, err)
	}).Methods(http.MethodGet)
	router.HandleFunc("/docs/style.css", func(w http.ResponseWriter, _ *http.Request) {
		raw, err := docFiles.ReadFile("docs/style.css")
		serveFixed(w, "text/css; charset=utf-8", raw, err)
	}).Methods(http.MethodGet)
	docs := func(w http.ResponseWriter, _ *http.Request) {
		raw, err := docsPage()
		serveFixed(w, "text/html; charset=utf-8", raw, err)
	}
	router.HandleFunc("/docs", docs).Methods(http.MethodGet)
	router.HandleFunc("/docs/", docs).Methods(http.MethodGet)
}

func serveFixed(w http.ResponseWriter, kind string, raw []byte, err error) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", docsPolicy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if err != nil {
		http.Error(w, "the document cannot be shown", http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", kind)
	_, _ = w.Write(raw)
}

// The parts of an OpenAPI document that the page shows.
type (
	specDoc struct {
		OpenAPI    string `json:"openapi"`
		Info       struct{ Title, Description string }
		Tags       []struct{ Name, Description string }
		Paths      map[string]map[string]specOperation
		Components struct {
			Schemas    map[string]specSchema
			Parameters map[string]specParameter
			Responses  map[string]specResponse
		}
	}
	specOperation struct {
		OperationID string `json:"operationId"`
		Tags        []string
		Summary     string
		Description string
		Scope       string `json:"x-scope"`
		Parameters  []specParameter
		RequestBody struct{ Content map[string]specMedia } `json:"requestBody"`
		Responses   map[string]specResponse
	}
	specMedia     struct{ Schema specSchema }
	specParameter struct {
		Ref                   string `json:"$ref"`
		Name, In, Description string
		Required              bool
		Schema                specSchema
	}
	specResponse struct {
		Ref         string `json:"$ref"`
		Description string
		Content     map[string]specMedia
	}
	specSchema struct {
		Ref, Type, Format, Description string
		Enum                           []string
		Required                       []string
		Properties                     map[string]specSchema
		Items                          *specSchema
	}
)

// UnmarshalJSON reads $ref, which no exported field name matches.
func (s *specSchema) UnmarshalJSON(raw []byte) error {
	type plain specSchema
	var ref struct {
		Ref string `json:"$ref"`
	}
	if err := json.Unmarshal(raw, &ref); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, (*plain)(s)); err != nil {
		return err
	}
	s.Ref = ref.Ref
	return nil
}

// What the page is made from.
type (
	docPage struct {
		specDoc
		Base    string
		Intro   []string
		Groups  []docGroup
		Schemas []docSchema
	}
	docGroup struct {
		Name, Description string
		Operations        []docOperation
	}
	docOperation struct {
		ID, Method, Path, Summary, Description, Scope string
		Parameters                                    []docField
		Body                                          []docField
		Responses                                     []docResponse
	}
	docField struct {
		Name, In, Type, Ref, Description string
		Required                         bool
	}
	docResponse struct{ Status, Description, Type, Ref string }
	docSchema   struct {
		Name   string
		Fields []docField
	}
)

var docsPage = sync.OnceValues(func() ([]byte, error) {
	raw, err := Document()
	if err != nil {
		return nil, err
	}
	var spec specDoc
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	page, err := template.ParseFS(docFiles, "docs/page.html")
	if err != nil {
		return nil, fmt.Errorf("parse the page of the documentation: %w", err)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, spec.page()); err != nil {
		return nil, fmt.Errorf("render the documentation: %w", err)
	}
	return out.Bytes(), nil
})

func (d specDoc) page() docPage {
	p := docPage{specDoc: d, Base: Prefix, Intro: strings.Split(d.Info.Description, "\n\n")}
	for _, tag := range d.Tags {
		group := docGroup{Name: tag.Name, Description: tag.Description}
		for _, r := range routes() {
			if op, ok := d.Paths[r.path][strings.ToLower(r.method)]; ok && slices.Contains(op.Tags, tag.Name) {
				group.Operations = append(group.Operations, d.operation(r, op))
			}
		}
		p.Groups = append(p.Groups, group)
	}
	for name, schema := range d.Components.Schemas {
		p.Schemas = append(p.Schemas, docSchema{name, schema.fields()})
	}
	slices.SortFunc(p.Schemas, func(a, b docSchema) int { return strings.Compare(a.Name, b.Name) })
	return p
}

func (d specDoc) operation(r route, op specOperation) docOperation {
	out := docOperation{ID: op.OperationID, Method: r.method, Path: r.path, Summary: op.Summary, Description: op.Description, Scope: op.Scope}
	for _, p := range op.Parameters {
		if p.Ref != "" {
			p = d.Components.Parameters[last(p.Ref)]
		}
		out.Parameters = append(out.Parameters, docField{Name: p.Name, In: p.In, Type: p.Schema.label(), Description: p.Description, Required: p.Required})
	}
	if body, ok := op.RequestBody.Content["application/json"]; ok {
		schema := body.Schema
		if schema.Ref != "" {
			schema = d.Components.Schemas[last(schema.Ref)]
		}
		out.Body = schema.fields()
	}
	for status, response := range op.Responses {
		if response.Ref != "" {
			response = d.Components.Responses[last(response.Ref)]
		}
		line := docResponse{Status: status, Description: response.Description}
		for _, kind := range []string{"application/json", "application/problem+json"} {
			if media, ok := response.Content[kind]; ok {
				line.Type, line.Ref = media.Schema.label(), media.Schema.target()
			}
		}
		out.Responses = append(out.Responses, line)
	}
	slices.SortFunc(out.Responses, func(a, b docResponse) int { return strings.Compare(a.Status, b.Status) })
	return out
}

func (s specSchema) fields() (fields []docField) {
	for name, p := range s.Properties {
		fields = append(fields, docField{Name: name, Type: p.label(), Ref: p.target(), Description: p.Description, Required: slices.Contains(s.Required, name)})
	}
	slices.SortFunc(fields, func(a, b docField) int {
		if a.Required != b.Required {
			return strings.Compare(fmt.Sprint(b.Required), fmt.Sprint(a.Required))
		}
		return strings.Compare(a.Name, b.Name)
	})
	return fields
}

// label names a type in a few words.
func (s specSchema) label() string {
	switch {
	case s.Ref != "":
		return last(s.Ref)
	case s.Items != nil:
		return "list of " + s.Items.label()
	case len(s.Enum) > 0:
		return strings.Join(s.Enum, " | ")
	case s.Format != "":
		return s.Format
	case len(s.Properties) == 1 && s.Properties["items"].Items != nil:
		return s.Properties["items"].label()
	}
	return s.Type
}

// target is the schema that a type leads to.
func (s specSchema) target() string {
	switch {
	case s.Ref != "":
		return last(s.Ref)
	case s.Items != nil:
		return s.Items.target()
	case len(s.Properties) == 1 && s.Properties["items"].Items != nil:
		return s.Properties["items"].target()
	}
	return ""
}

func last(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }
