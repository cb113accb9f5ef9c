package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Message is one line that the command writes to standard output. Event says which member is set.
type Message struct {
	Event  string  `json:"event"` // journey, preparing, started, tick, report, checking, check or error
	Done   int     `json:"done,omitempty"`
	Total  int     `json:"total,omitempty"`
	Tick   *Tick   `json:"tick,omitempty"`
	Report *Report `json:"report,omitempty"`
	Check  *Check  `json:"check,omitempty"`

	Journey *Journey `json:"journey,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// options are the command's flags.
type options struct {
	cfg      Config
	check    CheckConfig
	duration time.Duration
	noCheck  bool
	journey  bool
	device   string
}

// Main is the command: it prepares users, sends load until the duration is over or standard input says "stop" (or
// ends), reports, and checks what was acknowledged. Everything is written as one JSON object per line. The exit code is 0
// when nothing failed or was lost, 1 when something was, 2 when the run is void or could not take place.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) int {
	w := &lineWriter{enc: json.NewEncoder(stdout)}
	opt, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		var bad bool
		if bad, err = opt.run(ctx, stdin, w); err == nil {
			return map[bool]int{false: 0, true: 1}[bad]
		}
	}
	w.write(Message{Event: "error", Error: err.Error()})
	return 2
}

func parseOptions(args []string) (*options, error) {
	var o options
	var sources, kinds string
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.StringVar(&o.cfg.Address, "address", "", "host:port of the live Service (required)")
	fs.StringVar(&o.cfg.Host, "host", "", "Host header (default: the address)")
	fs.IntVar(&o.cfg.Rate, "rate", 200, "requests per second")
	fs.IntVar(&o.cfg.Users, "users", 50, "users, at least 50")
	fs.IntVar(&o.cfg.PoolSize, "pool", 50, "keep-alive connections")
	fs.Uint64Var(&o.cfg.Seed, "seed", 1, "order of the operations")
	fs.DurationVar(&o.cfg.Timeout, "timeout", 2*time.Second, "an answer later than this is a failure")
	fs.StringVar(&sources, "sources", "", "local addresses to send from, comma-separated, at least 4")
	fs.StringVar(&o.device, "add-to", "", "add the source addresses to this network device first (needs root)")
	fs.DurationVar(&o.duration, "duration", 0, "end after this time; 0 = when standard input says stop or ends")
	fs.BoolVar(&o.journey, "journey", false, "only register a user, write one entry and wait for its first insight")
	fs.BoolVar(&o.noCheck, "no-check", false, "do not look for the acknowledged entries and their tasks")
	fs.StringVar(&o.check.Database, "database", "", "PostgreSQL URL for counting tasks")
	fs.StringVar(&kinds, "kinds", "", "enabled task kinds, comma-separated (default: all that are found)")
	fs.DurationVar(&o.check.Within, "within", time.Minute, "time that tasks have to be done after the load")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	o.check.Kinds = splitList(kinds)
	for _, s := range splitList(sources) {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("sources: %q is not an IP address: %w", s, err)
		}
		o.cfg.Sources = append(o.cfg.Sources, addr)
	}
	return &o, o.cfg.withDefaults().validate()
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func (o *options) run(ctx context.Context, stdin io.Reader, w *lineWriter) (bool, error) {
	if o.device != "" {
		if err := addAddresses(o.device, o.cfg.Sources); err != nil {
			return false, err
		}
	}
	if o.journey {
		j, err := Travel(ctx, o.cfg)
		w.write(Message{Event: "journey", Journey: j})
		return false, err
	}
	accounts, entries, err := Prepare(ctx, o.cfg, w.counter("preparing"))
	if err != nil {
		return false, err
	}
	run, err := Start(ctx, o.cfg, accounts)
	if err != nil {
		return false, err
	}
	w.write(Message{Event: "started"})
	o.await(ctx, stdin, run, w)
	run.Stop()
	rep := run.Report()
	w.write(Message{Event: "report", Report: rep})
	if err := rep.Void(); err != nil || o.noCheck {
		return rep.Failed > 0, err
	}
	check, err := CheckEntries(ctx, o.cfg, o.check, append(entries, run.Created()...), w.counter("checking"))
	if err != nil {
		return false, err
	}
	w.write(Message{Event: "check", Check: check})
	return rep.Failed+check.LostEntries+check.LostTasks+check.DuplicateRuns > 0, nil
}

// await writes a tick four times a second until the run is to end.
func (o *options) await(ctx context.Context, stdin io.Reader, run *Run, w *lineWriter) {
	var end <-chan time.Time
	stop := make(chan struct{})
	if o.duration > 0 {
		end = time.After(o.duration)
	} else {
		go func() { defer close(stop); awaitStop(stdin) }()
	}
	every := time.NewTicker(250 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			t := run.Tick()
			w.write(Message{Event: "tick", Tick: &t})
			if w.failed() {
				return
			}
		case <-end:
			return
		case <-stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

func awaitStop(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "stop" {
			return
		}
	}
}

// lineWriter writes one JSON object per line from any goroutine.
type lineWriter struct {
	mu  sync.Mutex
	enc *json.Encoder
	err error // the first; whoever reads the lines is gone
}

func (w *lineWriter) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

func (w *lineWriter) write(m Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.enc.Encode(m); err != nil && w.err == nil {
		w.err = err
	}
}

func (w *lineWriter) counter(event string) func(done, total int) {
	return func(done, total int) { w.write(Message{Event: event, Done: done, Total: total}) }
}
