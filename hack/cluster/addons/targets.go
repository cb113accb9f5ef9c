package addons

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
)

// TargetsCommand is the command that runs ServeTargets.
const TargetsCommand = "scrape-targets"

const targetsAddress = local.NodeIP + ":9091"

// ServeTargets tells Prometheus which pods to read, until the context ends: Debian's build cannot ask the API server itself.
func ServeTargets(ctx context.Context, c *local.Cluster) error {
	server := &http.Server{Addr: targetsAddress, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var pods podList
		if err := c.Get(r.Context(), "/api/v1/pods?resourceVersion=0&labelSelector=app.kubernetes.io%2Fname%3Denglog", &pods); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(targets(pods)) // a reader that is gone misses nothing
	})}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve targets at %s: %w", targetsAddress, err)
	}
	return nil
}

// podList is what is read of the pods.
type podList struct {
	Items []pod `json:"items"`
}

type pod struct {
	Metadata struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Containers []struct {
			Ports []struct {
				Name          string `json:"name"`
				ContainerPort int    `json:"containerPort"`
			} `json:"ports"`
		} `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
		PodIP string `json:"podIP"`
	} `json:"status"`
}

// target is a group of Prometheus' HTTP service discovery.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// targets are the running pods' ports named admin, with the labels that a PodMonitor of the operator would give them.
func targets(pods podList) []target {
	all := []target{} // null is no valid answer
	for _, p := range pods.Items {
		port := p.admin()
		if p.Status.Phase != "Running" || p.Status.PodIP == "" || port == 0 {
			continue
		}
		labels := map[string]string{"namespace": p.Metadata.Namespace, "pod": p.Metadata.Name}
		for name, value := range p.Metadata.Labels {
			if strings.HasPrefix(name, "app.kubernetes.io/") || strings.HasPrefix(name, "englog.io/") {
				labels[labelName.Replace(name)] = value
			}
		}
		all = append(all, target{Targets: []string{net.JoinHostPort(p.Status.PodIP, fmt.Sprint(port))}, Labels: labels})
	}
	return all
}

var labelName = strings.NewReplacer(".", "_", "/", "_", "-", "_")

func (p pod) admin() int {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == "admin" {
				return port.ContainerPort
			}
		}
	}
	return 0
}
