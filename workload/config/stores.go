package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Database says how to reach PostgreSQL: by one URL or by its parts.
type Database struct {
	url, migrationURL                      Secret
	host, port, name, user, password, mode Secret
	rootCert                               string
	MaxConns                               int
	Timeout                                time.Duration
	// TransactionPooling tells that a pooler hands out connections per transaction.
	TransactionPooling bool
}

func loadDatabase(p *parser) Database {
	d := Database{
		url: p.secret("DATABASE_URL"), migrationURL: p.secret("DATABASE_MIGRATION_URL"),
		host: p.secret("DB_HOST"), port: p.secret("DB_PORT"), name: p.secret("DB_NAME"), user: p.secret("DB_USER"),
		password: p.secret("DB_PASSWORD"), mode: p.secret("DB_SSLMODE"),
		rootCert: p.text("DB_SSLROOTCERT_FILE", p.text("DB_SSLROOTCERT", "")),
		MaxConns: p.number("DB_MAX_CONNS", 25, 1, 1000), Timeout: p.duration("DB_TIMEOUT", 10*time.Second, time.Second, 5*time.Minute),
		TransactionPooling: p.oneOf("DATABASE_POOLING", "session", "session", "transaction") == "transaction",
	}
	if !d.url.IsSet() {
		d.url = p.secret("DB_URL")
	}
	return d
}

func (d Database) require(p *parser, migrate bool) {
	if !d.url.IsSet() && !d.host.IsSet() && !(migrate && d.migrationURL.IsSet()) {
		p.bad("DATABASE_URL", "it is not set: set it, or DB_HOST with DB_PORT, DB_NAME, DB_USER, DB_PASSWORD (each also as ..._FILE)")
	}
}

// ConnString returns the connection string with the credentials as they are now.
func (d Database) ConnString() (string, error) {
	if d.url.IsSet() {
		return d.certified(d.url)
	}
	return d.fromParts()
}

// MigrationConnString is the connection string for migrations: a direct one
// where the usual one leads through a pooler.
func (d Database) MigrationConnString() (string, error) {
	if d.migrationURL.IsSet() {
		return d.certified(d.migrationURL)
	}
	return d.ConnString()
}

// certified adds to a URL the certificates to believe, and with them how strictly
// to check, as far as the URL does not say so itself.
func (d Database) certified(s Secret) (string, error) {
	raw, err := nonEmpty(s)
	if err != nil || d.rootCert == "" {
		return raw, err
	}
	mode, err := d.mode.Read()
	if err != nil {
		return "", err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" { // keywords and values
		if !strings.Contains(raw, "sslrootcert=") {
			raw += " sslrootcert='" + d.rootCert + "'"
		}
		if mode != "" && !strings.Contains(raw, "sslmode=") {
			raw += " sslmode=" + mode
		}
		return raw, nil
	}
	query := u.Query()
	if !query.Has("sslrootcert") {
		query.Set("sslrootcert", d.rootCert)
	}
	if mode != "" && !query.Has("sslmode") {
		query.Set("sslmode", mode)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func nonEmpty(s Secret) (string, error) {
	v, err := s.Read()
	if err == nil && v == "" {
		err = fmt.Errorf("%s_FILE: the file is missing or empty: mount the credentials", s.name)
	}
	return v, err
}

func (d Database) fromParts() (string, error) {
	values := map[string]string{}
	for _, s := range []Secret{d.host, d.port, d.name, d.user, d.password, d.mode} {
		v, err := s.Read()
		if err != nil {
			return "", err
		}
		values[s.name] = v
	}
	if values["DB_HOST"] == "" {
		return "", fmt.Errorf("DB_HOST is empty: mount the credentials")
	}
	u := url.URL{Scheme: "postgres", Host: net.JoinHostPort(values["DB_HOST"], orDefault(values["DB_PORT"], "5432")),
		Path: "/" + orDefault(values["DB_NAME"], "englog"), User: url.UserPassword(values["DB_USER"], values["DB_PASSWORD"])}
	query := url.Values{"sslmode": {orDefault(values["DB_SSLMODE"], "prefer")}}
	if d.rootCert != "" {
		query.Set("sslrootcert", d.rootCert)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func orDefault(v, fallback string) string {
	if v == "" {
		return fallback
	}
	return v
}

// Redis says how to reach Redis: by one URL or by its parts.
type Redis struct {
	url, host, port, user, password, ca Secret
	tls                                 string
	MaxRetries                          int
}

func loadRedis(p *parser) Redis {
	return Redis{
		url: p.secret("REDIS_URL"), host: p.secret("REDIS_HOST"), port: p.secret("REDIS_PORT"), user: p.secret("REDIS_USER"),
		password: p.secret("REDIS_PASSWORD"), ca: p.secret("REDIS_TLS_CA"), tls: p.oneOf("REDIS_TLS", "disable", "disable", "require", "verify-full"),
		MaxRetries: p.number("REDIS_MAX_RETRIES", 3, 0, 20),
	}
}

// URL returns the address of Redis with the user as it is now; the password is
// separate.
func (r Redis) URL() (string, error) {
	if r.url.IsSet() {
		return nonEmpty(r.url)
	}
	host, err := r.host.Read()
	if err != nil || host == "" {
		return "redis://localhost:6379", err
	}
	port, err := r.port.Read()
	if err != nil {
		return "", err
	}
	user, err := r.user.Read()
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "redis", Host: net.JoinHostPort(host, orDefault(port, "6379"))}
	if r.tls != "disable" {
		u.Scheme = "rediss"
	}
	if user != "" {
		u.User = url.User(user)
	}
	return u.String(), nil
}

// Password returns the password as it is now; empty if the URL has it.
func (r Redis) Password() (string, error) { return r.password.Read() }

// CA returns the certificates (PEM) that sign Redis', as they are now; empty: those
// of the system.
func (r Redis) CA() (string, error) {
	if !r.ca.IsSet() {
		return "", nil
	}
	return nonEmpty(r.ca)
}

// AnyCertificate reports that TLS is asked for and the certificate does not matter.
func (r Redis) AnyCertificate() bool { return r.tls == "require" && !r.ca.IsSet() }

// String hides the credentials, which fmt would reach otherwise.
func (Database) String() string { return "[database]" }

// GoString hides them from %#v.
func (Database) GoString() string { return "[database]" }

// String hides the credentials, which fmt would reach otherwise.
func (Redis) String() string { return "[redis]" }

// GoString hides them from %#v.
func (Redis) GoString() string { return "[redis]" }
