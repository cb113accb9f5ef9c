package local

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// CreateDatabase makes a role that can log in and a database that it owns, unless they are there, and gives the URI.
// With fresh, a database and role of that name are dropped first, clients disconnected.
func (c *Cluster) CreateDatabase(ctx context.Context, name string, fresh bool) (string, error) {
	if err := databaseName(name); err != nil {
		return "", err
	}
	if fresh {
		if err := c.DropDatabase(ctx, name); err != nil {
			return "", err
		}
	}
	password, err := c.password(name)
	if err != nil {
		return "", err
	}
	role := fmt.Sprintf(`DO $$ BEGIN CREATE ROLE "%s" LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE "%s" PASSWORD '%s';`, name, name, password)
	if _, err := psql(ctx, role); err != nil {
		return "", err
	}
	exists, err := psql(ctx, fmt.Sprintf("SELECT 1 FROM pg_database WHERE datname = '%s'", name))
	if err != nil {
		return "", err
	}
	if exists == "" {
		if _, err := psql(ctx, fmt.Sprintf(`CREATE DATABASE "%s" OWNER "%s"`, name, name)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", name, password, Postgres, name), nil
}

// DropDatabase drops a database and its role; neither need exist.
func (c *Cluster) DropDatabase(ctx context.Context, name string) error {
	if err := databaseName(name); err != nil {
		return err
	}
	if _, err := psql(ctx, fmt.Sprintf(`DROP DATABASE IF EXISTS "%s" WITH (FORCE)`, name)); err != nil {
		return err
	}
	_, err := psql(ctx, fmt.Sprintf(`DROP ROLE IF EXISTS "%s"`, name))
	return err
}

var databaseNames = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func databaseName(name string) error {
	if !databaseNames.MatchString(name) {
		return fmt.Errorf("database name %q: want a lower case letter, then letters, digits, - or _, at most 63", name)
	}
	return nil
}

// password is the same for a name as long as the cluster lives.
func (c *Cluster) password(name string) (string, error) {
	file := c.path("postgres", "secret")
	secret, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		secret = []byte(rand.Text())
		err = os.WriteFile(file, secret, 0o600)
	}
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(name))
	return hex.EncodeToString(mac.Sum(nil))[:32], nil
}

// psql runs one statement as the superuser and gives what it answers.
func psql(ctx context.Context, statement string) (string, error) {
	bin, err := postgresBin()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--set=ON_ERROR_STOP=1", "--file=-", AdminURI())
	cmd.Stdin = strings.NewReader(statement)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

// AdminURI is the superuser's.
func AdminURI() string {
	return "postgres://postgres:" + PostgresPassword + "@" + Postgres + "/postgres?sslmode=disable"
}
