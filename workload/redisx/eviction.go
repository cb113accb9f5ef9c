package redisx

import (
	"context"
	"strings"
)

// EvictionRisk says why keys could vanish from this Redis before their time; empty when it only ever refuses writes. Nothing is lost by that
// for good, as PostgreSQL knows all tasks, but a stream that is evicted stands still until it is repaired.
func (c *Client) EvictionRisk(ctx context.Context) string {
	// INFO tells it too, and is allowed where CONFIG is not: https://redis.io/docs/latest/commands/info/
	memory, err := c.rdb.Info(ctx, "memory").Result()
	if err != nil {
		return "Redis will not say whether it may evict keys: allow INFO to its user, and set maxmemory-policy to noeviction"
	}
	for line := range strings.Lines(memory) {
		policy, is := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:")
		switch {
		case !is:
		case policy == "noeviction":
			return ""
		default:
			return "Redis may evict keys, because its maxmemory-policy is " + policy + ": set it to noeviction"
		}
	}
	return "Redis will not say whether it may evict keys: set its maxmemory-policy to noeviction"
}
