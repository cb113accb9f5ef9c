package mail_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/mail"
)

// serveOne is a mail server for one message; it returns what it was told.
func serveOne(t *testing.T) (port int, got chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got = make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 ready\r\n")
		var all strings.Builder
		lines, inData := bufio.NewScanner(conn), false
		for lines.Scan() {
			line := lines.Text()
			all.WriteString(line + "\n")
			switch {
			case inData && line == ".":
				inData = false
				fmt.Fprint(conn, "250 ok\r\n")
			case inData:
			case line == "DATA":
				inData = true
				fmt.Fprint(conn, "354 go on\r\n")
			case line == "QUIT":
				fmt.Fprint(conn, "221 bye\r\n")
				got <- all.String()
				return
			default:
				fmt.Fprint(conn, "250 ok\r\n")
			}
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, got
}

func TestSMTPDeliversTheCode(t *testing.T) {
	port, got := serveOne(t)
	s := mail.SMTP{Host: "127.0.0.1", Port: port, From: "englog@example.com"}
	if err := s.SendCode(context.Background(), "ada@example.com", "123456", 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	told := <-got
	for _, want := range []string{"RCPT TO:<ada@example.com>", "Your code is 123456", "good for 5 minutes"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in what the server was told:\n%s", want, told)
		}
	}
}

func TestMailboxShowsTheNewestFirst(t *testing.T) {
	box := &mail.Mailbox{}
	for _, code := range []string{"1", "2"} {
		if err := box.SendCode(context.Background(), "a@b.co", code, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if m := box.Messages(); len(m) != 2 || m[0].Code != "2" {
		t.Errorf("got %v", m)
	}
}
