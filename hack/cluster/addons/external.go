package addons

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/cluster/pki"
)

// ExternalCommand is the command that runs ServeExternal.
const ExternalCommand = "external-metrics"

const (
	externalAddress = local.NodeIP + ":4444"
	externalGroup   = "external.metrics.k8s.io/v1beta1"
	// aggregator is the name in the certificate by which the API server shows itself to extension servers.
	aggregator = "front-proxy-client"
)

// external answers what an autoscaler asks of a metric outside of Kubernetes. It stands in for KEDA or prometheus-adapter in tests, and needs
// the Prometheus addon.
var external = Addon{
	Name:  "external",
	Says:  "external metrics: autoscaling on what Prometheus knows, such as the age of a queue (for tests)",
	start: startExternal,
	Programs: []local.Program{
		{Name: ExternalCommand, Health: "https://" + externalAddress + "/healthz"},
	},
}

func startExternal(ctx context.Context, c *local.Cluster, a Addon, _ []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := c.Run(ctx, a.program(ExternalCommand, "env", local.StateVariable+"="+c.State, self, ExternalCommand)); err != nil {
		return err
	}
	manifest, err := render("external-metrics.yaml")
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, manifest); err != nil {
		return err
	}
	return c.Await(ctx, "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io", "Available")
}

// ServeExternal serves the API of external metrics to the API server, and to nobody else, until the context ends.
func ServeExternal(ctx context.Context, c *local.Cluster) error {
	config, err := externalTLS(c)
	if err != nil {
		return fmt.Errorf("prepare the certificates of %s: %w", ExternalCommand, err)
	}
	server := &http.Server{Addr: externalAddress, Handler: externalHandler(PrometheusURL), TLSConfig: config, ReadHeaderTimeout: time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve external metrics at %s: %w", externalAddress, err)
	}
	return nil
}

// externalTLS has a certificate of its own, and knows the authority that has signed the API server's.
func externalTLS(c *local.Cluster) (*tls.Config, error) {
	dir, err := c.Dir(ExternalCommand)
	if err != nil {
		return nil, err
	}
	authority, err := pki.New(dir, ExternalCommand)
	if err != nil {
		return nil, err
	}
	if err := authority.Issue(pki.Identity{File: "server", CommonName: ExternalCommand, Addresses: []string{local.NodeIP}}); err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		return nil, err
	}
	signer, err := os.ReadFile(c.Authority())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(signer) {
		return nil, fmt.Errorf("%s holds no certificate", c.Authority())
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
	}, nil
}

// externalHandler answers from a Prometheus.
func externalHandler(prometheusURL string) http.Handler {
	apis := http.NewServeMux()
	apis.HandleFunc("GET /apis/"+externalGroup, func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, discovery) })
	apis.HandleFunc("GET /apis/"+externalGroup+"/namespaces/{namespace}/{metric}", func(w http.ResponseWriter, r *http.Request) {
		query, err := externalQuery(r.PathValue("metric"), r.PathValue("namespace"), r.URL.Query().Get("labelSelector"))
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		samples, err := ask(r.Context(), prometheusURL, query)
		if err != nil {
			refuse(w, http.StatusServiceUnavailable, err)
			return
		}
		respond(w, http.StatusOK, valueList(r.PathValue("metric"), samples, time.Now()))
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if !fromAggregator(r) {
			refuse(w, http.StatusForbidden, errors.New("only the API server may ask"))
			return
		}
		apis.ServeHTTP(w, r)
	})
	return mux
}

func fromAggregator(r *http.Request) bool {
	return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && r.TLS.PeerCertificates[0].Subject.CommonName == aggregator
}

// discovery says that the group has one kind of resource; metrics are not listed, as nobody looks for them there.
var discovery = map[string]any{
	"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": externalGroup,
	"resources": []any{map[string]any{
		"name": "externalmetrics", "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": []string{"get"},
	}},
}

var metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

// externalQuery is the series of a metric that has the labels of a selector. The namespace is that of the request, whatever a selector says:
// who may read one namespace's metrics is not shown another's.
func externalQuery(metric, namespace, selector string) (string, error) {
	if !metricName.MatchString(metric) {
		return "", fmt.Errorf("metric %q: no name that Prometheus could know", metric)
	}
	labels := map[string]string{}
	for _, part := range strings.FieldsFunc(selector, func(r rune) bool { return r == ',' }) {
		name, value, ok := strings.Cut(part, "=")
		if !ok || !metricName.MatchString(name) {
			return "", fmt.Errorf("labelSelector %q: only name=value is understood", part)
		}
		labels[name] = value
	}
	labels["namespace"] = namespace
	matchers := make([]string, 0, len(labels))
	for name, value := range labels {
		matchers = append(matchers, name+"="+strconv.Quote(value))
	}
	slices.Sort(matchers)
	return metric + "{" + strings.Join(matchers, ",") + "}", nil
}

// sample is one series of an instant query's answer.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"` // time and number, the number as text
}

// ask makes an instant query: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries.
func ask(ctx context.Context, prometheusURL, query string) ([]sample, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, prometheusURL+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Timeout: 3 * time.Second}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus: %w", err)
	}
	defer response.Body.Close()
	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []sample `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("read Prometheus' answer (%s): %w", response.Status, err)
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("Prometheus: %s", answer.Error)
	}
	return answer.Data.Result, nil
}

// valueList is an ExternalMetricValueList. Quantities are in thousandths: an autoscaler asks for no more.
func valueList(metric string, samples []sample, now time.Time) map[string]any {
	items := []any{}
	for _, s := range samples {
		text, _ := s.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil || value != value {
			continue // NaN: nothing was measured
		}
		items = append(items, map[string]any{
			"metricName": metric, "metricLabels": s.Metric, "timestamp": now.UTC().Format(time.RFC3339), "value": fmt.Sprintf("%dm", int64(value*1000)),
		})
	}
	return map[string]any{"kind": "ExternalMetricValueList", "apiVersion": externalGroup, "metadata": map[string]any{}, "items": items}
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a reader that is gone misses nothing
}

func refuse(w http.ResponseWriter, status int, err error) {
	respond(w, status, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": err.Error()})
}
