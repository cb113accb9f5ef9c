package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is one englog as an operator starts it.
type process struct {
	t             *testing.T
	cmd           *exec.Cmd
	public, admin string
	logs          *record
	ended         chan struct{}
}

// record collects what a process writes.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// serveRole starts a program in a role, on ports of its own.
func serveRole(t *testing.T, program, role string, env ...string) *process {
	t.Helper()
	port, adminPort := freePorts(t, 2), freePorts(t, 20)
	p := &process{t: t, cmd: exec.Command(program, role), logs: &record{}, ended: make(chan struct{}),
		public: fmt.Sprintf("http://127.0.0.1:%d", port), admin: fmt.Sprintf("http://127.0.0.1:%d", adminPort)}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), fmt.Sprint("PORT=", port), fmt.Sprint("ADMIN_PORT=", adminPort), "TERMINATION_LOG=" + os.DevNull,
		"JWT_SECRET=0123456789012345678901234567890123456789", "DRAIN_DELAY=0s", "DRAIN_TIMEOUT=5s", "ENGLOG_REVISION=rev-of-test"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.logs, p.logs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// freePorts finds a port that is free together with those behind it. It looks below the range from which systems give ports to connections: other
// tests make so many that twenty in a row are rare there.
func freePorts(t *testing.T, count int) int {
	t.Helper()
	for range 100 {
		first := 10_000 + rand.IntN(20_000)
		if free(first, count) {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", count)
	return 0
}

func free(first, count int) bool {
	for port := first; port < first+count; port++ {
		l, err := net.Listen("tcp", fmt.Sprint(":", port))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// stop ends the process as the platform does, and returns its exit code.
func (p *process) stop() int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.t.Error("the process does not stop")
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// reply is an answer of a process.
type reply struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any
}

func (r reply) text(name string) string {
	s, _ := r.JSON[name].(string)
	return s
}

func (r reply) items() []any {
	list, _ := r.JSON["items"].([]any)
	return list
}

// ask sends a request; status 0 means that nobody answered.
func (p *process) ask(method, url, token string, body any, headers ...string) reply {
	p.t.Helper()
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			p.t.Fatal(err)
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequest(method, url, content)
	if err != nil {
		p.t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{}
	}
	defer response.Body.Close()
	raw, _ := io.ReadAll(response.Body)
	r := reply{Status: response.StatusCode, Header: response.Header, Body: string(raw)}
	_ = json.Unmarshal(raw, &r.JSON)
	return r
}

// api sends a request below /api/v1 and demands a status.
func (p *process) api(status int, method, path, token string, body any, headers ...string) reply {
	p.t.Helper()
	r := p.ask(method, p.public+"/api/v1"+path, token, body, headers...)
	if r.Status != status {
		p.t.Fatalf("%s %s: %d, want %d: %s\n%s", method, path, r.Status, status, r.Body, p.logs)
	}
	return r
}

func (p *process) await(what string, look func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !look() {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s did not happen\n%s", what, p.logs)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitReady waits for a status of /readyz and returns its body.
func (p *process) awaitReady(status int) string {
	p.t.Helper()
	var last reply
	p.await(fmt.Sprint("/readyz ", status), func() bool {
		last = p.ask("GET", p.admin+"/readyz", "", nil)
		return last.Status == status
	})
	return strings.TrimSpace(last.Body)
}
