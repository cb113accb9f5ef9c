package ai

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Builtin answers from word lists and patterns, without network, cost or chance. It is no match for a language model, but it
// is there on the first day, in tests and when every provider is away.
type Builtin struct{}

// Name returns "builtin".
func (Builtin) Name() string { return "builtin" }

// Paid returns false.
func (Builtin) Paid() bool { return false }

// Complete computes the answer to a request by its kind.
func (Builtin) Complete(_ context.Context, r Request) (Completion, error) {
	compute, ok := builtins[r.Kind]
	if !ok {
		return Completion{}, englog.Fail(englog.FailurePermanent, "kind_unsupported", fmt.Errorf("builtin has nothing for kind %q", r.Kind))
	}
	answer, confidence := compute(r)
	raw, err := json.Marshal(answer)
	if err != nil {
		return Completion{}, englog.Fail(englog.FailurePermanent, "bad_output", err)
	}
	data, err := r.Schema.Check(raw)
	if err != nil {
		return Completion{}, englog.Fail(englog.FailurePermanent, "bad_output", err)
	}
	return Completion{Data: data, Provider: "builtin", Model: "builtin-1", Confidence: confidence}, nil
}

// KindDraft is not a task: it asks for an entry from a prompt.
const KindDraft englog.Kind = "draft"

type object = map[string]any

var builtins = map[englog.Kind]func(Request) (object, float32){
	englog.KindSentiment:         builtinSentiment,
	englog.KindContentExtraction: builtinExtraction,
	englog.KindThemes:            builtinThemes,
	englog.KindEntities:          builtinEntities,
	englog.KindSummary:           builtinSummary,
	englog.KindTagSuggestions:    builtinTags,
	englog.KindWeeklyInsight:     builtinWeek,
	KindDraft:                    builtinDraft,
}

func subjectText(s englog.Subject) string { return s.Title + ".\n" + plainText(s.Body) }

// builtinSentiment adds up a lexicon's weights. A negation within three words turns a weight around; "very" and the like
// raise it by half. A mood that the author gave counts as much as three words.
func builtinSentiment(r Request) (object, float32) {
	sum, hits := 0.0, 0.0
	emotions := map[string]float64{"joy": 0, "sadness": 0, "anger": 0, "fear": 0, "surprise": 0}
	for _, sentence := range sentences(subjectText(r.Subject)) {
		list := words(sentence)
		for i, w := range list {
			weight, known := lexicon[w]
			if name := emotionOf[w]; name != "" && !negated(list, i) {
				emotions[name]++
			}
			if !known {
				continue
			}
			if i > 0 && intensifiers[list[i-1]] {
				weight *= 1.5
			}
			if negated(list, i) {
				weight = -0.75 * weight
			}
			sum, hits = sum+weight, hits+1
		}
	}
	if m := r.Subject.Mood; m > 0 {
		sum, hits = sum+3*(float64(m)-5.5)/4.5, hits+3
	}
	score := 0.0
	if hits > 0 {
		score = math.Tanh(1.5 * sum / math.Sqrt(hits+1))
	}
	for name, n := range emotions {
		emotions[name] = round2(1 - math.Exp(-n/2))
	}
	confidence := round2(math.Min(0.9, 0.4+0.1*hits))
	return object{"score": round2(score), "label": sentimentLabel(score), "magnitude": round2(math.Abs(score)),
		"confidence": confidence, "emotions": emotions}, float32(confidence)
}

func sentimentLabel(score float64) string {
	switch {
	case score >= 0.25:
		return "positive"
	case score <= -0.25:
		return "negative"
	default:
		return "neutral"
	}
}

func negated(list []string, i int) bool {
	for j := max(0, i-3); j < i; j++ {
		if negations[list[j]] {
			return true
		}
	}
	return false
}

func round2(x float64) float64 { return math.Round(x*100) / 100 }

func builtinExtraction(r Request) (object, float32) {
	var actions []string
	for _, line := range strings.Split(r.Subject.Body, "\n") {
		if text, ok := actionItem(line); ok {
			actions = append(actions, text)
		}
	}
	return object{"key_phrases": phrases(subjectText(r.Subject), 10), "action_items": orEmpty(actions),
		"links": orEmpty(linkPattern.FindAllString(r.Subject.Body, 20))}, 0.6
}

// actionItem recognises an open Markdown task, and lines that begin with TODO and the like.
func actionItem(line string) (string, bool) {
	line = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "-*+ "))
	if text, ok := strings.CutPrefix(line, "[ ]"); ok {
		return strings.TrimSpace(text), true
	}
	for _, mark := range []string{"TODO", "FIXME", "Next:", "Next step:", "Action:", "Follow up:", "Follow-up:"} {
		if len(line) > len(mark) && strings.EqualFold(line[:len(mark)], mark) {
			return strings.TrimLeft(line[len(mark):], ": -"), true
		}
	}
	return "", false
}

