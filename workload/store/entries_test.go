package store_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/store"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

func TestEveryQueryPrepares(t *testing.T) { store.CheckQueries(t, testrig.Database(t)) }

func newUser(t *testing.T, s *store.Store) englog.UserID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	now := englog.SystemClock{}.Now()
	u := englog.User{ID: id, Email: id.String() + "@example.com", Name: "Ada", TokenEpoch: 1, Preferences: englog.DefaultPreferences(), CreatedAt: now, UpdatedAt: now}
	if err := s.CreateUser(context.Background(), u, nil); err != nil {
		t.Fatal(err)
	}
	return id
}

func newEntry(user englog.UserID, body string, at time.Time, tags ...string) englog.Entry {
	return englog.Entry{ID: uuid.Must(uuid.NewV7()), UserID: user, Version: 1, Source: "session", CreatedAt: at, UpdatedAt: at,
		EntryContent: englog.EntryContent{Title: "T", Body: body, Kind: "note", OccurredAt: at, Tags: tags}}
}

func tasksFor(e englog.Entry) englog.NewTasks {
	return englog.NewTasks{UserID: e.UserID, EntryID: e.ID, EntryVersion: e.Version, Kinds: englog.EntryTaskKinds(), Queued: true}
}

func create(t *testing.T, s *store.Store, e englog.Entry) []englog.TaskRef {
	t.Helper()
	refs, err := s.CreateEntry(context.Background(), e, tasksFor(e), englog.IdempotencyKey{}, englog.Saved{})
	if err != nil {
		t.Fatal(err)
	}
	return refs
}

func TestEntryRoundTripWithItsTasks(t *testing.T) {
	s := testrig.OpenStore(t, testrig.Database(t))
	ctx, user := context.Background(), newUser(t, s)
	e := newEntry(user, "shipped the release", englog.SystemClock{}.Now(), "release", "go")
	e.Mood, e.DurationMinutes, e.Project, e.Impact, e.Metadata = 8, 45, "englog", "users happy", []byte(`{"pr": 12}`)
	refs := create(t, s, e)
	if len(refs) != len(englog.EntryTaskKinds()) {
		t.Errorf("%d tasks to kick, want one of each kind", len(refs))
	}
	got, err := s.Entry(ctx, user, e.ID)
	if err != nil || got.Body != e.Body || got.Mood != 8 || got.DurationMinutes != 45 || !slices.Equal(got.Tags, e.Tags) ||
		string(got.Metadata) != `{"pr": 12}` || !got.CreatedAt.Equal(e.CreatedAt) {
		t.Fatalf("read back %+v, %v", got, err)
	}
	if _, err := s.Entry(ctx, newUser(t, s), e.ID); englog.CodeOf(err) != englog.CodeNotFound {
		t.Errorf("a stranger got %v, want not_found", err)
	}
}

func TestOnlyTheCurrentVersionCanBeEdited(t *testing.T) {
	s := testrig.OpenStore(t, testrig.Database(t))
	ctx, user := context.Background(), newUser(t, s)
	e := newEntry(user, "one", englog.SystemClock{}.Now())
	create(t, s, e)
	e.Body = "two"
	second, refs, err := s.UpdateEntry(ctx, e, tasksFor(e))
	if err != nil || second.Version != 2 || len(refs) == 0 {
		t.Fatalf("update: version %d, %d tasks, %v", second.Version, len(refs), err)
	}
	if _, _, err := s.UpdateEntry(ctx, e, tasksFor(e)); englog.CodeOf(err) != englog.CodeStale {
		t.Errorf("an update of version 1 gave %v, want stale", err)
	}
	if err := s.DeleteEntry(ctx, user, e.ID, 1); englog.CodeOf(err) != englog.CodeStale {
		t.Errorf("a deletion of version 1 gave %v, want stale", err)
	}
	if err := s.DeleteEntry(ctx, user, e.ID, 2); err != nil {
		t.Error(err)
	}
	if err := s.DeleteEntry(ctx, user, e.ID, 2); englog.CodeOf(err) != englog.CodeNotFound {
		t.Errorf("a second deletion gave %v, want not_found", err)
	}
}

