package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
)

// OpenAIOptions describe a provider that speaks the OpenAI wire format.
type OpenAIOptions struct {
	Name    string                 // openai, azureopenai or ollama
	BaseURL string                 // up to the part before /chat/completions
	Model   string                 // for Azure: the deployment
	Key     func() (string, error) // asked before each request, so that a rotated key takes effect; nil: none
	// AzureVersion is the api-version; not empty: Azure's way to authenticate.
	AzureVersion string
	Free         bool          // requests do not count against budgets
	Timeout      time.Duration // of one request; 0: 30 s
	CallTimeout  time.Duration // of all requests for one answer; 0: no limit of their own
	MaxTokens    int64         // of one answer; 0: 2000
	Transport    http.RoundTripper
}

// OpenAI is a provider over the OpenAI wire format. What a provider turns out not to support is remembered for the life of the
// process: structured output by schema, then any JSON mode, the newer name of the token limit, a temperature.
type OpenAI struct {
	o         OpenAIOptions
	client    *http.Client
	rung      atomic.Int32
	oldLimit  atomic.Bool
	ownWarmth atomic.Bool
}

// The rungs of the ladder, from the surest down.
const (
	rungSchema = iota
	rungObject
	rungPlain
)

// Connection is how a provider is reached, and how long it may take.
type Connection struct {
	Attempt   time.Duration     // for one request
	Call      time.Duration     // for all requests that one answer takes
	Transport http.RoundTripper // nil: the default
}

// NewOpenAI returns the provider of OpenAI itself; an empty base URL is OpenAI's own.
func NewOpenAI(baseURL, model string, key func() (string, error), c Connection) *OpenAI {
	return NewCompatible(OpenAIOptions{Name: "openai", BaseURL: orDefault(baseURL, "https://api.openai.com/v1"), Model: model, Key: key,
		Timeout: c.Attempt, CallTimeout: c.Call, Transport: c.Transport})
}

// NewAzure returns the provider of one deployment on Azure OpenAI.
func NewAzure(endpoint, deployment, version string, key func() (string, error), c Connection) *OpenAI {
	return NewCompatible(OpenAIOptions{Name: "azureopenai", BaseURL: strings.TrimRight(endpoint, "/") + "/openai/deployments/" + deployment,
		Model: deployment, Key: key, AzureVersion: orDefault(version, "2024-10-21"), Timeout: c.Attempt, CallTimeout: c.Call, Transport: c.Transport})
}

// NewOllama returns the provider of an Ollama server, which serves the OpenAI format under /v1.
func NewOllama(endpoint, model string, c Connection) *OpenAI {
	return NewCompatible(OpenAIOptions{Name: "ollama", BaseURL: strings.TrimSuffix(strings.TrimRight(endpoint, "/"), "/v1") + "/v1",
		Model: model, Free: true, Timeout: c.Attempt, CallTimeout: c.Call, Transport: c.Transport})
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// NewCompatible returns a provider by its options.
func NewCompatible(o OpenAIOptions) *OpenAI {
	if o.MaxTokens == 0 {
		o.MaxTokens = 2000
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	client := &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &OpenAI{o: o, client: client}
}

// Name returns the provider's name.
func (p *OpenAI) Name() string { return p.o.Name }

// Paid says whether requests cost money.
func (p *OpenAI) Paid() bool { return !p.o.Free }

// Complete asks, and asks once more with the reason when the answer does not fit its schema.
func (p *OpenAI) Complete(ctx context.Context, r Request) (Completion, error) {
	if p.o.CallTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.o.CallTimeout)
		defer cancel()
	}
	used := Completion{Provider: p.o.Name, Model: p.o.Model}
	conversation := messages(r)
	text, err := p.ask(ctx, r, conversation, &used)
	if err != nil {
		return used, err
	}
	data, why := accept(text, r.Schema)
	if why != nil {
		conversation = append(conversation, message{"assistant", clipWords(text, 4000)}, message{"user",
			"That answer cannot be used: " + why.Error() + ". Answer again with nothing but the JSON object."})
		if text, err = p.ask(ctx, r, conversation, &used); err != nil {
			return used, err
		}
		if data, why = accept(text, r.Schema); why != nil {
			return used, englog.Fail(englog.FailurePermanent, "bad_output", fmt.Errorf("%s answered twice with what does not fit: %w", p.o.Name, why))
		}
	}
	used.Data = data
	return used, nil
}

func accept(text string, s Schema) (json.RawMessage, error) {
	raw, err := ExtractJSON(text)
	if err != nil {
		return nil, err
	}
	return s.Check(raw)
}

// ask sends one request, and climbs down as far as the provider's refusals demand.
func (p *OpenAI) ask(ctx context.Context, r Request, conversation []message, used *Completion) (string, error) {
	for {
		used.Requests++
		answer, err := p.send(ctx, r, conversation)
		if err == nil {
			used.Tokens += int32(answer.Usage.TotalTokens)
			if answer.Model != "" {
				used.Model = clipWords(answer.Model, 100)
			}
			if len(answer.Choices) == 0 {
				return "", nil
			}
			return answer.Choices[0].Message.Content, nil
		}
		if !p.climbDown(err) {
			return "", classify(p.o.Name, err)
		}
	}
}

