package local

import (
	"context"
	"errors"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/process"
)

// The node's agents that are parts of this program, called by these names in processes of their own: what a real cluster
// has from its cloud and its network plugin.
const (
	VolumesCommand  = "provide-volumes"
	PoliciesCommand = "enforce-policies"
)

// Where the agents say that they are of use.
const (
	VolumesAddress  = NodeIP + ":9097"
	PoliciesAddress = NodeIP + ":9098"
)

// VolumesDir is where the directories of volumes are.
func (c *Cluster) VolumesDir() string { return c.path("volumes") }

// agent is this program in the cluster's network namespace, under another name.
func (c *Cluster) agent(name, command, address string) (unit, error) {
	self, err := os.Executable()
	if err != nil {
		return unit{}, err
	}
	return unit{
		spec: process.Spec{
			Name: name, Namespace: NamespacePath, Command: []string{self, command}, Env: []string{StateVariable + "=" + c.State},
		},
		healthy: healthy("http://" + address + "/"),
		within:  30 * time.Second,
		stop:    syscall.SIGTERM,
	}, nil
}

func (c *Cluster) volumes() (unit, error) { return c.agent("volumes", VolumesCommand, VolumesAddress) }

func (c *Cluster) policies() (unit, error) {
	return c.agent("network-policies", PoliciesCommand, PoliciesAddress)
}

// Serve answers a health check until the context ends: 200 and a text, or 503 while text says that there is nothing yet.
func Serve(ctx context.Context, address string, text func() (string, bool)) error {
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		said, ready := text()
		if !ready {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(said)) // a reader that is gone misses nothing
	})}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// Create makes an object of the API server. One that exists is left as it is.
func (c *Cluster) Create(ctx context.Context, path string, object any) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	return ignore(http.StatusConflict, client.send(ctx, http.MethodPost, path, object, nil))
}

// Delete removes an object of the API server. It may be gone.
func (c *Cluster) Delete(ctx context.Context, path string) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	return ignore(http.StatusNotFound, client.send(ctx, http.MethodDelete, path, nil, nil))
}

func ignore(code int, err error) error {
	var status *statusError
	if errors.As(err, &status) && status.code == code {
		return nil
	}
	return err
}