func builtinThemes(r Request) (object, float32) {
	return object{"themes": themesOf(subjectText(r.Subject), 5)}, 0.5
}

// themesOf counts words of each theme's vocabulary; where none fits, the most frequent words stand in.
func themesOf(text string, limit int) []object {
	counts, total := map[string]float64{}, 0.0
	list := words(text)
	for _, w := range list {
		if theme := themeOf[stem(w)]; theme != "" {
			counts[theme]++
			total++
		}
	}
	for i := 0; len(counts) == 0 && i < 1; i++ {
		for _, k := range keywords(list, 3) {
			counts[k.word], total = float64(k.count), total+float64(k.count)
		}
	}
	themes := []object{}
	for _, name := range byCount(counts, limit) {
		themes = append(themes, object{"name": name, "confidence": round2(math.Min(0.95, 0.3+0.6*counts[name]/total))})
	}
	return themes
}

// byCount returns the keys with the highest counts, ties in alphabetical order.
func byCount(counts map[string]float64, limit int) []string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return names[:min(limit, len(names))]
}

func builtinEntities(r Request) (object, float32) {
	return object{"entities": findEntities(r.Subject.Title + "\n" + r.Subject.Body)}, 0.5
}

func builtinSummary(r Request) (object, float32) {
	return object{"text": extract(r.Subject.Title, plainText(r.Subject.Body), 2, 400)}, 0.5
}

func builtinTags(r Request) (object, float32) {
	have := map[string]bool{}
	for _, t := range r.Subject.Tags {
		have[t] = true
	}
	tags := []string{}
	add := func(tag string) {
		if tag, err := englog.NormalizeTag(tag); err == nil && !have[tag] && len(tags) < 5 {
			have[tag] = true
			tags = append(tags, tag)
		}
	}
	list := words(subjectText(r.Subject))
	for _, w := range list {
		if technologies[w] {
			add(w)
		}
	}
	for _, theme := range themesOf(subjectText(r.Subject), 2) {
		add(theme["name"].(string)) //nolint:forcetypeassert // made a few lines up
	}
	for _, k := range keywords(list, 3) {
		add(k.word)
	}
	return object{"tags": tags}, 0.5
}

func builtinWeek(r Request) (object, float32) {
	var all strings.Builder
	var highlights []string
	kinds := map[string]float64{}
	for _, e := range r.Subject.Week {
		all.WriteString(e.Title + ".\n" + plainText(e.Body) + "\n")
		kinds[e.Kind]++
		if len(highlights) < 7 && (e.Impact != "" || e.Kind == "delivery" || e.Kind == "incident") {
			highlights = append(highlights, firstNonEmpty(e.Impact, e.Title, extract("", plainText(e.Body), 1, 200)))
		}
	}
	var most []string
	for _, kind := range byCount(kinds, 3) {
		most = append(most, fmt.Sprintf("%s (%d)", kind, int(kinds[kind])))
	}
	text := fmt.Sprintf("%d entries this week, mostly %s. %s", len(r.Subject.Week), strings.Join(most, ", "),
		extract("", all.String(), 2, 400))
	return object{"text": strings.TrimSpace(text), "highlights": orEmpty(highlights), "themes": themesOf(all.String(), 5),
		"recommendations": []string{}}, 0.5
}

func builtinDraft(r Request) (object, float32) {
	title := clipWords(firstLine(r.Prompt), 80)
	var body strings.Builder
	fmt.Fprintf(&body, "## What happened\n\n%s\n\n## What I learned\n\n\n## Next\n\n- [ ] \n", strings.TrimSpace(r.Prompt))
	if r.Subject.Body != "" {
		fmt.Fprintf(&body, "\n## Context\n\n%s\n", strings.TrimSpace(r.Subject.Body))
	}
	sentiment, _ := builtinSentiment(Request{Subject: englog.Subject{Body: r.Prompt}})
	mood := int(math.Round(5.5 + 4.5*sentiment["score"].(float64))) //nolint:forcetypeassert // made by builtinSentiment
	r.Subject.Title, r.Subject.Body = title, r.Prompt
	tags, _ := builtinTags(r)
	return object{"title": title, "body": body.String(), "kind": "note", "mood": mood, "tags": tags["tags"]}, 0.4
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func firstNonEmpty(texts ...string) string {
	for _, t := range texts {
		if strings.TrimSpace(t) != "" {
			return t
		}
	}
	return ""
}
