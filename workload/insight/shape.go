package insight

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strings"
	"unicode"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
)

// Sentiment is the shape of KindSentiment.
type Sentiment struct {
	Score      float64            `json:"score"`
	Label      string             `json:"label"`
	Magnitude  float64            `json:"magnitude"`
	Confidence float64            `json:"confidence"`
	Emotions   map[string]float64 `json:"emotions"`
}

// Extraction is the shape of KindContentExtraction. The counts are ours, not the model's.
type Extraction struct {
	KeyPhrases         []string `json:"key_phrases"`
	ActionItems        []string `json:"action_items"`
	Links              []string `json:"links"`
	WordCount          int      `json:"word_count"`
	ReadingTimeMinutes int      `json:"reading_time_minutes"`
}

// Theme is one theme with how sure the model is of it, 0 to 1.
type Theme struct {
	Name       string  `json:"name"`
	Confidence float64 `json:"confidence"`
}

// Themes is the shape of KindThemes.
type Themes struct {
	Themes []Theme `json:"themes"`
}

// Entity is a thing that an entry names.
type Entity struct {
	Text string `json:"text"`
	Type string `json:"type"`
}

// Entities is the shape of KindEntities.
type Entities struct {
	Entities []Entity `json:"entities"`
}

// Summary is the shape of KindSummary.
type Summary struct {
	Text string `json:"text"`
}

// TagSuggestions is the shape of KindTagSuggestions. They are suggestions: only the user adds tags.
type TagSuggestions struct {
	Tags []string `json:"tags"`
}

// Week is the shape of KindWeeklyInsight. The counts are ours, not the model's.
type Week struct {
	Text            string   `json:"text"`
	Highlights      []string `json:"highlights"`
	Recommendations []string `json:"recommendations"`
	Themes          []Theme  `json:"themes"`
	Entries         int      `json:"entries"`
	Minutes         int      `json:"minutes"`
	MoodAverage     *float64 `json:"mood_average"`
}

// Draft is an entry as a model proposes it. Nothing is stored until the user sends it.
type Draft struct {
	Title string   `json:"title"`
	Body  string   `json:"body"`
	Kind  string   `json:"kind"`
	Mood  int16    `json:"mood"`
	Tags  []string `json:"tags"`
}

var (
	emotions    = []string{"joy", "sadness", "anger", "fear", "surprise"}
	labels      = []string{"positive", "neutral", "negative"}
	entityTypes = []string{"person", "organization", "technology", "project", "place", "date", "issue", "other"}
)

// The building blocks of JSON Schema; strict structured output wants every property required and nothing additional.
type schema = map[string]any

func object(properties schema) schema {
	required := make([]string, 0, len(properties))
	for name := range properties {
		required = append(required, name)
	}
	return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func text(what string) schema { return schema{"type": "string", "description": what} }

func choice(options []string) schema { return schema{"type": "string", "enum": options} }

func number(low, high float64) schema {
	return schema{"type": "number", "description": fmt.Sprintf("from %g to %g", low, high)}
}

func list(of schema, what string) schema {
	return schema{"type": "array", "items": of, "description": what}
}

var themeSchema = object(schema{"name": text("one to three words"), "confidence": number(0, 1)})

// task is what one kind asks and how its answer is checked.
type task struct {
	instruction string
	schema      schema
	check       func(json.RawMessage) (any, error)
}

var tasks = map[englog.Kind]task{
	englog.KindSentiment: {"Judge the sentiment of the entry as its author feels it.",
		object(schema{"score": number(-1, 1), "label": choice(labels), "magnitude": number(0, 1), "confidence": number(0, 1),
			"emotions": object(schema{"joy": number(0, 1), "sadness": number(0, 1), "anger": number(0, 1), "fear": number(0, 1), "surprise": number(0, 1)})}),
		checked(checkSentiment)},
	englog.KindContentExtraction: {"List the key phrases of the entry, what it says is still to do, and its links, all in its own words.",
		object(schema{"key_phrases": list(text("a phrase"), "at most 10"), "action_items": list(text("something to do"), "at most 20"),
			"links": list(text("a URL from the entry"), "at most 20")}), checked(checkExtraction)},
	englog.KindThemes: {"Name the themes of the entry, the most important first.",
		object(schema{"themes": list(themeSchema, "at most 5")}), checked(checkThemes)},
	englog.KindEntities: {"List the people, organizations, technologies, projects, places, dates and issues that the entry names.",
		object(schema{"entities": list(object(schema{"text": text("as the entry writes it"), "type": choice(entityTypes)}), "at most 20")}),
		checked(checkEntities)},
	englog.KindSummary: {"Summarise the entry in one or two sentences, in its own language and in the first person.",
		object(schema{"text": text("one or two sentences")}), checked(checkSummary)},
	englog.KindTagSuggestions: {"Suggest tags for the entry that it does not have yet: lower case, one or two words each.",
		object(schema{"tags": list(text("a tag"), "at most 5")}), checked(checkTags)},
	englog.KindWeeklyInsight: {"These are an engineer's entries of one week. Sum the week up in three or four sentences, name its highlights and themes, and give at most three recommendations.",
		object(schema{"text": text("three or four sentences"), "highlights": list(text("one sentence"), "at most 10"),
			"recommendations": list(text("one sentence"), "at most 5"), "themes": list(themeSchema, "at most 5")}), checked(checkWeek)},
	ai.KindDraft: {"Write a journal entry in Markdown from what the user asks for. Use only facts that the user gave.",
		object(schema{"title": text("a short title"), "body": text("Markdown"), "kind": choice(englog.EntryKinds()),
			"mood": schema{"type": "integer", "description": "from 1 to 10, or 0 if it cannot be told"}, "tags": list(text("a tag"), "at most 5")}),
		checked(checkDraft)},
}

// checked decodes an answer into its shape, which drops what does not belong, and applies the shape's own rules.
func checked[T any](rules func(*T) error) func(json.RawMessage) (any, error) {
	return func(raw json.RawMessage) (any, error) {
		var v T
		if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&v); err != nil {
			return nil, fmt.Errorf("the answer does not have the shape that was asked for: %w", err)
		}
		return v, rules(&v)
	}
}

