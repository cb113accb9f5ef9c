package testrig

import (
	"os"
	"sync"
	"testing"
)

// The servers that all tests of one process share, started on first use.
var shared struct {
	mu       sync.Mutex
	postgres *Postgres
	redis    *Redis
}

// Main is the body of a package's TestMain: it runs the tests and then removes
// the shared servers. Without it the kernel still stops them when the process
// ends, and a later run removes the files.
//
//	func TestMain(m *testing.M) { testrig.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	closeShared()
	os.Exit(code)
}

func closeShared() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.postgres != nil {
		shared.postgres.Close()
	}
	if shared.redis != nil {
		shared.redis.Close()
	}
}

// SharedPostgres is the cluster of this test process. Tests that stop or
// restart a server start one of their own with NewPostgres.
func SharedPostgres(t testing.TB) *Postgres {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.postgres == nil {
		p, err := StartPostgres(PostgresOptions{})
		if err != nil {
			t.Fatal(err)
		}
		shared.postgres = p
	}
	return shared.postgres
}

// SharedRedis is the Redis of this test process. Each test uses an instance
// name of its own (it prefixes every key), and must not flush.
func SharedRedis(t testing.TB) *Redis {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.redis == nil {
		r, err := StartRedis()
		if err != nil {
			t.Fatal(err)
		}
		shared.redis = r
	}
	return shared.redis
}

// NewPostgres starts a cluster for one test.
func NewPostgres(t testing.TB, options PostgresOptions) *Postgres {
	t.Helper()
	p, err := StartPostgres(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// NewRedis starts a Redis for one test.
func NewRedis(t testing.TB) *Redis {
	t.Helper()
	r, err := StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// EmptyDatabase returns the URL of a new database without any table.
func EmptyDatabase(t testing.TB) string {
	t.Helper()
	url, err := SharedPostgres(t).NewDatabase()
	if err != nil {
		t.Fatal(err)
	}
	return url
}
