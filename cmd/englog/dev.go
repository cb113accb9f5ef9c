package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/run"
	"github.com/garnizeh/englog-operator/workload/store"
)

// dev migrates the database and runs all roles in one process: the API on PORT,
// the frontend on PORT+1, the admin ports behind ADMIN_PORT.
func dev(ctx context.Context, c config.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !c.Auth.SessionKey.IsSet() {
		c.Auth.SessionKey = config.NewSecret("SESSION_KEY", rand.Text()+rand.Text())
	}
	result, err := runMigration(ctx, c, migrationRun{phase: store.Expand}, slog.Default())
	if err != nil {
		return fmt.Errorf("migrate the database (level %d): %w", result.Current, err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i, build := range []func(context.Context, config.Config) (*run.App, error){apiApp, workerApp, frontendApp} {
		role := c
		role.Role = []string{config.RoleAPI, config.RoleWorker, config.RoleFrontend}[i]
		role.AdminPort = c.AdminPort + 10 + i
		if role.Role == config.RoleFrontend {
			role.Port = c.Port + 1
			role.APIURL = fmt.Sprintf("http://127.0.0.1:%d", c.Port)
		}
		wg.Go(func() {
			roleErr := runApp(ctx, role, build)
			mu.Lock()
			err = errors.Join(err, roleErr)
			mu.Unlock()
			cancel()
		})
	}
	fmt.Printf("api       http://127.0.0.1:%d/api/v1\nfrontend  http://127.0.0.1:%d/\n", c.Port, c.Port+1)
	wg.Wait()
	return err
}
