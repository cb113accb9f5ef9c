package model

import (
	"flag"
	"testing"
)

var (
	traced    = flag.Uint64("seed", 0, "the schedule to trace")
	schedules = flag.Int("schedules", 1000, "how many random schedules to play")
)

func TestRandomSchedules(t *testing.T) {
	failures := 0
	tally := NewTally()
	for seed := range uint64(*schedules) {
		if err := Run(seed, nil, tally, nil); err != nil {
			t.Error(err)
			if failures++; failures > 10 {
				return
			}
		}
	}
}

// TestTrace prints a schedule round by round: go test -run TestTrace -seed=N -v.
func TestTrace(t *testing.T) {
	if *traced == 0 {
		t.Skip("give -seed to trace a schedule")
	}
	if err := Run(*traced, nil, NewTally(), t.Output()); err != nil {
		t.Error(err)
	}
}