func (p *OpenAI) send(ctx context.Context, r Request, conversation []message) (chatAnswer, error) {
	chat := chatRequest{Model: p.o.Model, Messages: conversation}
	if p.oldLimit.Load() {
		chat.MaxTokens = p.o.MaxTokens
	} else {
		chat.MaxCompletionTokens = p.o.MaxTokens
	}
	if !p.ownWarmth.Load() {
		chat.Temperature = 0.2
	}
	switch p.rung.Load() {
	case rungSchema:
		chat.ResponseFormat = &responseFormat{"json_schema", &schemaFormat{r.Schema.Name, true, r.Schema.JSON}}
	case rungObject:
		chat.ResponseFormat = &responseFormat{Type: "json_object"}
	}
	header, err := p.header(r.RequestID)
	if err != nil {
		return chatAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	return post(ctx, p.client, p.address(), header, chat)
}

func (p *OpenAI) address() string {
	address := strings.TrimRight(p.o.BaseURL, "/") + "/chat/completions"
	if p.o.AzureVersion != "" {
		address += "?api-version=" + url.QueryEscape(p.o.AzureVersion)
	}
	return address
}

var errNoKey = errors.New("the API key cannot be read")

// header carries the credentials as they are now.
func (p *OpenAI) header(requestID string) (http.Header, error) {
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	if requestID != "" {
		header.Set("X-Client-Request-Id", requestID)
	}
	if p.o.Key == nil {
		return header, nil
	}
	key, err := p.o.Key()
	if err != nil || key == "" {
		return nil, errNoKey
	}
	if p.o.AzureVersion != "" {
		header.Set("Api-Key", key)
	} else {
		header.Set("Authorization", "Bearer "+key)
	}
	return header, nil
}

// climbDown recognises a refusal of something that can be left out, and leaves it out from now on.
func (p *OpenAI) climbDown(err error) bool {
	var refusal *refusalError
	if !errors.As(err, &refusal) || (refusal.status != http.StatusBadRequest && refusal.status != http.StatusUnprocessableEntity) {
		return false
	}
	text := strings.ToLower(refusal.text)
	switch {
	case strings.Contains(text, "max_completion_tokens"):
		return p.oldLimit.CompareAndSwap(false, true)
	case strings.Contains(text, "temperature"):
		return p.ownWarmth.CompareAndSwap(false, true)
	case strings.Contains(text, "response_format"), strings.Contains(text, "json_schema"), strings.Contains(text, "json_object"), strings.Contains(text, "structured"):
		rung := p.rung.Load()
		return rung < rungPlain && p.rung.CompareAndSwap(rung, rung+1)
	}
	return false
}

// classify says what an error of a provider means for a task. Texts of the provider are not passed on: they may repeat the entry.
func classify(name string, err error) error {
	fail := func(class englog.FailureClass, code, text string) error {
		return &englog.Failure{Class: class, Code: code, Err: fmt.Errorf("%s %s", name, text)}
	}
	var refusal *refusalError
	switch {
	case errors.Is(err, errNoKey):
		return fail(englog.FailureUnavailable, "credentials_missing", "has no readable API key")
	case !errors.As(err, &refusal) && errors.Is(err, context.Canceled):
		return &englog.Failure{Class: englog.FailureRetryable, Code: "stopped", Err: context.Canceled}
	case !errors.As(err, &refusal) && errors.Is(err, context.DeadlineExceeded):
		return fail(englog.FailureRetryable, "timeout", "did not answer in time")
	case !errors.As(err, &refusal):
		return fail(englog.FailureRetryable, "unreachable", "did not give a readable answer")
	}
	status := strconv.Itoa(refusal.status)
	switch code := refusal.status; {
	case code == http.StatusTooManyRequests:
		return &englog.Failure{Class: englog.FailureUnavailable, Code: "rate_limited", After: retryAfter(refusal.header, time.Now()),
			Err: fmt.Errorf("%s limits our rate", name)}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fail(englog.FailureUnavailable, "credentials_refused", "refused our credentials with status "+status)
	case code == http.StatusNotFound:
		return fail(englog.FailureUnavailable, "model_missing", "does not know the model or the address (status 404)")
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusConflict:
		return fail(englog.FailureRetryable, "provider_error", "failed with status "+status)
	default:
		return fail(englog.FailurePermanent, "request_refused", "refused the request with status "+status)
	}
}

// retryAfter reads the header in both of its forms (RFC 9110, 10.2.3); 0 if there is none.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// Probe asks for the list of models: whether the provider can be reached and takes our key. It costs nothing.
func (p *OpenAI) Probe(ctx context.Context) error {
	address := strings.TrimRight(p.o.BaseURL, "/") + "/models"
	if p.o.AzureVersion != "" {
		address = strings.Split(p.o.BaseURL, "/deployments/")[0] + "/models?api-version=" + p.o.AzureVersion
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("asking %s for its models: %w", p.o.Name, err)
	}
	if p.o.Key != nil {
		key, err := p.o.Key()
		if err != nil {
			return errNoKey
		}
		request.Header.Set("Authorization", "Bearer "+key)
		request.Header.Set("api-key", key)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s cannot be reached", p.o.Name)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s answers with status %d", p.o.Name, answer.StatusCode)
	}
	return nil
}
