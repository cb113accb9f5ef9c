package scenario_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/api"
	"github.com/garnizeh/englog-operator/workload/auth"
	. "github.com/garnizeh/englog-operator/workload/testrig/scenario"
)

// drafter stands in for a model.
type drafter struct{}

func (drafter) Generate(context.Context, englog.UserID, string, string) (api.Draft, error) {
	return api.Draft{Title: "t", Body: "b", Kind: "note", Tags: []string{}, Provider: "test"}, nil
}

// TestTheDocumentHoldsUnderFuzz sends requests made from the document: good
// ones, mutated ones and ones at the limits. Whatever comes in, the answer is one
// that the document knows (Do checks that), and never an error of ours.
// ENGLOG_FUZZ_SEED repeats a run, ENGLOG_FUZZ_ROUNDS lengthens it.
func TestTheDocumentHoldsUnderFuzz(t *testing.T) {
	seed := number("ENGLOG_FUZZ_SEED", int(rand.Uint32()))
	rounds := number("ENGLOG_FUZZ_ROUNDS", 12)
	t.Logf("ENGLOG_FUZZ_SEED=%d", seed)
	s := Start(t, Options{Auth: func(o *auth.Options) { o.Throttle = nil }, API: func(o *api.Options) {
		o.RateLimit, o.Features.AdvancedAI, o.Generator = 1_000_000, true, drafter{}
	}})
	f := &fuzzer{r: rand.New(rand.NewPCG(uint64(seed), 0)), edited: map[string]string{}}
	u := s.Register(t)
	statuses := map[int]int{}
	doc := Spec(t)
	for range rounds {
		f.entry = s.Write(t, u.Access, map[string]any{"body": "fuzz", "tags": []string{"a"}})
		for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
			operations := doc.Paths.Value(path).Operations()
			for _, method := range slices.Sorted(maps.Keys(operations)) {
				op := operations[method]
				if slices.Contains([]string{"logout", "changePassword", "deleteAccount", "revokeSession", "revokeSessions"}, op.OperationID) {
					continue // they would end the session of the run
				}
				r := f.request(method, path, op)
				r.Token, r.Invalid = u.Access, true
				a := s.Do(t, r)
				statuses[a.Status]++
				f.edited[path] = a.Header.Get("ETag")
				if a.Status >= 500 {
					t.Errorf("%s %s %v: %d %s", method, r.Path, r.Body, a.Status, a.Body)
				}
			}
		}
	}
	t.Logf("answers by status: %v", statuses)
	if statuses[200]+statuses[201] == 0 || statuses[400] == 0 {
		t.Errorf("the run was one-sided: %v", statuses)
	}
}

func number(name string, fallback int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return fallback
	}
	return n
}

type fuzzer struct {
	r     *rand.Rand
	entry string
	// edited are the versions that the last answers of each path have named.
	edited map[string]string
}

func (f *fuzzer) chance(oneIn int) bool { return f.r.IntN(oneIn) == 0 }

func (f *fuzzer) request(method, path string, op *openapi3.Operation) Request {
	r := Request{Method: method, Path: path, Header: map[string]string{}}
	query := url.Values{}
	for _, p := range op.Parameters {
		value := fmt.Sprint(f.value(p.Value.Schema.Value, 0))
		switch p.Value.In {
		case "path":
			if p.Value.Name == "id" && !f.chance(4) {
				value = f.entry
			}
			r.Path = strings.Replace(r.Path, "{"+p.Value.Name+"}", url.PathEscape(orX(value)), 1)
		case "query":
			if f.chance(3) {
				query.Set(p.Value.Name, value)
			}
		case "header":
			if !f.chance(5) {
				r.Header[p.Value.Name] = f.header(p.Value.Name, path)
			}
		}
	}
	if len(query) > 0 {
		r.Path += "?" + query.Encode()
	}
	if op.RequestBody != nil {
		raw, err := json.Marshal(f.value(op.RequestBody.Value.Content["application/json"].Schema.Value, 0))
		if err != nil {
			panic(err)
		}
		r.Body = f.mutate(string(raw))
	}
	return r
}

func orX(s string) string {
	if s == "" || s == "." || s == ".." {
		return "x"
	}
	return s
}

func (f *fuzzer) header(name, path string) string {
	switch {
	case name == "If-Match" && !f.chance(3):
		return cmp.Or(f.edited[path], `"v1"`)
	case name == "Idempotency-Key":
		return []string{"k", uuid.NewString(), strings.Repeat("k", 300)}[f.r.IntN(3)]
	}
	return []string{`W/"v1"`, "*", `"v99999999999"`, "x"}[f.r.IntN(4)]
}

// mutate damages one body in four.
func (f *fuzzer) mutate(raw string) string {
	if !f.chance(4) {
		return raw
	}
	switch f.r.IntN(4) {
	case 0:
		return raw[:f.r.IntN(len(raw))]
	case 1:
		return strings.Replace(raw, "{", `{"unknown":1,`, 1)
	case 2:
		return "[" + raw + "]"
	}
	i := f.r.IntN(len(raw))
	return raw[:i] + string(rune(f.r.IntN(0x250))) + raw[i:]
}

var strange = []string{"", " ", "\x00", "𝕳 ok", "<script>alert(1)</script>", "'; DROP TABLE entries; --", "%00", "\u202e", strings.Repeat("é", 300), "a,b,,c", "../..", "null", "{{.}}", "\ue000"}

// value makes a value of a schema; some of them are wrong on purpose.
func (f *fuzzer) value(s *openapi3.Schema, depth int) any {
	if depth > 4 || f.chance(12) {
		return []any{nil, 7, -1, 1e18, true, "text", []any{}, map[string]any{"a": 1}}[f.r.IntN(8)]
	}
	if len(s.Enum) > 0 && !f.chance(6) {
		return s.Enum[f.r.IntN(len(s.Enum))]
	}
	switch {
	case s.Type.Is("object"):
		out := map[string]any{}
		for name, property := range s.Properties {
			if slices.Contains(s.Required, name) && !f.chance(20) || f.chance(2) {
				out[name] = f.value(property.Value, depth+1)
			}
		}
		return out
	case s.Type.Is("array"):
		out := []any{}
		for range f.r.IntN(4) {
			out = append(out, f.value(s.Items.Value, depth+1))
		}
		return out
	case s.Type.Is("integer"):
		return []int{0, 1, 5, 10, 11, 100, 101, -1, 1 << 40}[f.r.IntN(9)]
	case s.Type.Is("boolean"):
		return f.chance(2)
	}
	return f.text(s)
}

func (f *fuzzer) text(s *openapi3.Schema) string {
	switch {
	case f.chance(4):
		return strange[f.r.IntN(len(strange))]
	case s.Format == "uuid":
		return []string{f.entry, uuid.NewString()}[f.r.IntN(2)]
	case s.Format == "date-time":
		return []string{"2026-03-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999+14:00", "soon"}[f.r.IntN(4)]
	case s.Format == "date":
		return []string{"2026-02-29", "2026-03-01", "2024-02-29", "1900-01-01"}[f.r.IntN(4)]
	case s.Example != nil:
		return fmt.Sprint(s.Example)
	}
	n := int(max(s.MinLength, 1)) + f.r.IntN(20)
	return strings.Repeat("ab ", n/3+1)[:n]
}
