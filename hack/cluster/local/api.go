package local

import (
	"bytes"
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

func (c *Cluster) api() (*api, error) { return c.client(5 * time.Second) }

// client gives up on an answer that is not complete in time; 0 is never, which a watch needs.
func (c *Cluster) client(timeout time.Duration) (*api, error) {
	cert, err := tls.LoadX509KeyPair(c.pki("admin.crt"), c.pki("admin.key"))
	if err != nil {
		return nil, fmt.Errorf("load the administrator's certificate (is the cluster up?): %w", err)
	}
	pool, err := certPool(c.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}}
	return &api{&http.Client{Transport: transport, Timeout: timeout}}, nil
}

// get reads an object. A nil result only checks the status.
func (a *api) get(ctx context.Context, path string, result any) error {
	return a.send(ctx, http.MethodGet, path, nil, result)
}

// send makes one request. A nil content has no body, a nil result only checks the status.
func (a *api) send(ctx context.Context, method, path string, content, result any) error {
	response, err := a.ask(ctx, method, path, content)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(body, result)
}

// ask makes one request and leaves reading the answer, which is a good one, to the caller.
func (a *api) ask(ctx context.Context, method, path string, content any) (*http.Response, error) {
	var body io.Reader
	if content != nil {
		encoded, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, Server+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "hack-cluster")
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(response.Body, 300))
	return nil, &statusError{method, path, response.StatusCode, string(said)}
}

type statusError struct {
	method, path string
	code         int
	body         string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: %d: %s", e.method, e.path, e.code, e.body)
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
