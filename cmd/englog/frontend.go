package main

import (
	"context"
	"net/http"

	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/obs"
	"github.com/garnizeh/englog-operator/workload/run"
)

// frontendApp puts the web pages together.
func frontendApp(_ context.Context, c config.Config) (*run.App, error) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><html lang=\"en\"><title>EngLog</title><h1>EngLog</h1></html>\n"))
	})
	return &run.App{Config: c, Log: newLogger(c), Handler: handler,
		Registry: obs.NewRegistry(run.Version, c.Identity.Revision, c.Identity.Color, c.Role)}, nil
}
