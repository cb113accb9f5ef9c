package main

import (
	"context"
	"os"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/api"
	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/insight"
	"github.com/garnizeh/englog-operator/workload/mail"
	"github.com/garnizeh/englog-operator/workload/obs"
	"github.com/garnizeh/englog-operator/workload/queue"
	"github.com/garnizeh/englog-operator/workload/redisx"
	"github.com/garnizeh/englog-operator/workload/run"
)

// apiApp puts the API together.
func apiApp(ctx context.Context, c config.Config) (*run.App, error) {
	log := newLogger(c)
	tracing, err := startTracing(ctx, c, log)
	if err != nil {
		return nil, err
	}
	s, err := openStore(ctx, c, tracing)
	if err != nil {
		return nil, err
	}
	client, err := openRedis(c)
	if err != nil {
		return nil, err
	}
	ring, err := auth.NewRing(c.Auth.JWTSecret.Read, c.Auth.JWTPrevious.Read, c.Auth.JWTNext.Read)
	if err != nil {
		return nil, err
	}
	passwords, err := newPasswords(c.Auth.BcryptCost)
	if err != nil {
		return nil, err
	}
	registry := obs.NewRegistry(run.Version, c.Identity.Revision, c.Identity.Color, c.Role)
	limiter := redisx.NewLimiter(client)
	kicker := queue.NewKicker(client, s.Tasks(), log)
	mailer, mailbox := newMailer(c)
	accounts := auth.New(auth.Options{Store: s, Mailer: mailer, Ring: ring, Passwords: passwords, Clock: englog.SystemClock{}, Throttle: limiter,
		SessionTimeout: c.Auth.SessionTimeout, AccessTTL: c.Auth.AccessTTL, RefreshTTL: c.Auth.RefreshTTL, Registration: c.Auth.Registration, BootstrapInvite: c.Auth.BootstrapInvite.Read, Log: log})
	options := api.Options{Accounts: accounts, Entries: s, Analysis: s.Tasks(), Numbers: s, Mailbox: mailbox, Features: api.Features(c.Features), Kicker: kicker, Limiter: limiter,
		Clock: englog.SystemClock{}, Log: log, Registry: registry, Tracing: tracing, Kinds: englog.EntryTaskKinds(), MaxContentSize: c.MaxContentSize,
		RateLimit: c.RateLimitRPS, TrustedProxies: c.TrustedProxies, EditDebounce: englog.EditDebounce,
		GenerateTimeout: draftPatience(c) + time.Second, Generator: generator{insight.Desk{Drafts: s.Tasks(), Patience: draftPatience(c)}, s}}
	handler := api.New(options)
	return &run.App{Config: c, Log: log, Handler: handler, Registry: registry,
		Checks:     []run.Check{databaseCheck(s), redisCheck(client)},
		Background: []func(context.Context){kicker.Run, heartbeat(s, c, log)},
		Levels:     levels(s), KeyIDs: ring.KeyIDs,
		Close: func() {
			_ = client.Close()
			s.Close()
			closeTracing(tracing, log)
		}}, nil
}

// newPasswords has passwords hashed beside the process that serves, and one processor left to it.
func newPasswords(bcryptCost int) (*auth.Passwords, error) {
	passwords, err := auth.NewPasswords(config.GOMAXPROCS()-1, bcryptCost)
	if err != nil {
		return nil, err
	}
	if program, err := os.Executable(); err == nil {
		passwords.UseHashers(program, hasherCommand)
	}
	return passwords, nil
}

// newMailer sends codes over SMTP where a host is set; in development they go to
// a mailbox; elsewhere login codes are off.
func newMailer(c config.Config) (auth.Mailer, *mail.Mailbox) {
	switch {
	case c.Mail.Host != "":
		return mail.SMTP{Host: c.Mail.Host, Port: c.Mail.Port, Username: c.Mail.Username, From: c.Mail.From, Password: c.Mail.Password.Read,
			Encryption: c.Mail.Encryption}, nil
	case c.Environment == config.Development:
		box := &mail.Mailbox{}
		return box, box
	}
	return nil, nil
}
