package parts

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress reads `go build -v` and says now and then how far it is. A build of Kubernetes is silent for minutes
// otherwise.
type progress struct {
	out     io.Writer
	name    string
	start   time.Time
	stopped chan struct{}
	once    sync.Once

	mu       sync.Mutex
	partial  []byte
	lines    []string // the last few, for an error
	packages int
	modules  int
	last     string
}

const (
	progressEvery = 15 * time.Second
	tailLines     = 30
)

func newProgress(out io.Writer, name string) *progress {
	p := &progress{out: out, name: name, start: time.Now(), stopped: make(chan struct{})}
	go p.report()
	return p
}

func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.partial = append(p.partial, b...)
	for {
		end := bytes.IndexByte(p.partial, '\n')
		if end < 0 {
			return len(b), nil
		}
		p.line(string(p.partial[:end]))
		p.partial = p.partial[end+1:]
	}
}

func (p *progress) line(line string) {
	p.lines = append(p.lines, line)
	if len(p.lines) > tailLines {
		p.lines = p.lines[1:]
	}
	if module, is := strings.CutPrefix(line, "go: downloading "); is {
		p.modules++
		p.last = "downloading " + module
		return
	}
	p.packages++
	p.last = line
}

func (p *progress) report() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.stopped:
			return
		case <-tick.C:
			fmt.Fprintln(p.out, p.status())
		}
	}
}

func (p *progress) status() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	elapsed := time.Since(p.start).Round(time.Second)
	text := fmt.Sprintf("  %s %s: %d packages compiled", p.name, elapsed, p.packages)
	if p.modules > 0 {
		text += fmt.Sprintf(", %d modules fetched", p.modules)
	}
	if p.last != "" {
		text += ", now " + p.last
	}
	return text
}

func (p *progress) stop() { p.once.Do(func() { close(p.stopped) }) }

func (p *progress) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(append(p.lines, string(p.partial)), "\n")
}