func checkSentiment(s *Sentiment) error {
	if err := within("score", s.Score, -1, 1); err != nil {
		return err
	}
	if !contains(labels, s.Label) {
		return fmt.Errorf("label must be one of %v", labels)
	}
	if err := within("confidence", s.Confidence, 0, 1); err != nil {
		return err
	}
	s.Magnitude = clamp(math.Abs(s.Magnitude))
	kept := map[string]float64{}
	for _, name := range emotions {
		kept[name] = clamp(s.Emotions[name])
	}
	s.Emotions = kept
	return nil
}

func checkExtraction(e *Extraction) error {
	e.KeyPhrases, e.ActionItems = texts(e.KeyPhrases, 10, 100), texts(e.ActionItems, 20, 300)
	links := texts(e.Links, 20, 500)
	e.Links = links[:0]
	for _, l := range links {
		if u, err := url.Parse(l); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			e.Links = append(e.Links, l)
		}
	}
	return nil
}

func checkThemes(t *Themes) (err error) {
	t.Themes, err = cleanThemes(t.Themes)
	return err
}

func cleanThemes(given []Theme) ([]Theme, error) {
	kept := []Theme{}
	for _, t := range given {
		if err := within("confidence", t.Confidence, 0, 1); err != nil {
			return nil, err
		}
		if t.Name = clean(t.Name, 60); t.Name != "" && len(kept) < 5 {
			kept = append(kept, t)
		}
	}
	return kept, nil
}

func checkEntities(e *Entities) error {
	kept := []Entity{}
	for _, x := range e.Entities {
		if !contains(entityTypes, x.Type) {
			x.Type = "other"
		}
		if x.Text = clean(x.Text, 100); x.Text != "" && len(kept) < 20 {
			kept = append(kept, x)
		}
	}
	e.Entities = kept
	return nil
}

func checkSummary(s *Summary) error {
	if s.Text = clean(s.Text, 1000); s.Text == "" {
		return fmt.Errorf("text must not be empty")
	}
	return nil
}

func checkTags(t *TagSuggestions) error {
	t.Tags = cleanTags(t.Tags)
	return nil
}

func cleanTags(given []string) []string {
	kept := []string{}
	for _, raw := range given {
		if tag, err := englog.NormalizeTag(raw); err == nil && !contains(kept, tag) && len(kept) < 5 {
			kept = append(kept, tag)
		}
	}
	return kept
}

func checkWeek(w *Week) (err error) {
	if w.Text = clean(w.Text, 2000); w.Text == "" {
		return fmt.Errorf("text must not be empty")
	}
	w.Highlights, w.Recommendations = texts(w.Highlights, 10, 300), texts(w.Recommendations, 5, 300)
	w.Themes, err = cleanThemes(w.Themes)
	return err
}

func checkDraft(d *Draft) error {
	d.Title, d.Body, d.Tags = clean(d.Title, englog.MaxTitleLength), cleanLines(d.Body, 20_000), cleanTags(d.Tags)
	if d.Body == "" {
		return fmt.Errorf("body must not be empty")
	}
	if !contains(englog.EntryKinds(), d.Kind) {
		d.Kind = englog.EntryKinds()[0]
	}
	if d.Mood < 0 || d.Mood > 10 {
		return fmt.Errorf("mood must be from 1 to 10, or 0")
	}
	return nil
}

func within(name string, v, low, high float64) error {
	if math.IsNaN(v) || v < low || v > high {
		return fmt.Errorf("%s must be from %g to %g", name, low, high)
	}
	return nil
}

func clamp(v float64) float64 { return math.Max(0, math.Min(1, v)) }

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// texts cleans a list and keeps at most count elements of at most limit bytes.
func texts(given []string, count, limit int) []string {
	kept := []string{}
	for _, t := range given {
		if t = clean(t, limit); t != "" && len(kept) < count {
			kept = append(kept, t)
		}
	}
	return kept
}

// clean makes one line of a text: no control or format characters (which can hide or turn text around), at most limit bytes.
func clean(s string, limit int) string {
	return cleanLines(strings.Join(strings.Fields(s), " "), limit)
}

func cleanLines(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.TrimSpace(s)
	if len(s) <= limit {
		return s
	}
	cut := limit - len("…")
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}
