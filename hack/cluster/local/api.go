package local

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// api asks the API server as the administrator. The full client library would be the largest thing in this program.
type api struct{ client *http.Client }

func (c *Cluster) api() (*api, error) {
	cert, err := tls.LoadX509KeyPair(c.pki("admin.crt"), c.pki("admin.key"))
	if err != nil {
		return nil, fmt.Errorf("load the administrator's certificate (is the cluster up?): %w", err)
	}
	pool, err := certPool(c.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}}
	return &api{&http.Client{Transport: transport, Timeout: 5 * time.Second}}, nil
}

// get reads an object. A nil result only checks the status.
func (a *api) get(ctx context.Context, path string, result any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, Server+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "hack-cluster")
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return &statusError{path, response.StatusCode, string(body)}
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(body, result)
}

type statusError struct {
	path string
	code int
	body string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("GET %s: %d: %.300s", e.path, e.code, e.body)
}

type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

// conditioned is every object that has conditions.
type conditioned struct {
	Status struct {
		Conditions []condition `json:"conditions"`
	} `json:"status"`
}

// holds asks whether a condition of an object is True.
func (a *api) holds(ctx context.Context, path, kind string) error {
	var object conditioned
	if err := a.get(ctx, path, &object); err != nil {
		return err
	}
	for _, c := range object.Status.Conditions {
		if c.Type == kind && c.Status == "True" {
			return nil
		}
		if c.Type == kind {
			return fmt.Errorf("%s is not %s: %s", path, kind, c.Message)
		}
	}
	return fmt.Errorf("%s is not %s yet", path, kind)
}

type service struct {
	Spec struct {
		ClusterIP string `json:"clusterIP"`
		Ports     []struct {
			Name string `json:"name"`
			Port int    `json:"port"`
		} `json:"ports"`
	} `json:"spec"`
}
