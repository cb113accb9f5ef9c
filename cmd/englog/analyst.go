package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/garnizeh/englog-operator/workload/ai"
	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/store"
)

// newAnalyst puts the configured providers behind one router, in their order. Without a budget nothing is counted.
func newAnalyst(c config.AI, budget ai.Budget, log *slog.Logger, registry prometheus.Registerer) (*ai.Router, error) {
	models := make([]ai.Model, 0, len(c.Providers))
	for _, name := range c.Providers {
		models = append(models, newModel(c, name))
	}
	return ai.NewRouter(ai.RouterOptions{Models: models, Budget: budget, DailyRequests: c.DailyRequests, Log: log, Registerer: registry})
}

func newModel(c config.AI, name string) ai.Model {
	switch name {
	case "openai":
		return ai.NewOpenAI(c.OpenAIBaseURL, c.OpenAIModel, c.OpenAIKey.Read, c.Timeout)
	case "azureopenai":
		return ai.NewAzure(c.AzureEndpoint, c.AzureModel, c.AzureVersion, c.AzureKey.Read, c.Timeout)
	case "ollama":
		return ai.NewOllama(c.OllamaEndpoint, c.OllamaModel, c.Timeout)
	default:
		return ai.Builtin{}
	}
}

// weekly makes, once an hour, the weekly tasks of the week that ended last: once for each user who wrote in it.
func weekly(tasks *store.Tasks, log *slog.Logger) func(context.Context) {
	return func(ctx context.Context) {
		every(ctx, time.Hour, func() {
			made, err := tasks.EnsureWeekly(ctx, lastMonday(time.Now()))
			if err != nil && ctx.Err() == nil {
				log.Warn("weekly tasks were not made", "error", err)
			}
			if made > 0 {
				log.Info("weekly tasks made", "tasks", made)
			}
		})
	}
}

// lastMonday is the Monday (UTC) of the last week that is over.
func lastMonday(now time.Time) time.Time {
	day := now.UTC().Truncate(24 * time.Hour)
	return day.AddDate(0, 0, -(int(day.Weekday())+6)%7-7)
}
