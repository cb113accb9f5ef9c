package model

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Result is what many schedules have shown.
type Result struct {
	Tally *Tally
	// Failures holds the first broken invariants, at most as many as were asked for.
	Failures []error
	// Violations counts all.
	Violations int
}

// Explore plays the schedules of the seeds from first on, on all processors, and stops early after so many failures.
func Explore(first, schedules uint64, m *Mutant, stopAfter int) Result {
	if m != nil && m.Begin != nil {
		defer m.Begin()()
	}
	var next atomic.Uint64
	var failed atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	result := Result{Tally: NewTally()}
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			tally := NewTally()
			for failed.Load() < int64(stopAfter) {
				n := next.Add(1) - 1
				if n >= schedules {
					break
				}
				if err := safely(first+n, m, tally); err != nil {
					failed.Add(1)
					mu.Lock()
					result.Failures = append(result.Failures, err)
					mu.Unlock()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			result.Tally.Add(tally)
		})
	}
	all.Wait()
	result.Violations = len(result.Failures)
	return result
}

// errPanicked is no broken invariant, but not better either.
var errPanicked = errors.New("panicked")

func safely(seed uint64, m *Mutant, tally *Tally) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("seed %d: %w: %v", seed, errPanicked, r)
		}
	}()
	return Run(seed, m, tally, nil)
}

// Caught says which invariant a failure broke; empty when it is no broken invariant.
func Caught(err error) string {
	var v *Violation
	if errors.As(err, &v) {
		return v.Invariant
	}
	return ""
}
