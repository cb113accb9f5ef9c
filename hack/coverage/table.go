package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed rows.txt
var rowsText string

// row is one requirement (B to K) or one defect of the original document (X).
type row struct{ id, text string }

func rows() []row {
	var all []row
	for line := range strings.Lines(rowsText) {
		name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		all = append(all, row{name, text})
	}
	return all
}

// sentences answer rows that are about what the operator does not make.
var sentences = map[string]string{
	"B6":  "The network is the platform's; the operator exposes a Service, an Ingress of class alb, nginx or traefik, or HTTPRoutes.",
	"B7":  "Nodes are the platform's; pods carry requests, limits, spread and tolerations, and run on EC2 and Fargate alike.",
	"B8":  "RDS and ElastiCache are External stores; EBS is behind the volumes of Managed ones; nothing needs S3.",
	"B9":  "Secrets Manager is read by the operator; logs go to the standard output, traces to any OTLP collector.",
	"B10": "Images come from whatever pipeline; the operator pulls a version or a digest and holds no credentials of the pipeline.",
	"B11": "The edges follow from B6 to B10; pods reach the stores through NetworkPolicies that name them.",
	"X14": "The code was written anew; it compiles.",
	"X27": "The service uses gorilla/mux and pgx.",
}

var parts = []struct{ letter, title string }{
	{"B", "Environments and infrastructure"}, {"E", "Kubernetes objects"}, {"F", "Autoscaling"}, {"I", "Configuration"},
	{"J", "Loading of secrets"}, {"K", "Health"}, {"X", "Defects of the original document"},
}

const introduction = `# Coverage

Each row of the original deployment document, and each defect found in it, with tests that show the answer. Written by
` + "`make coverage-table`" + ` from tests that ran and passed; do not edit.

`

// tabulate writes the table and lists the rows that nothing shows.
func tabulate(shown map[string][]test) (table string, missing []string) {
	var text strings.Builder
	text.WriteString(introduction)
	for _, part := range parts {
		fmt.Fprintf(&text, "## %s\n\n| row | asks for | shown by |\n|---|---|---|\n", part.title)
		for _, r := range rows() {
			if r.id[:1] != part.letter {
				continue
			}
			evidence := evidenceOf(r.id, shown[r.id])
			if evidence == "" {
				missing = append(missing, r.id)
				evidence = "**nothing**"
			}
			fmt.Fprintf(&text, "| %s | %s | %s |\n", r.id, strings.ReplaceAll(r.text, "|", "\\|"), evidence)
		}
		text.WriteString("\n")
	}
	return strings.TrimSuffix(text.String(), "\n"), missing
}

// evidenceOf names up to three tests, or gives the sentence.
func evidenceOf(id string, tests []test) string {
	if len(tests) == 0 {
		return sentences[id]
	}
	slices.SortFunc(tests, func(a, b test) int { return strings.Compare(a.String(), b.String()) })
	var names []string
	for _, t := range tests[:min(len(tests), 3)] {
		names = append(names, "`"+t.String()+"`")
	}
	if more := len(tests) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, "<br>")
}
