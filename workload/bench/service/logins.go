package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// readRate is how many entries a second are read beside the logins: what a busy team's browsers ask for, and far below what
// the service can take, so that the reads measure what logins do to others and not a queue of their own.
const readRate = 500

// measureLogins logs in all the time, 2 and then 8 at once, while entries are read at a constant rate. An account may log in
// five times and then once a second, so the logins go round the accounts that nobody reads with.
func (b *bench) measureLogins(r result) error {
	if err := b.loginClients(); err != nil {
		return err
	}
	get := operations(b.entries)[0]
	own, err := send(b.api.port, b.traffic(get, readRate))
	if err != nil {
		return fmt.Errorf("reads: %w", err)
	}
	r["login_reads_per_second"], r["login_reads_own_p99_ms"] = readRate, ms(own.percentile(99))
	for _, atOnce := range []int{2, 8} {
		logins, reads, err := b.loginsBesideReads(atOnce, b.traffic(get, readRate))
		if err != nil {
			return fmt.Errorf("%d logins at once: %w", atOnce, err)
		}
		name := fmt.Sprintf("login_%d_", atOnce)
		times := float64(reads.percentile(99)) / float64(own.percentile(99))
		r[name+"p50_ms"], r[name+"p99_ms"], r[name+"per_second"] = ms(logins.percentile(50)), ms(logins.percentile(99)), round(logins.perSecond())
		r[name+"reads_p99_ms"], r[name+"reads_p99_times"] = ms(reads.percentile(99)), round(times)
		fmt.Printf("login  %d at once: %.1f/s, p50 %.1f ms, p99 %.1f ms; reads beside them p50 %.2f ms, p99 %.2f ms, own %.2f ms and %.2f ms\n", atOnce, logins.perSecond(),
			ms(logins.percentile(50)), ms(logins.percentile(99)), ms(reads.percentile(50)), ms(reads.percentile(99)), ms(own.percentile(50)), ms(own.percentile(99)))
	}
	return nil
}

func (b *bench) loginsBesideReads(atOnce int, get traffic) (logins, reads load, err error) {
	login := traffic{status: 200, connections: atOnce, last: b.each, request: func(buffer []byte, _ *rand.Rand) []byte {
		return appendPost(buffer, "/auth/login", "", loginBody(clients+int(b.logins.Add(1))%(users-clients)))
	}}
	var err1, err2 error
	var wg sync.WaitGroup
	wg.Go(func() { logins, err1 = send(b.api.port, login) })
	time.Sleep(100 * time.Millisecond) // reads begin and end while logins are under way
	get.last -= 200 * time.Millisecond
	wg.Go(func() { reads, err2 = send(b.api.port, get) })
	wg.Wait()
	return logins, reads, errors.Join(err1, err2)
}
