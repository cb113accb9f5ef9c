package main

import (
	"context"

	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/obs"
	"github.com/garnizeh/englog-operator/workload/run"
	"github.com/garnizeh/englog-operator/workload/web"
)

// frontendApp puts the web pages together.
func frontendApp(_ context.Context, c config.Config) (*run.App, error) {
	log := newLogger(c)
	handler, err := web.New(web.Options{
		APIURL: c.APIURL, Key: c.Auth.SessionKey.Read, Secure: c.Environment == config.Production, Version: run.Version, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return &run.App{Config: c, Log: log, Handler: handler,
		Registry: obs.NewRegistry(run.Version, c.Identity.Revision, c.Identity.Color, c.Role)}, nil
}
