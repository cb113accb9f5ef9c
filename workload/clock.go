package englog

import "time"

// Clock tells the time. Code that decides by time takes one, so that a test
// can stand at any instant.
type Clock interface {
	Now() time.Time
}

// SystemClock is the machine's clock, in UTC and in whole microseconds: what
// PostgreSQL stores, so that a value survives the round trip unchanged.
type SystemClock struct{}

// Now returns the present instant.
func (SystemClock) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// FixedClock always tells the same instant.
type FixedClock time.Time

// Now returns the fixed instant.
func (c FixedClock) Now() time.Time { return time.Time(c) }
