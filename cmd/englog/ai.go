package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
	"github.com/garnizeh/englog-operator/workload/api"
	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/insight"
	"github.com/garnizeh/englog-operator/workload/obs"
)

// newRouter asks the configured providers in their order; a nil transport is the default.
func newRouter(c config.AI, transport http.RoundTripper, budget ai.Budget, log *slog.Logger, registry prometheus.Registerer) (*ai.Router, error) {
	models := make([]ai.Model, 0, len(c.Providers))
	for _, name := range c.Providers {
		switch name {
		case "openai":
			models = append(models, ai.NewOpenAI(c.OpenAIBaseURL, c.OpenAIModel, c.OpenAIKey.Read, ai.Connection{Attempt: c.OpenAI.Timeout, Call: c.Timeout, Transport: transport}))
		case "azureopenai":
			models = append(models, ai.NewAzure(c.AzureEndpoint, c.AzureModel, c.AzureVersion, c.AzureKey.Read, ai.Connection{Attempt: c.Azure.Timeout, Call: c.Timeout, Transport: transport}))
		case "ollama":
			models = append(models, ai.NewOllama(c.OllamaEndpoint, c.OllamaModel, ai.Connection{Attempt: c.Ollama.Timeout, Call: c.Timeout, Transport: transport}))
		case "builtin":
			models = append(models, ai.Builtin{})
		default:
			return nil, fmt.Errorf("AI_PROVIDERS: %q is not known", name)
		}
	}
	return ai.NewRouter(ai.RouterOptions{Models: models, Budget: budget, DailyRequests: c.DailyRequests, Log: log, Registerer: registry,
		Limits: map[string]ai.Limit{"openai": limitOf(c.OpenAI), "azureopenai": limitOf(c.Azure), "ollama": limitOf(c.Ollama)}})
}

func limitOf(l config.ProviderLimits) ai.Limit {
	return ai.Limit{Requests: l.RequestsPerDay, Tokens: l.TokensPerDay}
}

// draftSlack is what a draft may take beside the provider's own time: until a
// worker sees the request, and until the answer is seen here.
const draftSlack = 5 * time.Second

// draftPatience is how long the API waits for a draft: as long as a provider may
// take, but not until the server cuts the answer off.
func draftPatience(c config.Config) time.Duration {
	return max(time.Second, min(c.AI.Timeout+draftSlack, c.WriteTimeout-2*time.Second))
}

// generator drafts entries for users who allow it; a worker does the work.
type generator struct {
	desk  insight.Desk
	users auth.Store
}

func (g generator) Generate(ctx context.Context, user englog.UserID, prompt, about string) (api.Draft, error) {
	u, err := g.users.User(ctx, user)
	if err != nil {
		return api.Draft{}, err
	}
	if !u.Preferences.AIEnabled {
		return api.Draft{}, englog.Errorf(englog.CodeForbidden, "AI is switched off in your preferences.")
	}
	d, provider, err := g.desk.Generate(ctx, englog.DraftRequest{UserID: user, Prompt: prompt, Background: about,
		RequestID: obs.RequestID(ctx), TraceParent: obs.TraceParent(ctx)})
	return api.Draft{Title: d.Title, Body: d.Body, Kind: d.Kind, Mood: d.Mood, Tags: orEmpty(d.Tags), Provider: provider}, err
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
