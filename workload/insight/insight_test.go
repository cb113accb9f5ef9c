package insight_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
	"github.com/garnizeh/englog-operator/workload/ai/fake"
	"github.com/garnizeh/englog-operator/workload/insight"
)

// text is a subject that is always wanted, unless it has no body.
type text englog.Subject

func (t text) Subject(context.Context, englog.Claimed) (englog.Subject, bool, error) {
	return englog.Subject(t), t.Body != "" || len(t.Week) > 0, nil
}

func run(t *testing.T, analyst insight.Analyst, kind englog.Kind, s englog.Subject) (*englog.Insight, error) {
	t.Helper()
	handlers, err := insight.Handlers(text(s), analyst, []englog.Kind{kind})
	if err != nil {
		t.Fatal(err)
	}
	return handlers[0].Handle(context.Background(), englog.Claimed{ID: uuid.New(), Kind: kind, EntryVersion: 1})
}

func builtin[T any](t *testing.T, kind englog.Kind, s englog.Subject) (out T) {
	t.Helper()
	found, err := run(t, ai.Builtin{}, kind, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(found.Data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBuiltinSentimentIsRightAboutPlainSentences(t *testing.T) {
	cases := map[string]string{
		"I am really proud: we shipped the release and everyone is happy.":          "positive",
		"Terrible day. The outage was a nightmare and I am exhausted.":              "negative",
		"Met with the team about the schema of the orders table.":                   "neutral",
		"The deploy was not good and I am frustrated with the flaky tests.":         "negative",
		"Finally solved the bug, great relief!":                                     "positive",
		"I don't hate this framework.":                                              "positive",
		"Spent the morning reading the design document.":                            "neutral",
		"I feel overwhelmed, anxious and stuck.":                                    "negative",
		"Excellent pairing session, learned a lot and enjoyed it.":                  "positive",
		"Nothing worked, everything failed, I am angry and disappointed.":           "negative",
		"Renamed two packages.":                                                     "neutral",
		"The migration was a success, very smooth, thanks to wonderful colleagues.": "positive",
		"We lost data in production, a disaster.":                                   "negative",
	}
	right := 0
	for body, want := range cases {
		got := builtin[insight.Sentiment](t, englog.KindSentiment, englog.Subject{Body: body})
		if got.Label == want {
			right++
		} else {
			t.Logf("%q: %s (%g), want %s", body, got.Label, got.Score, want)
		}
	}
	if right*100 < 85*len(cases) {
		t.Errorf("%d of %d", right, len(cases))
	}
}

const day = `Shipped the new **deploy pipeline** with @maria on Kubernetes, see https://example.org/run/7 and ENG-142.

We rolled the deployment out to Berlin on 2026-03-01. The deploy pipeline halves the deploy time.

- [ ] write the runbook
TODO: tell Acme Corp about it
`

func TestBuiltinFindsWhatIsThere(t *testing.T) {
	s := englog.Subject{Title: "Deploy pipeline", Body: day, Tags: []string{"kubernetes"}}
	extraction := builtin[insight.Extraction](t, englog.KindContentExtraction, s)
	if !slices.Equal(extraction.ActionItems, []string{"write the runbook", "tell Acme Corp about it"}) ||
		!slices.Equal(extraction.Links, []string{"https://example.org/run/7"}) || extraction.WordCount != 41 || extraction.ReadingTimeMinutes != 1 {
		t.Errorf("extraction %+v", extraction)
	}
	entities := builtin[insight.Entities](t, englog.KindEntities, s).Entities
	for _, want := range []insight.Entity{{Text: "maria", Type: "person"}, {Text: "ENG-142", Type: "issue"}, {Text: "2026-03-01", Type: "date"}, {Text: "kubernetes", Type: "technology"}, {Text: "Acme Corp", Type: "other"}} {
		if !slices.Contains(entities, want) {
			t.Errorf("%v is missing in %v", want, entities)
		}
	}
	if themes := builtin[insight.Themes](t, englog.KindThemes, s).Themes; len(themes) == 0 || themes[0].Name != "delivery" {
		t.Errorf("themes %v", themes)
	}
	if sum := builtin[insight.Summary](t, englog.KindSummary, s); !strings.Contains(sum.Text, "pipeline") || len(sum.Text) > 400 {
		t.Errorf("summary %q", sum.Text)
	}
	if tags := builtin[insight.TagSuggestions](t, englog.KindTagSuggestions, s).Tags; slices.Contains(tags, "kubernetes") || !slices.Contains(tags, "delivery") {
		t.Errorf("tags %v", tags)
	}
	week := builtin[insight.Week](t, englog.KindWeeklyInsight, englog.Subject{Week: []englog.SubjectEntry{
		{Title: "One", Body: day, Kind: "delivery", Impact: "Deploys take half the time", Mood: 8, Duration: time.Hour}, {Title: "Two", Body: "Read.", Kind: "note", Mood: 6}}})
	if week.Entries != 2 || week.Minutes != 60 || *week.MoodAverage != 7 || !slices.Equal(week.Highlights, []string{"Deploys take half the time"}) {
		t.Errorf("week %+v", week)
	}
}

func TestBuiltinIsDeterministicAndBearsAnyText(t *testing.T) {
	for _, body := range []string{day, "x", strings.Repeat("é…", 30_000), "\n\n\n", strings.Repeat("{[(", 1000), "``` unclosed", "日本語のテキスト。とても良い日でした。"} {
		for _, kind := range englog.EntryTaskKinds() {
			a, errA := run(t, ai.Builtin{}, kind, englog.Subject{Title: "T", Body: body})
			b, errB := run(t, ai.Builtin{}, kind, englog.Subject{Title: "T", Body: body})
			if errA != nil || errB != nil {
				t.Fatalf("%s of %.20q: %v", kind, body, errA)
			}
			if string(a.Data) != string(b.Data) {
				t.Errorf("%s of %.20q: %s and then %s", kind, body, a.Data, b.Data)
			}
		}
	}
}

func TestHostileOutputIsHarmlessData(t *testing.T) {
	provider := &fake.Server{}
	provider.Set(fake.Hostile)
	server := httptest.NewServer(provider)
	defer server.Close()
	model := ai.NewCompatible(ai.OpenAIOptions{Name: "openai", BaseURL: server.URL, Model: "m", Free: true})
	for _, kind := range englog.TaskKinds() {
		found, err := run(t, model, kind, englog.Subject{Body: day, Week: []englog.SubjectEntry{{Body: day}}})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if len(found.Data) > 8000 {
			t.Errorf("%s: %d bytes", kind, len(found.Data))
		}
		for _, bad := range []string{"visibility", "__proto__", `\u0000`, "\u202e", "\x00"} {
			if strings.Contains(string(found.Data), bad) {
				t.Errorf("%s: %q got through: %.200s", kind, bad, found.Data)
			}
		}
	}
	if n := len(provider.Counts().BySchema); n != len(englog.TaskKinds()) {
		t.Errorf("%d schemas were asked for", n)
	}
}

// never fails the test when it is asked.
type never struct{ t *testing.T }

func (n never) Complete(context.Context, ai.Request) (ai.Completion, error) {
	n.t.Error("a model was asked")
	return ai.Completion{}, errors.New("never")
}

func TestNothingIsSentForATaskThatIsNotWanted(t *testing.T) {
	_, err := run(t, never{t}, englog.KindSummary, englog.Subject{})
	var f *englog.Failure
	if !errors.As(err, &f) || f.Class != englog.FailureCancelled {
		t.Errorf("error %v", err)
	}
}
