package redisx

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// The generic cell rate algorithm in one call (ITU-T I.371; the same arithmetic as throttled and redis-gcra): the key
// holds the theoretical arrival time in seconds. It takes at most ARGV[3] tokens and answers {taken, milliseconds until
// one token is free}. Redis's own clock counts, so pods need not agree on the time.
var takeScript = redis.NewScript(`
local interval, burst, want = 1 / tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local t = redis.call('TIME')
local now = (t[1] - 1483228800) + t[2] / 1000000
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local free = math.floor((now + burst * interval - tat) / interval + 0.000001)
local taken = math.min(free, want)
if taken < 1 then
  return {0, math.ceil((tat + interval - burst * interval - now) * 1000)}
end
tat = tat + taken * interval
redis.call('SET', KEYS[1], string.format('%.6f', tat), 'PX', math.ceil((tat - now) * 1000) + 1000)
return {taken, 0}`)

const (
	redisBudget = 25 * time.Millisecond // what one request may lose to a slow Redis
	redisPause  = time.Second           // for so long a Redis that failed is not asked again
	refillAt    = 4                     // so many tokens are left of a lease when the next one is asked for
	maxBuckets  = 100_000
)

// Limiter counts requests of a key against one rate for all pods. It takes tokens from Redis in batches of up to a tenth of
// a second's worth and spends them locally, so most requests need no round trip. While Redis is away each pod limits
// by itself at half the rate.
type Limiter struct {
	client  *Client
	now     func() time.Time
	mu      sync.Mutex
	buckets map[string]*bucket
	away    time.Time // Redis is not asked before this
	evicted time.Time
}

type bucket struct {
	leased  int
	expires time.Time // a leased token is for now, not for later
	filling bool      // a refill is under way
	refused time.Time // Redis said: nothing before this
	local   *rate.Limiter
	used    time.Time
}

// NewLimiter returns a limiter on the client; a nil client limits locally at the full rate (one process).
func NewLimiter(client *Client) *Limiter {
	return &Limiter{client: client, now: time.Now, buckets: map[string]*bucket{}}
}

// Allow spends one token of key, of which perSecond come free each second and at most burst are kept. When the request is
// refused, retryAfter says when one will be free. Degraded reports that the answer is this pod's own guess.
func (l *Limiter) Allow(ctx context.Context, key string, perSecond, burst int) (allowed bool, retryAfter time.Duration, degraded bool) {
	now := l.now()
	allowed, retryAfter, decided, low := l.spend(key, now)
	if low {
		go l.refill(context.WithoutCancel(ctx), key, perSecond, burst, now)
	}
	if decided {
		return allowed, retryAfter, false
	}
	if l.client != nil && l.mayAsk(now) {
		taken, wait, err := l.take(ctx, key, perSecond, burst)
		if err == nil {
			return l.keep(key, taken, wait, now)
		}
		l.pause(now)
	}
	return l.guess(key, perSecond, burst, now)
}

// spend answers from what was leased or refused before. Low says that a lease of several tokens comes to its end, and asks
// for one refill.
func (l *Limiter) spend(key string, now time.Time) (allowed bool, retryAfter time.Duration, decided, low bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key, now)
	if b.leased > 0 && now.Before(b.expires) {
		b.leased--
		low = b.leased == refillAt && !b.filling && !now.Before(l.away)
		b.filling = b.filling || low
		return true, 0, true, low
	}
	b.leased = 0
	if now.Before(b.refused) {
		return false, b.refused.Sub(now), true, false
	}
	return false, 0, false, false
}

// refill leases the next tokens while the last ones are spent, so that a request seldom waits for Redis: a server that waits
// for its disk does not answer for tens of milliseconds. What it does not get is asked for again by whoever needs it.
func (l *Limiter) refill(ctx context.Context, key string, perSecond, burst int, now time.Time) {
	taken, _, err := l.take(ctx, key, perSecond, burst)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key, now)
	b.filling = false
	if !l.now().Before(b.expires) {
		b.leased = 0
	}
	if err == nil && taken > 0 {
		b.leased, b.expires = b.leased+taken, now.Add(time.Second)
	}
}

func (l *Limiter) take(ctx context.Context, key string, perSecond, burst int) (int, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, redisBudget)
	defer cancel()
	batch := max(1, min(10, perSecond/10))
	answer, err := takeScript.Run(ctx, l.client.rdb, []string{l.client.key("rate", key)}, perSecond, burst, batch).Int64Slice()
	if err != nil || len(answer) != 2 {
		return 0, 0, err
	}
	return int(answer[0]), time.Duration(answer[1]) * time.Millisecond, nil
}

func (l *Limiter) keep(key string, taken int, wait time.Duration, now time.Time) (bool, time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key, now)
	if taken < 1 {
		b.refused = now.Add(wait)
		return false, wait, false
	}
	b.leased, b.expires = b.leased+taken-1, now.Add(time.Second)
	return true, 0, false
}

// guess limits this pod alone: at half the rate when others serve as well.
func (l *Limiter) guess(key string, perSecond, burst int, now time.Time) (bool, time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := float64(perSecond)
	if l.client != nil {
		limit, burst = limit/2, max(1, burst/2)
	}
	b := l.bucket(key, now)
	if b.local == nil || b.local.Limit() != rate.Limit(limit) {
		b.local = rate.NewLimiter(rate.Limit(limit), burst)
	}
	if b.local.AllowN(now, 1) {
		return true, 0, l.client != nil
	}
	return false, time.Duration(float64(time.Second) / limit), l.client != nil
}

func (l *Limiter) mayAsk(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !now.Before(l.away)
}

func (l *Limiter) pause(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = now.Add(redisPause)
}

// bucket returns the bucket of key. When there are too many, those unused for a second go: they hold nothing of value.
func (l *Limiter) bucket(key string, now time.Time) *bucket {
	b := l.buckets[key]
	if b == nil {
		if n := len(l.buckets); n >= 2*maxBuckets || (n >= maxBuckets && now.Sub(l.evicted) > time.Second) {
			l.evict(now)
		}
		b = &bucket{}
		l.buckets[key] = b
	}
	b.used = now
	return b
}

func (l *Limiter) evict(now time.Time) {
	l.evicted = now
	full := len(l.buckets) >= 2*maxBuckets
	for key, b := range l.buckets {
		if full || now.Sub(b.used) > time.Second {
			delete(l.buckets, key)
		}
	}
}
