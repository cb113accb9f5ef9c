package redisx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options say where Redis is. URL and Password are asked again for every new connection, so that a rotated file takes
// effect without a restart.
type Options struct {
	URL        func() (string, error) // redis://[user[:password]@]host[:port][/db], rediss:// for TLS
	Password   func() (string, error) // overrides the URL's password unless empty; may be nil
	Instance   string                 // <namespace>.<name>: the owner of the keys
	MaxRetries int                    // of one command; 0: none
	PoolSize   int                    // 0: 10
	// CA returns the certificates (PEM) to believe with rediss://; empty or nil: the system's.
	CA func() (string, error)
	// AnyCertificate believes whatever certificate Redis shows: the connection is private, its other end unproven.
	AnyCertificate bool
}

// Client is a connection pool for short commands. It connects when first used; Redis need not be there yet.
type Client struct {
	rdb     *redis.Client
	options Options
	prefix  string
}

var quiet sync.Once

// Open checks the options and returns a client. It does not connect.
func Open(o Options) (*Client, error) {
	quiet.Do(func() { redis.SetLogger(silent{}) })
	c := &Client{options: o, prefix: "{englog:" + o.Instance + "}:"}
	if o.PoolSize == 0 {
		c.options.PoolSize = 10
	}
	parsed, err := c.parse()
	if err != nil {
		return nil, err
	}
	c.rdb = c.connect(parsed, c.options.PoolSize)
	return c, nil
}

// silent drops go-redis's own log: its failures are reported where they matter, once.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// parse reads the options as they are now.
func (c *Client) parse() (*redis.Options, error) {
	url, err := c.options.URL()
	if err != nil {
		return nil, fmt.Errorf("reading REDIS_URL: %w", err)
	}
	parsed, err := redis.ParseURL(strings.TrimSpace(url))
	if err != nil {
		// The library's error repeats the URL, and with it the password.
		return nil, fmt.Errorf("REDIS_URL is not of the form redis://[user[:password]@]host[:port][/db]")
	}
	if c.options.Password != nil {
		password, err := c.options.Password()
		if err != nil {
			return nil, fmt.Errorf("reading REDIS_PASSWORD: %w", err)
		}
		if password != "" {
			parsed.Password = password
		}
	}
	return parsed, c.certify(parsed.TLSConfig)
}

// certify says which certificates a TLS connection believes; none is there without TLS.
func (c *Client) certify(t *tls.Config) error {
	if t == nil {
		return nil
	}
	t.InsecureSkipVerify = c.options.AnyCertificate //nolint:gosec // REDIS_TLS=require asks for it, as sslmode=require does for PostgreSQL
	if c.options.CA == nil {
		return nil
	}
	pem, err := c.options.CA()
	if err != nil {
		return fmt.Errorf("reading REDIS_TLS_CA: %w", err)
	}
	if pem == "" {
		return nil
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM([]byte(pem)) {
		return errors.New("REDIS_TLS_CA holds no certificate in PEM form")
	}
	return nil
}

func (c *Client) connect(o *redis.Options, size int) *redis.Client {
	o.PoolSize = size
	o.MaxRetries = c.options.MaxRetries
	if o.MaxRetries == 0 {
		o.MaxRetries = -1
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = time.Second, 2*time.Second, 2*time.Second
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	o.Protocol = 2
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
		fresh, err := c.parse()
		if err != nil {
			return nil, err
		}
		fresh.DialTimeout = time.Second
		return redis.NewDialer(fresh)(ctx, network, fresh.Addr)
	}
	o.CredentialsProviderContext = func(context.Context) (string, string, error) {
		fresh, err := c.parse()
		if err != nil {
			return "", "", err
		}
		return fresh.Username, fresh.Password, nil
	}
	return redis.NewClient(o)
}

// Ping reports whether Redis answers.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("asking Redis for an answer: %w", err)
	}
	return nil
}

// Close closes the pool.
func (c *Client) Close() error { return c.rdb.Close() }

func (c *Client) key(parts ...string) string { return c.prefix + strings.Join(parts, ":") }
