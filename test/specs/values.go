package specs

import (
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// key is a key of a map: good ones, and ones that only Kubernetes' own kinds refuse.
func (w *walker) key() string {
	keys := []string{"team", "example.org/owner", "cpu", "memory", "disk", "a", "kubernetes.io/arch", "UPPER_case.x", "bad key", "example.org/", "x/y/z", strings.Repeat("k", 64), ""}
	return keys[w.IntN(len(keys))]
}

// quantity is an amount or a port, in the spellings that the pattern of quantities lets through.
func (w *walker) quantity() any {
	values := []any{
		int64(1), int64(0), int64(-1), int64(2147483648), "100m", "1", "128Mi", "1Gi", "0", "-5", "+1", ".5", "1.", "1e3", "1E-3", "1n", "9223372036854775808", "1e99999999999",
		"0.0000000000001", "http", "50%", "", "1e1000000", "1e-99999999999",
	}
	return values[w.IntN(len(values))]
}

// integer prefers the bounds, where there are some, and what does not fit into 32 bits where there are none.
func (w *walker) integer(n *structuralschema.Structural) int64 {
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	if v := n.ValueValidation; v != nil && v.Minimum != nil {
		low = int64(*v.Minimum)
	}
	if v := n.ValueValidation; v != nil && v.Maximum != nil {
		high = int64(*v.Maximum)
	}
	choices := []int64{low, high, 0, 1, -1, 2, 5, 10, 60, 443, 3600, low + int64(w.IntN(20)), math.MaxInt32, math.MaxInt32 + 1, math.MinInt32 - 1}
	for range 20 {
		if c := choices[w.IntN(len(choices))]; c >= low && c <= high {
			return c
		}
	}
	return low
}

var words = []string{
	"", "a", "journal", "Journal", "http", "x-y", "a..b", "-a", "a-", "a b", "ä", "日本", "\x00", "\"", "{}", "$(POD_NAME)", "10.0.0.0/8", "10.0.0.0/33", "::/0", "10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "fd00::/8", "0.0.0.0/0", "fd00::1",
	"10.88.0.1", "In", "Exists", "NoSchedule", "Utilization", "Resource", "Pods", "External", "Percent", "kubernetes.io/hostname", "DoNotSchedule", "ScheduleAnyway", "Honor", "Max",
	"1.8.0", "https://example.org", "example.org", "up == 1", "%s%d", "../../etc", "9999999999", "a/b", "\n",
}

// text is a string: one that the rules ask for, or any.
func (w *walker) text(n *structuralschema.Structural) string {
	if values := enum(n); len(values) > 0 {
		return values[w.IntN(len(values))]
	}
	if slices.ContainsFunc(n.XValidations, func(r apiextensionsv1.ValidationRule) bool { return strings.Contains(r.Rule, "isIP(") }) && w.once(3) {
		return []string{"10.88.0.1", "fd00::1"}[w.IntN(2)]
	}
	if expressions := wanted(n); len(expressions) > 0 && !w.once(8) {
		return w.fit(n, w.matching(expressions[w.IntN(len(expressions))]))
	}
	return w.fit(n, words[w.IntN(len(words))])
}

// asks finds the expressions that rules hold a value against.
var asks = regexp.MustCompile(`(!?)self\.matches\('((?:[^'\\]|\\.)*)'\)`)

// wanted lists the expressions that a string has to match.
func wanted(n *structuralschema.Structural) []string {
	var all []string
	if n.ValueValidation != nil && n.ValueValidation.Pattern != "" {
		all = append(all, n.ValueValidation.Pattern)
	}
	for _, rule := range n.XValidations {
		for _, m := range asks.FindAllStringSubmatch(rule.Rule, -1) {
			if m[1] == "" {
				all = append(all, m[2])
			}
		}
	}
	return all
}

// fit cuts or fills a text to the lengths that the schema allows, and now and then to the longest.
func (w *walker) fit(n *structuralschema.Structural, text string) string {
	if n.ValueValidation == nil {
		return text
	}
	least, most := 0, math.MaxInt
	if v := n.ValueValidation.MinLength; v != nil {
		least = int(*v)
	}
	if v := n.ValueValidation.MaxLength; v != nil {
		most = int(*v)
	}
	if most <= 4096 && text != "" && w.once(10) {
		least = most
	}
	for len(text) < least {
		text += "a"
	}
	if len(text) > most {
		text = text[:most]
	}
	return text
}

// matching makes a text that an expression matches.
func (w *walker) matching(expression string) string {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return ""
	}
	var text strings.Builder
	w.write(&text, parsed)
	return text.String()
}

func (w *walker) write(text *strings.Builder, e *syntax.Regexp) {
	switch e.Op {
	case syntax.OpLiteral:
		text.WriteString(string(e.Rune))
	case syntax.OpCharClass:
		at := 2 * w.IntN(len(e.Rune)/2)
		low, high := e.Rune[at], min(e.Rune[at+1], max(e.Rune[at], 0x2fff)) // not only the far ends of Unicode
		text.WriteRune(low + rune(w.IntN(int(high-low)+1)))
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		for range w.times(e) {
			w.write(text, e.Sub[0])
		}
	case syntax.OpConcat, syntax.OpCapture:
		for _, below := range e.Sub {
			w.write(text, below)
		}
	case syntax.OpAlternate:
		w.write(text, e.Sub[w.IntN(len(e.Sub))])
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		text.WriteByte('x')
	default: // the ends of the text
	}
}

// times is how often a part is repeated: seldom often.
func (w *walker) times(e *syntax.Regexp) int {
	most := 6
	if w.once(20) {
		most = 60
	}
	switch e.Op {
	case syntax.OpQuest:
		return w.IntN(2)
	case syntax.OpPlus:
		return 1 + w.IntN(most)
	case syntax.OpRepeat:
		high := e.Max
		if high < 0 {
			high = e.Min + most
		}
		return e.Min + w.IntN(high-e.Min+1)
	default:
		return w.IntN(most + 1)
	}
}
