package addons

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestExternalQuery(t *testing.T) {
	for _, c := range []struct{ metric, namespace, selector, want string }{
		{"age", "n", "", `age{namespace="n"}`},
		{"age", "n", "instance=demo,namespace=other", `age{instance="demo",namespace="n"}`},
		{"age", "n", `instance=a"b`, `age{instance="a\"b",namespace="n"}`},
		{"age{}", "n", "", ""},
		{"age", "n", "instance!=demo", ""},
		{"age", "n", "instance", ""},
	} {
		got, err := externalQuery(c.metric, c.namespace, c.selector)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s in %s with %q: %s, %v; want %s", c.metric, c.namespace, c.selector, got, err, c.want)
		}
	}
}

// knownAs makes a request look like one over a connection whose client has shown a certificate.
func knownAs(name, path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
	return r
}

func TestExternalMetricsAreForTheAPIServer(t *testing.T) {
	asked := ""
	answer := `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"instance":"demo"},"value":[1.5,"12.5"]},{"metric":{},"value":[1.5,"NaN"]}]}}`
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query().Get("query")
		_, _ = w.Write([]byte(answer))
	}))
	handler := externalHandler(prometheus.URL)
	get := func(r *http.Request) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const path = "/apis/" + externalGroup + "/namespaces/n/age?labelSelector=instance%3Ddemo"
	if code, body := get(httptest.NewRequest(http.MethodGet, path, nil)); code != http.StatusForbidden || asked != "" {
		t.Errorf("without a certificate: %d %s, asked %q", code, body, asked)
	}
	if code, _ := get(knownAs("somebody", path)); code != http.StatusForbidden {
		t.Errorf("with another certificate: %d", code)
	}
	code, body := get(knownAs(aggregator, path))
	var list struct {
		Kind  string
		Items []struct {
			MetricName, Value string
			MetricLabels      map[string]string
		}
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	if list.Kind != "ExternalMetricValueList" || len(list.Items) != 1 || list.Items[0].Value != "12500m" || list.Items[0].MetricLabels["instance"] != "demo" {
		t.Errorf("%s", body)
	}
	if asked != `age{instance="demo",namespace="n"}` {
		t.Errorf("asked %s", asked)
	}
	if code, body := get(knownAs(aggregator, "/apis/"+externalGroup)); code != http.StatusOK || !strings.Contains(body, `"APIResourceList"`) {
		t.Errorf("discovery: %d %s", code, body)
	}
	if code, _ := get(knownAs(aggregator, "/apis")); code != http.StatusNotFound {
		t.Errorf("what is not there: %d", code)
	}
	answer = `{"status":"error","error":"parse error"}`
	if code, body := get(knownAs(aggregator, path)); code != http.StatusServiceUnavailable || !strings.Contains(body, "parse error") {
		t.Errorf("a refused query: %d %s", code, body)
	}
	prometheus.Close()
	if code, _ := get(knownAs(aggregator, path)); code != http.StatusServiceUnavailable {
		t.Errorf("without Prometheus: %d", code)
	}
}
