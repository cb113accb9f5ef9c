package main

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/obs"
)

// startTracing sends traces where tracing is on and a collector is named; nil
// elsewhere.
func startTracing(ctx context.Context, c config.Config, log *slog.Logger) (*obs.Tracing, error) {
	if !c.TracingEnabled {
		return nil, nil
	}
	if c.OTLPEndpoint == "" {
		log.Info("no traces are sent: OTEL_EXPORTER_OTLP_ENDPOINT is not set")
		return nil, nil
	}
	return obs.StartTracing(ctx, obs.TraceOptions{Endpoint: c.OTLPEndpoint, Ratio: c.TraceRatio, Attributes: map[string]string{
		"service.version": c.Identity.Version, "service.instance.id": c.Identity.Pod, "englog.role": c.Role, "englog.revision": c.Identity.Revision}})
}

func closeTracing(t *obs.Tracing, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := t.Close(ctx); err != nil {
		log.Warn("the last traces were not sent", "error", err)
	}
}

// traceTasks continues, in each run of a task, the trace of the request that made it.
func traceTasks(t *obs.Tracing) func(context.Context, englog.Claimed) (context.Context, func(error)) {
	return func(ctx context.Context, c englog.Claimed) (context.Context, func(error)) {
		ctx = obs.WithRequestID(ctx, c.RequestID)
		return t.Begin(ctx, c.TraceParent, "task "+string(c.Kind), trace.SpanKindConsumer,
			attribute.String("englog.task.kind", string(c.Kind)), attribute.Int("englog.task.attempt", int(c.Attempt)))
	}
}

// traceDrafts continues the trace of a request for a draft.
func traceDrafts(t *obs.Tracing) func(context.Context, englog.DraftRequest) (context.Context, func(error)) {
	return func(ctx context.Context, r englog.DraftRequest) (context.Context, func(error)) {
		return t.Begin(obs.WithRequestID(ctx, r.RequestID), r.TraceParent, "draft", trace.SpanKindConsumer)
	}
}
