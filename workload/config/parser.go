package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error lists everything that is wrong with the environment.
type Error struct{ Problems []string }

func (e *Error) Error() string {
	return fmt.Sprintf("the configuration has %d error(s):\n  %s", len(e.Problems), strings.Join(e.Problems, "\n  "))
}

// parser reads variables and collects what is wrong with them. An empty
// variable counts as unset.
type parser struct {
	lookup   func(string) string
	problems []string
}

func (p *parser) bad(name, format string, args ...any) {
	p.problems = append(p.problems, name+": "+fmt.Sprintf(format, args...))
}

func (p *parser) text(name, fallback string) string {
	if v := p.lookup(name); v != "" {
		return v
	}
	return fallback
}

func (p *parser) oneOf(name, fallback string, options ...string) string {
	v := p.text(name, fallback)
	if !slices.Contains(options, v) {
		p.bad(name, "%q is not known: set one of %s", v, strings.Join(options, ", "))
		return fallback
	}
	return v
}

func (p *parser) number(name string, fallback, low, high int) int {
	v := p.lookup(name)
	if v == "" {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		p.bad(name, "%q is not valid: set a whole number from %d to %d", v, low, high)
		return fallback
	}
	return n
}

// count reads how many there may be; 0, the default, means any number.
func (p *parser) count(name string) int64 {
	v := p.lookup(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		p.bad(name, "%q is not valid: set a whole number, 0 for no limit", v)
		return 0
	}
	return n
}

func (p *parser) duration(name string, fallback, low, high time.Duration) time.Duration {
	v := p.lookup(name)
	if v == "" {
		return fallback
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < low || d > high {
		p.bad(name, "%q is not valid: set a duration such as 30s, 5m or 24h, from %s to %s", v, low, high)
		return fallback
	}
	return d
}

// attempt reads how long one attempt may take: as long as the whole call unless
// said, and never longer.
func (p *parser) attempt(name string, call time.Duration) time.Duration {
	return min(p.duration(name, call, time.Second, 10*time.Minute), call)
}

func (p *parser) ratio(name string, fallback float64) float64 {
	v := p.lookup(name)
	if v == "" {
		return fallback
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		p.bad(name, "%q is not valid: set a number from 0 to 1", v)
		return fallback
	}
	return f
}

func (p *parser) flag(name string, fallback bool) bool {
	switch v := p.lookup(name); v {
	case "":
		return fallback
	case "true":
		return true
	case "false":
		return false
	default:
		p.bad(name, "%q is not valid: set true or false", v)
		return fallback
	}
}

func (p *parser) address(name, fallback string) string {
	v := p.text(name, fallback)
	if v == "" {
		return ""
	}
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		p.bad(name, "it is not valid: set an address such as http://host:8080")
		return fallback
	}
	return strings.TrimSuffix(v, "/")
}

func (p *parser) networks(name string) (list []netip.Prefix) {
	for _, word := range strings.FieldsFunc(p.lookup(name), func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(word)
		if err != nil {
			p.bad(name, "%q is not a network: set a list such as 10.0.0.0/8,192.168.1.0/24", word)
			continue
		}
		list = append(list, prefix.Masked())
	}
	return list
}

// secret reads NAME or NAME_FILE; both at once are an error.
func (p *parser) secret(name string) Secret {
	s := Secret{name: name, value: p.lookup(name), file: p.lookup(name + "_FILE")}
	if s.value != "" && s.file != "" {
		p.bad(name, "%s_FILE is set too: set only one of them", name)
	}
	if s.file != "" {
		if _, err := s.Read(); err != nil {
			p.bad(name+"_FILE", "%v: make the file readable for this user", err)
		}
	}
	return s
}

// first reads the first of several spellings of a number that is set.
func (p *parser) first(fallback, low, high int, names ...string) int {
	for _, name := range names {
		if p.lookup(name) != "" {
			return p.number(name, fallback, low, high)
		}
	}
	return fallback
}
