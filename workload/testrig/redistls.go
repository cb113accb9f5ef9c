package testrig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// NewRedisTLS starts a Redis for one test that speaks TLS on TLSPort, for localhost and 127.0.0.1, and returns the certificate (PEM) of
// the authority that signed its own.
func NewRedisTLS(t testing.TB) (r *Redis, authority string) {
	t.Helper()
	r, err := startRedis(func(r *Redis) (err error) {
		authority, err = r.certify()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, authority
}

// Authority makes a certificate authority that has signed nothing.
func Authority(t testing.TB) string {
	t.Helper()
	_, _, authority, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// certify makes key and certificate, and prepares the server to use them.
func (r *Redis) certify() (authority string, err error) {
	parent, signer, authority, err := newAuthority()
	if err != nil {
		return "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("testrig: make a key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "redis"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return "", fmt.Errorf("testrig: sign a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("testrig: encode a key: %w", err)
	}
	if r.TLSPort, err = freePort(); err != nil {
		return "", err
	}
	certificate, private := filepath.Join(r.Dir, "redis.crt"), filepath.Join(r.Dir, "redis.key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: raw}, private: {Type: "PRIVATE KEY", Bytes: secret}} {
		// The server runs as another user, in a directory that only it and root can enter.
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil { //nolint:gosec // a key for an hour of tests
			return "", fmt.Errorf("testrig: write a certificate: %w", err)
		}
	}
	r.extra = []string{"--tls-port", strconv.Itoa(r.TLSPort), "--tls-cert-file", certificate, "--tls-key-file", private, "--tls-auth-clients", "no"}
	return authority, nil
}

func newAuthority() (certificate *x509.Certificate, key *ecdsa.PrivateKey, encoded string, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, "", fmt.Errorf("testrig: make a key: %w", err)
	}
	certificate = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of tests"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
	if err != nil {
		return nil, nil, "", fmt.Errorf("testrig: sign an authority: %w", err)
	}
	return certificate, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})), nil
}
