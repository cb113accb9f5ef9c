// Package provider is an AI provider for instances on the real node: it answers as the service's own fake does, and only to those who show a
// key that it knows. It must import nothing of the product but that fake.
package provider

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/workload/ai/fake"
)

// address is this machine's on the cluster's link. Of what is outside, the instances' NetworkPolicies let workers go to port 443 only.
var address = local.LoadAddresses()[0] + ":443"

// BaseURL is where pods find the provider.
var BaseURL = "http://" + address + "/v1"

// Provider is a provider that listens.
type Provider struct {
	fake fake.Server

	mu      sync.Mutex
	known   map[string]bool
	asked   map[string]int
	refused int
}

// Listen starts a provider that knows some keys; it ends with the test.
func Listen(t *testing.T, keys ...string) *Provider {
	t.Helper()
	p := &Provider{asked: map[string]int{}}
	p.Accept(keys...)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // workers may be in the middle of a question; the test is over
		_ = server.Close()
	})
	return p
}

// Accept makes the provider know these keys and no others.
func (p *Provider) Accept(keys ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = map[string]bool{}
	for _, k := range keys {
		p.known[k] = true
	}
}

// Asked is how often the provider was asked with a key that it knew.
func (p *Provider) Asked(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[key]
}

// Refused is how often it was asked with another one.
func (p *Provider) Refused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.admits(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		http.Error(w, `{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}`, http.StatusUnauthorized)
		return
	}
	p.fake.ServeHTTP(w, r)
}

func (p *Provider) admits(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known[key] {
		p.refused++
		return false
	}
	p.asked[key]++
	return true
}
