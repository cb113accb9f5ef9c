package web

import (
	"bytes"
	"html/template"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// markdown turns what a user wrote into HTML that is safe to show: raw HTML in the text is dropped and links lead to harmless schemes
// only (goldmark), and what comes out passes an allow-list of elements and attributes (bluemonday). No images: a picture of another
// host would tell that host who reads.
type markdown struct {
	parser goldmark.Markdown
	policy *bluemonday.Policy
}

func newMarkdown() markdown {
	policy := bluemonday.NewPolicy()
	policy.AllowElements("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li",
		"table", "thead", "tbody", "tr", "th", "td")
	policy.AllowAttrs("href").OnElements("a")
	policy.AllowURLSchemes("http", "https", "mailto")
	policy.AllowRelativeURLs(false)
	policy.RequireNoFollowOnLinks(true)
	policy.RequireNoReferrerOnLinks(true)
	return markdown{goldmark.New(goldmark.WithExtensions(extension.GFM)), policy}
}

// html renders a text. A text that cannot be parsed is shown as it is.
func (m markdown) html(text string) template.HTML {
	var out bytes.Buffer
	if err := m.parser.Convert([]byte(text), &out); err != nil {
		return template.HTML(template.HTMLEscapeString(text)) //nolint:gosec // escaped
	}
	return template.HTML(m.policy.SanitizeBytes(out.Bytes())) //nolint:gosec // sanitised
}
