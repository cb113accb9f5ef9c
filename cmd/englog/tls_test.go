package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

// A worker reaches a Redis whose certificate a private authority signed, and only with that authority's certificate; a file that
// replaces it counts from the next connection on.
func TestRedisWithAPrivateAuthority(t *testing.T) {
	redis, authority := testrig.NewRedisTLS(t)
	file := filepath.Join(t.TempDir(), "ca.crt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(authority)
	base := map[string]string{"DATABASE_URL": testrig.Database(t)}
	parts := map[string]string{"REDIS_HOST": "127.0.0.1", "REDIS_PORT": fmt.Sprint(redis.TLSPort), "REDIS_TLS": "verify-full"}
	url := map[string]string{"REDIS_URL": fmt.Sprintf("rediss://localhost:%d/0", redis.TLSPort)}
	for _, c := range []struct {
		name string
		env  []map[string]string
		code int
	}{
		{"without the certificate", []map[string]string{parts}, 1},
		{"with the certificate", []map[string]string{parts, {"REDIS_TLS_CA_FILE": file}}, 0},
		{"a URL with the certificate", []map[string]string{url, {"REDIS_TLS_CA": authority}}, 0},
		{"another authority's", []map[string]string{parts, {"REDIS_TLS_CA": testrig.Authority(t)}}, 1},
		{"no certificate at all", []map[string]string{parts, {"REDIS_TLS_CA": "hello"}}, 1},
		{"a file that is missing", []map[string]string{parts, {"REDIS_TLS_CA_FILE": file + ".gone"}}, 1},
		{"any certificate", []map[string]string{parts, {"REDIS_TLS": "require"}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, values := range append([]map[string]string{base}, c.env...) {
				for name, value := range values {
					t.Setenv(name, value)
				}
			}
			code, stdout, stderr, _ := runCommand(t, nil, "worker", "--health-check")
			if code != c.code || strings.Contains(stdout+stderr, "BEGIN CERTIFICATE") {
				t.Errorf("code %d, want %d: %s%s", code, c.code, stdout, stderr)
			}
		})
	}
	t.Run("a file that changes", func(t *testing.T) {
		for _, values := range []map[string]string{base, parts, {"REDIS_TLS_CA_FILE": file}} {
			for name, value := range values {
				t.Setenv(name, value)
			}
		}
		write(testrig.Authority(t))
		c, err := config.FromEnvironment(config.RoleWorker)
		if err != nil {
			t.Fatal(err)
		}
		client, err := openRedis(c)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.Ping(t.Context()); err == nil {
			t.Error("another authority was believed")
		}
		write(authority)
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if err = client.Ping(t.Context()); err == nil || time.Now().After(deadline) {
				break
			}
		}
		if err != nil {
			t.Errorf("the new certificate was not taken up: %v", err)
		}
	})
}
