package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/exaring/otelpgx"

	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/obs"
	"github.com/garnizeh/englog-operator/workload/redisx"
	"github.com/garnizeh/englog-operator/workload/run"
	"github.com/garnizeh/englog-operator/workload/store"
)

func newLogger(c config.Config) *slog.Logger {
	return obs.NewLogger(os.Stdout, c.LogLevel, slog.String("role", c.Role), slog.String("revision", c.Identity.Revision),
		slog.String("color", c.Identity.Color), slog.String("pod", c.Identity.Pod))
}

func openStore(ctx context.Context, c config.Config, tracing *obs.Tracing) (*store.Store, error) {
	o := store.Options{ConnString: c.Database.ConnString, MaxConns: int32(c.Database.MaxConns),
		Timeout: c.Database.Timeout, TransactionPooling: c.Database.TransactionPooling}
	if tracing != nil {
		o.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(tracing.Provider()), otelpgx.WithDisableConnectionDetailsInAttributes())
	}
	return store.Open(ctx, o)
}

func openRedis(c config.Config) (*redisx.Client, error) {
	return redisx.Open(redisx.Options{URL: c.Redis.URL, Password: c.Redis.Password, Instance: c.Identity.Instance,
		MaxRetries: c.Redis.MaxRetries, CA: c.Redis.CA, AnyCertificate: c.Redis.AnyCertificate()})
}

// databaseCheck is ready when the database answers and its schema fits.
func databaseCheck(s *store.Store) run.Check {
	return run.Check{Name: "database", Probe: func(ctx context.Context) error {
		schema, err := s.Schema(ctx)
		if err != nil {
			return errors.New("it does not answer")
		}
		if why := schema.Bears(store.Level(), store.Level()); why != "" {
			return errors.New(why)
		}
		return nil
	}}
}

// redisCheck is only reported: without Redis the service is slower, not down.
func redisCheck(client *redisx.Client) run.Check {
	return run.Check{Name: "redis", Reported: true, Probe: client.Ping}
}

func levels(s *store.Store) func(context.Context) (run.Levels, error) {
	return func(ctx context.Context) (run.Levels, error) {
		schema, err := s.Schema(ctx)
		return run.Levels(schema), err
	}
}

// heartbeat tells contract migrations that this process is alive.
func heartbeat(s *store.Store, c config.Config, log *slog.Logger) func(context.Context) {
	me := store.Instance{ID: c.Identity.Instance + "/" + c.Identity.Pod + "/" + c.Role, Role: c.Role, Color: c.Identity.Color,
		Revision: c.Identity.Revision, Version: run.Version, Level: store.Level()}
	return func(ctx context.Context) {
		every(ctx, 10*time.Second, func() {
			beat, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			if err := s.Heartbeat(beat, me); err != nil && ctx.Err() == nil {
				log.Debug("no heartbeat was recorded", "error", err)
			}
		})
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := s.Forget(end, me.ID); err != nil {
			log.Debug("this instance was not forgotten", "error", err)
		}
	}
}

// every does something now and then until ctx ends.
func every(ctx context.Context, pause time.Duration, do func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
