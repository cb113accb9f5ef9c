package redisx_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/redisx"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

func TestMain(m *testing.M) { testrig.Main(m) }

func open(t *testing.T, url string) *redisx.Client {
	t.Helper()
	c, err := redisx.Open(redisx.Options{URL: func() (string, error) { return url, nil }, Instance: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func read(path string) func() (string, error) {
	return func() (string, error) {
		raw, err := os.ReadFile(path)
		return strings.TrimSpace(string(raw)), err
	}
}

func TestARotatedPasswordIsUsedByTheNextConnection(t *testing.T) {
	server := testrig.NewRedis(t)
	file := filepath.Join(t.TempDir(), "password")
	set := func(path, password string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := server.Do("CONFIG", "SET", "requirepass", "first"); err != nil {
		t.Fatal(err)
	}
	set(file, "wrong")
	c, err := redisx.Open(redisx.Options{URL: func() (string, error) { return server.URL(), nil }, Password: read(file), Instance: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Ping(context.Background()); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with the wrong password: %v", err)
	}
	set(file, "first")
	if err := c.Ping(context.Background()); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
}

func TestABadURLIsRefusedWithoutItsPassword(t *testing.T) {
	_, err := redisx.Open(redisx.Options{URL: func() (string, error) { return "http://user:hunter2@host", nil }, Instance: "x"})
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "REDIS_URL") {
		t.Errorf("error %v", err)
	}
}

func TestAllKeysBelongToTheInstance(t *testing.T) {
	server := testrig.NewRedis(t)
	c := open(t, server.URL())
	kinds := []englog.KindVersion{{Kind: englog.KindSummary, Version: 1}}
	s, err := c.Streams("w", kinds)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, err := range []error{s.Open(ctx), s.Open(ctx), s.Announce(ctx, kinds, time.Minute),
		c.Publish(ctx, []englog.TaskRef{{ID: uuid.New(), Kind: englog.KindSummary, Version: 1}}), c.TryStreams(ctx)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	redisx.NewLimiter(c).Allow(ctx, "user", 10, 10)
	if all, _ := server.Do("DBSIZE"); all != ":4" {
		t.Errorf("%s keys: want two lanes, one announcement, one rate", all)
	}
	if answer, _ := server.Do("EVAL", `"local`+"\\x20"+`n=0;for`+"\\x20"+`_,k`+"\\x20"+`in`+"\\x20"+`ipairs(redis.call('KEYS','*'))do`+"\\x20"+`if`+"\\x20"+`k:sub(1,8)~='{englog:'then`+"\\x20"+`n=n+1`+"\\x20"+`end`+"\\x20"+`end`+"\\x20"+`return`+"\\x20"+`n"`, "0"); answer != ":0" {
		t.Errorf("%s keys are outside the prefix", answer)
	}
}

func TestTheHighLaneGoesFirstButNotAlone(t *testing.T) {
	c := open(t, testrig.SharedRedis(t).URL())
	kinds := []englog.KindVersion{{Kind: englog.KindSummary, Version: 1}}
	s, err := c.Streams("w", kinds)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := s.Open(ctx); err != nil {
		t.Fatal(err)
	}
	var refs []englog.TaskRef
	for range 200 {
		refs = append(refs, englog.TaskRef{ID: uuid.New(), Kind: englog.KindSummary, Version: 1, Priority: englog.PriorityHigh},
			englog.TaskRef{ID: uuid.New(), Kind: englog.KindSummary, Version: 1, Priority: englog.PriorityLow})
	}
	if err := c.Publish(ctx, refs); err != nil {
		t.Fatal(err)
	}
	high, normal := 0, 0
	for range 80 {
		got, _, err := s.Receive(ctx, 1, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range got {
			if strings.HasSuffix(d.Stream, ":high") {
				high++
			} else {
				normal++
			}
		}
	}
	if normal < 8 || high < 5*normal {
		t.Errorf("%d from the high lane, %d from the normal one", high, normal)
	}
}

func TestWhatACrashedConsumerReadIsReclaimed(t *testing.T) {
	c := open(t, testrig.SharedRedis(t).URL())
	kinds := []englog.KindVersion{{Kind: englog.KindSummary, Version: 1}}
	ctx := context.Background()
	crashed, _ := c.Streams("crashed", kinds)
	other, _ := c.Streams("other", kinds)
	id := uuid.New()
	if err := c.Publish(ctx, []englog.TaskRef{{ID: id, Kind: englog.KindSummary, Version: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, reset, err := crashed.Receive(ctx, 1, time.Second); err != nil || !reset {
		t.Fatalf("without a group: reset %v, error %v", reset, err)
	}
	if got, _, err := crashed.Receive(ctx, 1, time.Second); err != nil || len(got) != 1 {
		t.Fatalf("got %v, error %v", got, err)
	}
	if got, err := other.Reclaim(ctx, time.Hour, 10); err != nil || len(got) != 0 {
		t.Errorf("too early: %v, error %v", got, err)
	}
	got, err := other.Reclaim(ctx, 0, 10)
	if err != nil || len(got) != 1 || got[0].ID != id {
		t.Fatalf("reclaimed %v, error %v", got, err)
	}
	if err := other.Ack(ctx, got); err != nil {
		t.Fatal(err)
	}
	if depth, _ := c.Depth(ctx, kinds); depth[0] != 0 {
		t.Errorf("%d messages are left", depth[0])
	}
	if err := crashed.Leave(ctx); err != nil {
		t.Error(err)
	}
}

func TestTheLimitHoldsOverAllPods(t *testing.T) {
	url := testrig.SharedRedis(t).URL()
	var mu sync.Mutex
	var wg sync.WaitGroup
	allowed, degraded := 0, 0
	start := time.Now()
	for range 4 {
		l := redisx.NewLimiter(open(t, url))
		wg.Go(func() {
			for range 400 {
				ok, wait, guess := l.Allow(context.Background(), "user", 50, 100)
				mu.Lock()
				if ok {
					allowed++
				} else if wait <= 0 {
					t.Error("a refusal without a time")
				}
				if guess {
					degraded++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	most := 100 + int(time.Since(start).Seconds()*50) + 1
	if degraded == 0 && (allowed < 100 || allowed > most) {
		t.Errorf("%d requests were allowed, want 100 to %d", allowed, most)
	}
}

func TestWithoutRedisEachPodLimitsAtHalfTheRate(t *testing.T) {
	server := testrig.NewRedis(t)
	l := redisx.NewLimiter(open(t, server.URL()))
	if ok, _, degraded := l.Allow(context.Background(), "a", 1000, 1000); !ok || degraded {
		t.Errorf("with Redis: allowed %v, degraded %v", ok, degraded)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	allowed, start := 0, time.Now()
	for range 1000 {
		ok, _, degraded := l.Allow(context.Background(), "b", 100, 100)
		if !degraded {
			t.Fatal("not degraded")
		}
		if ok {
			allowed++
		}
	}
	took := time.Since(start)
	if most := 50 + int(took.Seconds()*50) + 1; allowed < 50 || allowed > most {
		t.Errorf("%d requests were allowed, want 50 to %d", allowed, most)
	}
	if took > time.Second {
		t.Errorf("1000 answers took %s: a lost Redis is asked again and again", took)
	}
}
