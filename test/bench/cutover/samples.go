package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// A whole run takes longer than some machines are quiet for. With a file for the samples it can be taken in parts, at one rate.

// readSamples reads what earlier runs have kept; a file that does not exist yet holds nothing.
func readSamples(path string, rate int) (samples []sample, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("samples: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for lines := json.NewDecoder(f); ; {
		var s sample
		if err := lines.Decode(&s); errors.Is(err, io.EOF) {
			return samples, nil
		} else if err != nil {
			return nil, fmt.Errorf("samples: reading %s: %w", path, err)
		}
		if s.Rate != rate {
			return nil, fmt.Errorf("samples: %s was measured at %d requests a second, this run is at %d; give that rate or another file", path, s.Rate, rate)
		}
		samples = append(samples, s)
	}
}

// keep adds a sample, and writes it to the file where there is one.
func (b *bench) keep(s sample) (err error) {
	b.samples = append(b.samples, s)
	if b.settings.samples == "" {
		return nil
	}
	f, err := os.OpenFile(b.settings.samples, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	return errors.Join(json.NewEncoder(f).Encode(s), f.Close())
}
