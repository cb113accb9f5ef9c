package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func issue(t *testing.T, id Identity) (dir string, cert *x509.Certificate, roots *x509.CertPool) {
	t.Helper()
	dir = t.TempDir()
	authority, err := New(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Issue(id); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, id.File+".crt"), filepath.Join(dir, id.File+".key"))
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("ca.crt: %v", err)
	}
	if err := authority.Kubeconfig(filepath.Join(dir, "config"), "test", "https://10.0.0.1:6443", id.File); err != nil {
		t.Fatal(err)
	}
	return dir, pair.Leaf, roots
}

func TestServerCertificate(t *testing.T) {
	_, cert, roots := issue(t, Identity{File: "s", CommonName: "server", Addresses: []string{"10.0.0.1", "kubernetes.default"}})
	for _, name := range []string{"10.0.0.1", "kubernetes.default"} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	client := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(client); err == nil {
		t.Error("a server's certificate passes for a client's")
	}
}

func TestClientCertificateAndKubeconfig(t *testing.T) {
	dir, cert, roots := issue(t, Identity{File: "c", CommonName: "system:node:n", Groups: []string{"system:nodes"}})
	client := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(client); err != nil {
		t.Error(err)
	}
	if cert.Subject.CommonName != "system:node:n" || cert.Subject.Organization[0] != "system:nodes" {
		t.Errorf("subject %s", cert.Subject)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config"))
	if err != nil || !strings.Contains(string(text), `server: "https://10.0.0.1:6443"`) || strings.Contains(string(text), "%!") {
		t.Errorf("kubeconfig %s, %v", text, err)
	}
	for _, secret := range []string{"c.key", "ca.key", "config"} {
		if info, err := os.Stat(filepath.Join(dir, secret)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", secret, info.Mode(), err)
		}
	}
}

func TestSigningKeyPair(t *testing.T) {
	dir := t.TempDir()
	authority, err := New(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.SigningKey("sa"); err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(dir, "sa.pub"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(public)
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		t.Error(err)
	}
}
