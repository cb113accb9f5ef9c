package ai

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// The part of the OpenAI wire format that this service speaks: one request and its answer. OpenAI's own SDK was two fifths of
// the program, and a quarter of the memory of each process, that of an API which asks no model included.

// message is one turn of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type chatRequest struct {
	Model               string          `json:"model"`
	Messages            []message       `json:"messages"`
	MaxTokens           int64           `json:"max_tokens,omitempty"`
	MaxCompletionTokens int64           `json:"max_completion_tokens,omitempty"`
	Temperature         float64         `json:"temperature,omitempty"`
	ResponseFormat      *responseFormat `json:"response_format,omitempty"`
}

type responseFormat struct {
	Type       string        `json:"type"` // json_schema or json_object
	JSONSchema *schemaFormat `json:"json_schema,omitempty"`
}

type schemaFormat struct {
	Name   string          `json:"name"`
	Strict bool            `json:"strict"`
	Schema json.RawMessage `json:"schema"`
}

type chatAnswer struct {
	Model   string `json:"model"`
	Choices []struct {
		Message message `json:"message"`
	} `json:"choices"`
	Usage struct {
		TotalTokens int64 `json:"total_tokens"`
	} `json:"usage"`
}

// refusalError is an answer with a status of 400 or more. Its text is for recognising what was refused, and never passed on:
// it may repeat the entry.
type refusalError struct {
	status int
	header http.Header
	text   string
}

func (e *refusalError) Error() string {
	return fmt.Sprintf("the provider answers with status %d", e.status)
}

// maxAnswer is what an answer may weigh, whatever the other side sends.
const maxAnswer = 4 << 20 // bytes

// post sends a request with these headers and reads its answer.
func post(ctx context.Context, client *http.Client, address string, header http.Header, r chatRequest) (chatAnswer, error) {
	var out chatAnswer
	raw, err := json.Marshal(r)
	if err != nil {
		return out, fmt.Errorf("encode a request to a provider: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(raw))
	if err != nil {
		return out, fmt.Errorf("make a request to a provider: %w", err)
	}
	request.Header = header
	answer, err := client.Do(request)
	if err != nil {
		return out, fmt.Errorf("ask a provider: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode >= http.StatusBadRequest {
		return out, &refusalError{answer.StatusCode, answer.Header, string(raw)}
	}
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		return out, fmt.Errorf("read the answer of a provider: %w", err)
	}
	return out, nil
}