func TestAKeyIsUsedOnce(t *testing.T) {
	s := testrig.OpenStore(t, testrig.Database(t))
	ctx, user := context.Background(), newUser(t, s)
	key := englog.IdempotencyKey{Key: "k1", RequestHash: []byte{1}}
	first, second := newEntry(user, "a", englog.SystemClock{}.Now()), newEntry(user, "a", englog.SystemClock{}.Now())
	if _, err := s.CreateEntry(ctx, first, tasksFor(first), key, englog.Saved{Status: 201, Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateEntry(ctx, second, tasksFor(second), key, englog.Saved{Status: 201, Body: []byte("{}")}); englog.CodeOf(err) != englog.CodeConflict {
		t.Fatalf("the key again gave %v, want conflict", err)
	}
	if _, err := s.Entry(ctx, user, second.ID); englog.CodeOf(err) != englog.CodeNotFound {
		t.Error("the second entry was stored all the same")
	}
	if saved, err := s.SavedAnswer(ctx, user, key); err != nil || saved.Status != 201 || string(saved.Body) != "{}" {
		t.Errorf("saved answer %+v, %v", saved, err)
	}
	key.RequestHash = []byte{2}
	if _, err := s.SavedAnswer(ctx, user, key); englog.CodeOf(err) != englog.CodeInvalid {
		t.Errorf("the key with another request gave %v, want invalid", err)
	}
}

func TestFindEntries(t *testing.T) {
	s := testrig.OpenStore(t, testrig.Database(t))
	user, start := newUser(t, s), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, c := range []struct {
		body string
		tags []string
	}{{"database outage in production", []string{"incident", "db"}}, {"reviewed a design", []string{"review"}},
		{"another outage, an outage of the cache", []string{"incident"}}, {"quiet day", nil}} {
		create(t, s, newEntry(user, c.body, start.AddDate(0, 0, i), c.tags...))
	}
	create(t, s, newEntry(newUser(t, s), "outage of somebody else", start, "incident"))
	for name, c := range map[string]struct {
		q    englog.EntryQuery
		want []string
	}{
		"all, newest first": {englog.EntryQuery{}, []string{"quiet", "another", "reviewed", "database"}},
		"all tags":          {englog.EntryQuery{AllTags: []string{"incident", "db"}}, []string{"database"}},
		"any tag":           {englog.EntryQuery{AnyTags: []string{"db", "review"}}, []string{"reviewed", "database"}},
		"not a tag":         {englog.EntryQuery{NoTags: []string{"incident"}}, []string{"quiet", "reviewed"}},
		"untagged":          {englog.EntryQuery{Untagged: true}, []string{"quiet"}},
		"date range":        {englog.EntryQuery{From: start.AddDate(0, 0, 1), Until: start.AddDate(0, 0, 2)}, []string{"reviewed"}},
		"text, best first":  {englog.EntryQuery{Text: "outages"}, []string{"another", "database"}},
		"text and not":      {englog.EntryQuery{Text: "outage -cache"}, []string{"database"}},
		"stop words only":   {englog.EntryQuery{Text: "the"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			c.q.Limit = 1 // one at a time: the cursor is tested too
			for {
				hits, err := s.FindEntries(context.Background(), user, c.q)
				if err != nil {
					t.Fatal(err)
				}
				if len(hits) == 0 {
					break
				}
				got = append(got, strings.Fields(hits[0].Body)[0])
				if c.q.Text != "" && !strings.Contains(hits[0].Highlights, "\ue000") {
					t.Errorf("no highlight in %q", hits[0].Highlights)
				}
				c.q.After = c.q.Next(hits[0])
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
