package redisx

import (
	"context"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/testrig"
)

// The next lease is there before the last one is spent: a Redis that stops answering then is not noticed at once.
func TestALeaseIsRefilledBeforeItEnds(t *testing.T) {
	server := testrig.NewRedis(t)
	c, err := Open(Options{URL: func() (string, error) { return server.URL(), nil }, Instance: "test.refill"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	l := NewLimiter(c)
	begin := time.Now()
	l.now = func() time.Time { return begin } // no lease expires
	ctx := context.Background()
	for range 10 - refillAt {
		if ok, _, degraded := l.Allow(ctx, "user", 1000, 1000); !ok || degraded {
			t.Fatalf("allowed %v, degraded %v", ok, degraded)
		}
	}
	leased := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.buckets["user"].leased
	}
	for deadline := time.Now().Add(5 * time.Second); leased() != refillAt+10; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d tokens are leased, want %d", leased(), refillAt+10)
		}
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	for n := range refillAt + 10 {
		if ok, _, degraded := l.Allow(ctx, "user", 1000, 1000); !ok || degraded {
			t.Fatalf("request %d without Redis: allowed %v, degraded %v", n, ok, degraded)
		}
	}
	if _, _, degraded := l.Allow(ctx, "user", 1000, 1000); !degraded {
		t.Error("more was spent than leased")
	}
}
