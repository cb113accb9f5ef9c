package config

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Secret is a value that must not be seen. It prints as [secret] everywhere.
type Secret struct {
	name  string
	value string
	file  string
}

// String hides the value.
func (Secret) String() string { return "[secret]" }

// GoString hides the value from %#v.
func (Secret) GoString() string { return "[secret]" }

// LogValue hides the value from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText hides the value from every encoder.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// IsSet reports whether the variable or its _FILE variant is given.
func (s Secret) IsSet() bool { return s.value != "" || s.file != "" }

// Read returns the value as it is now; a file is read again by each call. A file
// that is missing counts as an empty value.
func (s Secret) Read() (string, error) {
	if s.file == "" {
		return s.value, nil
	}
	raw, err := os.ReadFile(s.file)
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s_FILE: %w", s.name, err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// NewSecret makes a secret of a known value.
func NewSecret(name, value string) Secret { return Secret{name: name, value: value} }
