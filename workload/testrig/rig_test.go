package testrig_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/garnizeh/englog-operator/workload/testrig"
)

func TestMain(m *testing.M) { testrig.Main(m) }

func TestServersAnswerAndSurviveARestart(t *testing.T) {
	p := testrig.NewPostgres(t, testrig.PostgresOptions{})
	if err := p.Exec("postgres", "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(false); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(context.Background(), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var n int
	if err := conn.QueryRow(context.Background(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Fatalf("got %d, %v; want 7", n, err)
	}
}

func TestRedisRestartsEmpty(t *testing.T) {
	r := testrig.NewRedis(t)
	if _, err := r.Do("SET", "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Do("EXISTS", "a"); err != nil || got != ":0" {
		t.Fatalf("got %q, %v; want :0", got, err)
	}
}

func TestCloneCopiesTheTemplate(t *testing.T) {
	p := testrig.SharedPostgres(t)
	fills := 0
	fill := func(url string) error {
		fills++
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		_, err = conn.Exec(context.Background(), "CREATE TABLE copied ()")
		return err
	}
	for range 2 {
		url, err := p.Clone("template_of_test", fill)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(context.Background(), "INSERT INTO copied DEFAULT VALUES"); err != nil {
			t.Error(err)
		}
		conn.Close(context.Background())
	}
	if fills != 1 {
		t.Errorf("the template was filled %d times, want once", fills)
	}
}
