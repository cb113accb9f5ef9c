package local

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

type probe func(context.Context) error

const probeEvery = 50 * time.Millisecond

// await repeats a probe until it succeeds. A probe that fails for the whole time is the error.
func await(ctx context.Context, within time.Duration, p probe) error {
	deadline, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		attempt, cancelAttempt := context.WithTimeout(deadline, 3*time.Second)
		err := p(attempt)
		cancelAttempt()
		if err == nil || errors.Is(err, errDead) {
			return err
		}
		select {
		case <-deadline.Done():
			return fmt.Errorf("not within %s: %w", within, err)
		case <-time.After(probeEvery):
		}
	}
}

// errDead ends waiting: what is waited for has died.
var errDead = errors.New("it ended")

// together runs functions side by side and collects their errors.
func together(functions ...func() error) error {
	errs := make([]error, len(functions))
	var group sync.WaitGroup
	for i, f := range functions {
		group.Go(func() { errs[i] = f() })
	}
	group.Wait()
	return errors.Join(errs...)
}

// answers probes an address that must accept connections.
func answers(address string) probe {
	return func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

// healthy probes a URL that must answer 200. The components' certificates are self-signed and made at start.
func healthy(url string) probe {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		return nil
	}
}

func certPool(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}
