package obs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/garnizeh/englog-operator/workload/obs"
)

func TestLogLinesCarryTheRequestAndNoSecrets(t *testing.T) {
	var out bytes.Buffer
	log := obs.NewLogger(&out, slog.LevelInfo, slog.String("role", "api"))
	ctx := obs.WithRequestID(context.Background(), "request-1")
	log.InfoContext(ctx, "did it", "password", "hidden-1", "Token", "hidden-2", slog.Group("g", "body", "hidden-3"))
	log.DebugContext(ctx, "not shown")
	line := out.String()
	if !strings.Contains(line, `"request_id":"request-1"`) || !strings.Contains(line, `"role":"api"`) || strings.Contains(line, "hidden") || strings.Contains(line, "not shown") {
		t.Errorf("got %s", line)
	}
}

// One trace leads from the request over the queue's traceparent to the provider.
func TestATraceCrossesTheQueue(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracing, err := obs.StartTracing(context.Background(), obs.TraceOptions{Ratio: 1, Exporter: spans})
	if err != nil {
		t.Fatal(err)
	}
	var seen string
	provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("Traceparent") }))
	defer provider.Close()

	request, endRequest := tracing.Begin(context.Background(), "", "POST /entries", trace.SpanKindServer)
	parent := obs.TraceParent(request)
	endRequest(nil)
	task, endTask := tracing.Begin(context.Background(), parent, "task summary", trace.SpanKindConsumer)
	outgoing, _ := http.NewRequestWithContext(task, "GET", provider.URL, nil)
	answer, err := tracing.Transport(http.DefaultTransport).RoundTrip(outgoing)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	endTask(errors.New("x"))
	if err := tracing.Provider().(interface {
		ForceFlush(context.Context) error
	}).ForceFlush(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := spans.GetSpans()
	if len(got) != 3 {
		t.Fatalf("%d spans, want 3", len(got))
	}
	for _, s := range got {
		if s.SpanContext.TraceID() != got[0].SpanContext.TraceID() || !strings.Contains(seen, s.SpanContext.TraceID().String()) {
			t.Errorf("span %q is of another trace; the provider saw %s", s.Name, seen)
		}
	}
	if err := tracing.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestNoTracingCostsNothingAndBreaksNothing(t *testing.T) {
	var none *obs.Tracing
	ctx, end := none.Begin(context.Background(), "garbage", "x", trace.SpanKindServer)
	end(nil)
	if obs.TraceParent(ctx) != "" || none.Transport(http.DefaultTransport) != http.DefaultTransport || none.Close(ctx) != nil {
		t.Error("a nil Tracing did something")
	}
}
