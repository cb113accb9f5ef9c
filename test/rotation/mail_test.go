package rotation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// Where the mail server listens, as whom the instance signs in there, and the ConfigMap with the certificate that it believes.
const (
	mailPort = 465
	mailUser = "journal"
	mailCA   = "mail-ca"
)

// mailHost is this machine's address on the cluster's link.
func mailHost() string { return local.LoadAddresses()[0] }

// posting is an instance that mails login codes.
func posting(s *v1alpha1.EngLogInstanceSpec) {
	s.Mail = &v1alpha1.MailSpec{Type: v1alpha1.MailSMTP, SMTP: &v1alpha1.SMTPSpec{
		Host: mailHost(), Port: mailPort, From: "journal@example.org", User: mailUser, Encryption: v1alpha1.SMTPTLS,
	}}
	s.Config = &v1alpha1.ConfigSpec{CABundle: &v1alpha1.ConfigMapKeyRef{Name: mailCA}}
}

// mailServer takes mail from whoever shows a password that it knows.
type mailServer struct {
	mu      sync.Mutex
	known   map[string]bool
	taken   map[string]int // mails by password
	refused int
}

// listenForMail starts a mail server, which ends with the test, and returns the certificate that it shows.
func listenForMail(t *testing.T, password string) (*mailServer, string) {
	t.Helper()
	certificate, authority := selfSigned(t)
	listener, err := tls.Listen("tcp", fmt.Sprintf("%s:%d", mailHost(), mailPort), &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // the test is over
	s := &mailServer{taken: map[string]int{}}
	s.accept(password)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s, authority
}

func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(mailHost())},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

// accept makes the server know these passwords and no others.
func (s *mailServer) accept(passwords ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = map[string]bool{}
	for _, p := range passwords {
		s.known[p] = true
	}
}

func (s *mailServer) mails(password string) (taken, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[password], s.refused
}

// serve speaks as much of RFC 5321 and RFC 4954 as a client that signs in and sends one mail needs.
func (s *mailServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }() // a client that is gone has seen enough
	c := textproto.NewConn(conn)
	answer := func(line string) { _ = c.PrintfLine("%s", line) } // the next read fails then
	answer("220 mail")
	password := ""
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		switch verb, rest, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			answer("250-mail")
			answer("250 AUTH PLAIN")
		case "AUTH":
			if password = s.signIn(rest); password == "" {
				answer("535 5.7.8 no such user or password")
				continue
			}
			answer("235 2.7.0 welcome")
		case "DATA":
			answer("354 go on")
			if _, err := io.Copy(io.Discard, c.DotReader()); err != nil {
				return
			}
			s.take(password)
			answer("250 taken")
		case "QUIT":
			answer("221 bye")
			return
		default:
			answer("250 fine")
		}
	}
}

// signIn returns the password of an initial response of AUTH PLAIN, or nothing when it is not known.
func (s *mailServer) signIn(response string) string {
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(response, "PLAIN ")) // what cannot be read is refused
	parts := strings.Split(string(raw), "\x00")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(parts) != 3 || parts[1] != mailUser || !s.known[parts[2]] {
		s.refused++
		return ""
	}
	return parts[2]
}

func (s *mailServer) take(password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[password]++
}

// believe lets the pods believe the mail server.
func (r *rig) believe(t *testing.T, authority string) {
	t.Helper()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: mailCA}, Data: map[string]string{"ca.crt": authority}}
	if err := client.IgnoreNotFound(r.Delete(t.Context(), m.DeepCopy())); err != nil {
		t.Fatal(err)
	}
	if err := r.Create(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Delete(context.WithoutCancel(t.Context()), m) }) // the next run makes it anew
}

// correspondents are people who ask for a code, one after the other, until the test stops them. It returns what came of it.
func (r *rig) correspondents(t *testing.T) (stop func() (asked int, failures []string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	asked, done := 0, make(chan []string, 1)
	go func() {
		var failures []string
		for ticker := time.NewTicker(look); ; asked++ {
			select {
			case <-ctx.Done():
				ticker.Stop()
				done <- failures
				return
			case <-ticker.C:
			}
			if err := r.askForCode(ctx, asked); err != nil && ctx.Err() == nil {
				failures = append(failures, time.Now().Format("15:04:05.000 ")+err.Error())
			}
		}
	}()
	return func() (int, []string) {
		cancel()
		failures := <-done
		return asked, failures
	}
}

func (r *rig) askForCode(ctx context.Context, n int) (err error) {
	body := strings.NewReader(fmt.Sprintf(`{"email":"correspondent-%d-%d@example.org"}`, time.Now().Unix(), n))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.cfg.Address+"/api/v1/auth/otp/request", body)
	if err != nil {
		return err
	}
	request.Host = r.cfg.Host
	request.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusAccepted {
		said, _ := io.ReadAll(answer.Body) // as much as there is
		return fmt.Errorf("status %d: %s", answer.StatusCode, said)
	}
	return nil
}

// mailPassword is known beside the first one for a while, and then alone.
func (r *rig) mailPassword(t *testing.T) {
	stop := r.correspondents(t)
	fresh := secret()
	r.post.accept(r.mailSecret, fresh)
	r.rotate(t, map[string]string{"SMTP_PASSWORD": fresh})
	before, _ := r.post.mails(r.mailSecret)
	r.post.accept(fresh)
	r.await(t, time.Minute, "mails under the new password", func(context.Context) (bool, string, error) {
		taken, refused := r.post.mails(fresh)
		return taken >= 5, fmt.Sprintf("%d taken, %d refused", taken, refused), nil
	})
	asked, failures := stop()
	taken, refused := r.post.mails(fresh)
	t.Logf("%d codes were asked for, %d mailed under the first password and %d under the second, %d refused", asked, before, taken, refused)
	if before == 0 || refused > 0 || len(failures) > 0 {
		t.Errorf("%d refused, failures: %s", refused, strings.Join(failures, "\n"))
	}
}
