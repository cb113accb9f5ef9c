// Package mail sends login codes: over SMTP, or into a mailbox in memory that a
// developer can read.
//
// It must never import any other package of the workload.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"strconv"
	"sync"
	"time"
)

// SMTP sends through one server, with TLS when the server offers it. A password
// is sent over TLS only.
type SMTP struct {
	Host, Username, From string
	Port                 int
	// Encryption is starttls (used where the server offers it), tls (from the
	// first byte) or disable.
	Encryption string
	// Password is read for each message, so that a rotated one takes effect.
	Password func() (string, error)
}

// SendCode mails a login code.
func (s SMTP) SendCode(ctx context.Context, to, code string, valid time.Duration) error {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	if err != nil {
		return fmt.Errorf("reach the mail server: %w", err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if s.Encryption == "tls" {
		conn = tls.Client(conn, s.tls())
	}
	client, err := smtp.NewClient(conn, s.Host)
	if err != nil {
		return errors.Join(fmt.Errorf("greet the mail server: %w", err), conn.Close())
	}
	defer func() { _ = client.Close() }()
	if err := s.prepare(client); err != nil {
		return err
	}
	return s.deliver(client, to, text(s.From, to, code, valid, time.Now()))
}

func (s SMTP) tls() *tls.Config { return &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12} }

func (s SMTP) prepare(client *smtp.Client) error {
	if ok, _ := client.Extension("STARTTLS"); ok && s.Encryption != "tls" && s.Encryption != "disable" {
		if err := client.StartTLS(s.tls()); err != nil {
			return fmt.Errorf("start TLS with the mail server: %w", err)
		}
	}
	if s.Username == "" {
		return nil
	}
	password, err := s.Password()
	if err != nil {
		return err
	}
	if err := client.Auth(smtp.PlainAuth("", s.Username, password, s.Host)); err != nil {
		return fmt.Errorf("log in to the mail server: %w", err)
	}
	return nil
}

func (s SMTP) deliver(client *smtp.Client, to string, message []byte) error {
	if err := client.Mail(s.From); err != nil {
		return fmt.Errorf("mail a code: %w", err)
	}
	if err := client.Rcpt(to); err != nil {
		return fmt.Errorf("mail a code: %w", err)
	}
	w, err := client.Data()
	if err != nil {
		return fmt.Errorf("mail a code: %w", err)
	}
	if _, err := w.Write(message); err != nil {
		return fmt.Errorf("mail a code: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("mail a code: %w", err)
	}
	return client.Quit()
}

func text(from, to, code string, valid time.Duration, now time.Time) []byte {
	return fmt.Appendf(nil, "From: EngLog <%s>\r\nTo: <%s>\r\nSubject: Your EngLog code\r\nDate: %s\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\n\r\nYour code is %s\r\n\r\nIt is good for %d minutes. If you did not ask for it, ignore this message.\r\n",
		from, to, now.Format(time.RFC1123Z), code, int(valid.Minutes()))
}

// Message is a code in the development mailbox.
type Message struct {
	To   string    `json:"to"`
	Code string    `json:"code"`
	At   time.Time `json:"at"`
}

// Mailbox keeps the last codes in memory. It is for development only.
type Mailbox struct {
	mu       sync.Mutex
	messages []Message
}

// SendCode keeps a code.
func (m *Mailbox) SendCode(_ context.Context, to, code string, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages = append(m.messages, Message{To: to, Code: code, At: time.Now().UTC()})
	if n := len(m.messages); n > 100 {
		m.messages = m.messages[n-100:]
	}
	return nil
}

// Messages returns the codes that were sent, the newest first.
func (m *Mailbox) Messages() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Message, 0, len(m.messages))
	for i := len(m.messages) - 1; i >= 0; i-- {
		list = append(list, m.messages[i])
	}
	return list
}
