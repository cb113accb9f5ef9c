package ai

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	linkPattern  = regexp.MustCompile(`https?://[^\s)\]>"']+`)
	codeBlock    = regexp.MustCompile("(?s)```.*?(```|$)")
	inlineMarks  = regexp.MustCompile("[`*_#>~|]+")
	markdownLink = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	issuePattern = regexp.MustCompile(`\b[A-Z][A-Z0-9]{1,9}-\d+\b|(?:^|\s)#\d+\b`)
	datePattern  = regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}\b`)
	mention      = regexp.MustCompile(`(?:^|\s)@([A-Za-z][\w.-]{1,38})`)
	properName   = regexp.MustCompile(`\b(?:[A-Z][a-z]+|[A-Z]{2,})(?:[ -](?:[A-Z][a-z]+|[A-Z]{2,}))*\b`)
	sentenceEnd  = regexp.MustCompile(`[.!?]+(?:\s+|$)|\n+`)
)

// plainText drops what is not prose from Markdown.
func plainText(markdown string) string {
	text := codeBlock.ReplaceAllString(markdown, " ")
	text = markdownLink.ReplaceAllString(text, "$1")
	text = linkPattern.ReplaceAllString(text, " ")
	text = strings.NewReplacer("[ ]", " ", "[x]", " ").Replace(text)
	return inlineMarks.ReplaceAllString(text, " ")
}

// words returns the words of a text in lower case; an apostrophe belongs to its word.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(strings.ReplaceAll(text, "’", "'")), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '+' && r != '#'
	})
}

func sentences(text string) []string {
	var out []string
	for _, s := range sentenceEnd.Split(text, -1) {
		if s = strings.Join(strings.Fields(strings.Trim(s, " -+\t")), " "); len(s) > 1 {
			out = append(out, s)
		}
	}
	return out
}

// stem cuts the commonest English endings: enough to bring "deploys", "deployed" and "deploying" together.
func stem(w string) string {
	for _, end := range []string{"ing", "ed", "es", "s"} {
		if len(w) > len(end)+3 && strings.HasSuffix(w, end) && !strings.HasSuffix(w, "ss") {
			return strings.TrimSuffix(w, end)
		}
	}
	return w
}

type keyword struct {
	word  string
	count int
}

// keywords returns the most frequent words that say something, each in the form first met.
func keywords(list []string, limit int) []keyword {
	counts, first := map[string]int{}, map[string]string{}
	var order []string
	for _, w := range list {
		if len(w) < 4 || stopWords[w] || lexicon[w] != 0 || strings.ContainsAny(w, "'0123456789") {
			continue
		}
		s := stem(w)
		if counts[s]++; counts[s] == 1 {
			first[s] = w
			order = append(order, s)
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	var out []keyword
	for _, s := range order[:min(limit, len(order))] {
		out = append(out, keyword{first[s], counts[s]})
	}
	return out
}

// phrases returns runs of two or three telling words, the most frequent first, and fills up with keywords.
func phrases(text string, limit int) []string {
	counts, order := map[string]int{}, []string{}
	for _, sentence := range sentences(text) {
		var run []string
		for _, w := range append(words(sentence), "the") {
			if len(w) > 2 && !stopWords[w] && len(run) < 3 {
				run = append(run, w)
				continue
			}
			if len(run) > 1 {
				p := strings.Join(run, " ")
				if counts[p]++; counts[p] == 1 {
					order = append(order, p)
				}
			}
			run = nil
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	out := order[:min(limit, len(order))]
	for _, k := range keywords(words(text), limit) {
		if len(out) < limit && !strings.Contains(strings.Join(out, " "), k.word) {
			out = append(out, k.word)
		}
	}
	return out
}

// extract returns the sentences that carry the most frequent words, in their own order: an extractive summary after Luhn
// (The automatic creation of literature abstracts, 1958). Early sentences weigh a little more.
func extract(title, text string, count, limit int) string {
	list := sentences(text)
	if len(list) == 0 {
		return clipWords(strings.TrimSpace(title), limit)
	}
	weight := map[string]float64{}
	for _, k := range keywords(words(title+" "+text), 20) {
		weight[stem(k.word)] = float64(k.count)
	}
	index := make([]int, len(list))
	score := make([]float64, len(list))
	for i, s := range list {
		index[i] = i
		w := words(s)
		for _, x := range w {
			score[i] += weight[stem(x)]
		}
		score[i] = score[i]/math.Sqrt(float64(len(w))+3) + 1/float64(i+2)
	}
	slices.SortStableFunc(index, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	index = index[:min(count, len(index))]
	slices.Sort(index)
	var out []string
	for _, i := range index {
		out = append(out, list[i]+".")
	}
	return clipWords(strings.Join(out, " "), limit)
}

// clipWords shortens a text to at most limit bytes between words.
func clipWords(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	cut := strings.LastIndexAny(text[:limit-3], " \n")
	if cut < limit/2 {
		cut = limit - 3
		for cut > 0 && text[cut]&0xC0 == 0x80 {
			cut--
		}
	}
	return text[:cut] + "…"
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return text
}

// findEntities finds what patterns and word lists can find, each once.
func findEntities(text string) []object {
	found, seen := []object{}, map[string]bool{}
	add := func(kind, name string) {
		name = strings.TrimSpace(name)
		if key := strings.ToLower(name); len(name) > 1 && !seen[key] && len(found) < 20 {
			seen[key] = true
			found = append(found, object{"text": clipWords(name, 100), "type": kind})
		}
	}
	for _, m := range mention.FindAllStringSubmatch(text, -1) {
		add("person", m[1])
	}
	for _, m := range issuePattern.FindAllString(text, -1) {
		add("issue", m)
	}
	for _, m := range datePattern.FindAllString(text, -1) {
		add("date", m)
	}
	prose := plainText(text)
	for _, w := range words(prose) {
		if technologies[w] {
			add("technology", w)
		}
	}
	for _, s := range sentences(prose) {
		for _, at := range properName.FindAllStringIndex(s, -1) {
			name := s[at[0]:at[1]]
			if at[0] == 0 && !strings.ContainsAny(name, " -") {
				continue // any sentence begins with a capital
			}
			if lower := strings.ToLower(name); !stopWords[lower] && !weekdays[lower] {
				add("other", name)
			}
		}
	}
	return found
}
