package obs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing follows a request through API, queue and provider. The nil value does
// nothing and costs nothing.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// TraceOptions says where spans go.
type TraceOptions struct {
	// Endpoint takes OTLP over HTTP, for example http://collector:4318.
	Endpoint string
	// Ratio of the traces that begin here and are kept, 0 to 1; a caller's
	// decision is respected.
	Ratio float64
	// Attributes describe this process.
	Attributes map[string]string
	// Exporter replaces OTLP in tests.
	Exporter sdktrace.SpanExporter
}

// StartTracing prepares the export of spans.
func StartTracing(ctx context.Context, o TraceOptions) (*Tracing, error) {
	exporter := o.Exporter
	if exporter == nil {
		var err error
		if exporter, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(o.Endpoint+"/v1/traces")); err != nil {
			return nil, fmt.Errorf("prepare the export of traces: %w", err)
		}
	}
	attrs := []attribute.KeyValue{attribute.String("service.name", "englog")}
	for name, value := range o.Attributes {
		attrs = append(attrs, attribute.String(name, value))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(2*time.Second)),
		sdktrace.WithResource(resource.NewSchemaless(attrs...)), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Ratio))))
	return &Tracing{provider: provider, tracer: provider.Tracer("englog")}, nil
}

// Close sends what is left.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return errors.Join(t.provider.ForceFlush(ctx), t.provider.Shutdown(ctx))
}

// Provider is what instrumented libraries take; call it on a non-nil Tracing only.
func (t *Tracing) Provider() trace.TracerProvider { return t.provider }

var format = propagation.TraceContext{}

// Begin starts a span that continues a W3C traceparent (may be empty). The
// function it returns ends the span; a non-nil error marks it as failed. Names
// and attributes never hold what a user wrote.
func (t *Tracing) Begin(ctx context.Context, parent, name string, kind trace.SpanKind, attrs ...attribute.KeyValue) (context.Context, func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	if parent != "" {
		ctx = format.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	}
	//nolint:spancheck // the function that is returned ends it
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	return ctx, func(err error) { //nolint:spancheck // this ends it
		if err != nil {
			span.SetStatus(codes.Error, "failed")
		}
		span.End()
	}
}

// TraceParent is the W3C traceparent of a context; empty outside any trace.
func TraceParent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	format.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Transport makes a span of each outgoing request and passes the trace on.
func (t *Tracing) Transport(next http.RoundTripper) http.RoundTripper {
	if t == nil {
		return next
	}
	return tracingTransport{t, next}
}

type tracingTransport struct {
	tracing *Tracing
	next    http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t tracingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, end := t.tracing.Begin(r.Context(), "", "HTTP "+r.Method, trace.SpanKindClient, attribute.String("server.address", r.URL.Hostname()))
	r = r.Clone(ctx)
	format.Inject(ctx, propagation.HeaderCarrier(r.Header))
	answer, err := t.next.RoundTrip(r)
	end(err)
	return answer, err
}
