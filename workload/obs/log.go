package obs

import (
	"context"
	"io"
	"log/slog"
	"strings"
)

type contextKey struct{}

// WithRequestID returns a context whose log lines carry a request id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// RequestID returns the request id of a context; empty if it has none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(contextKey{}).(string)
	return id
}

// NewLogger writes JSON lines. The attributes of the deny-list are replaced
// whatever their value: a second net below the Secret type.
func NewLogger(w io.Writer, level slog.Level, attrs ...slog.Attr) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: redact})
	return slog.New(requestIDHandler{handler.WithAttrs(attrs)})
}

var denied = []string{"password", "token", "secret", "authorization", "cookie", "body", "title", "content", "dsn", "conn_string"}

func redact(_ []string, a slog.Attr) slog.Attr {
	key := strings.ToLower(a.Key)
	for _, word := range denied {
		if key == word {
			return slog.String(a.Key, "[redacted]")
		}
	}
	return a
}

// requestIDHandler adds the request id of the context to each line.
type requestIDHandler struct{ slog.Handler }

func (h requestIDHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestIDHandler) WithGroup(name string) slog.Handler {
	return requestIDHandler{h.Handler.WithGroup(name)}
}
