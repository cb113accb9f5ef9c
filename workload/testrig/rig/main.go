// Command rig starts a private PostgreSQL and Redis, prints their addresses as
// environment variables, and stops them with itself.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/garnizeh/englog-operator/workload/testrig"
)

func main() {
	durable := flag.Bool("durable", false, "keep fsync and synchronous commit on")
	statements := flag.Bool("statements", false, "load pg_stat_statements")
	flag.Parse()
	options := testrig.PostgresOptions{Durable: *durable}
	if *statements {
		options.Settings = map[string]string{"shared_preload_libraries": "pg_stat_statements"}
	}
	if err := serve(options); err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		os.Exit(1)
	}
}

func serve(options testrig.PostgresOptions) error {
	p, err := testrig.StartPostgres(options)
	if err != nil {
		return err
	}
	defer p.Close()
	r, err := testrig.StartRedis()
	if err != nil {
		return err
	}
	defer r.Close()
	url, err := p.NewDatabase()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "export DATABASE_URL='%s'\nexport REDIS_URL='%s'\n", url, r.URL())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	return nil
}
