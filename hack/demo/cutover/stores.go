package cutover

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
)

func redisURL() string { return "redis://" + local.Redis + "/0" }

// newDatabase makes an empty database for the demo, throwing an earlier one away, and remembers its URI.
func (s *Stage) newDatabase(ctx context.Context) (err error) {
	s.database, err = s.output(ctx, s.tool, "create-database", database, "--fresh")
	return err
}

// emptyCache removes what an earlier run of the demo's instance left in Redis.
func emptyCache(ctx context.Context) (err error) {
	options, err := redis.ParseURL(redisURL())
	if err != nil {
		return err
	}
	cache := redis.NewClient(options)
	defer func() { err = errors.Join(err, cache.Close()) }()
	keys := cache.Scan(ctx, 0, "{englog:"+Namespace+"."+Name+"}:*", 1000).Iterator()
	for keys.Next(ctx) {
		if err := cache.Del(ctx, keys.Val()).Err(); err != nil {
			return fmt.Errorf("emptying the demo's part of Redis: %w", err)
		}
	}
	if err := keys.Err(); err != nil {
		return fmt.Errorf("emptying the demo's part of Redis: %w", err)
	}
	return nil
}
