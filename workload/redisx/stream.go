package redisx

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	englog "github.com/garnizeh/englog-operator/workload"
)

const (
	group     = "workers"
	laneHigh  = "high"
	laneLow   = "normal"
	fairTurn  = 8 // one read in so many looks at the normal lane first
	idField   = "id"
	forgotten = time.Hour // a consumer that was silent for so long is gone for good
)

// Streams carries task ids: one stream for each kind, kind version and lane. A message is deleted once it is
// acknowledged, so the length of a stream is what is still to do. No stream is ever trimmed: that would drop unread work.
type Streams struct {
	*Client
	reader   *redis.Client // blocking reads have a connection of their own
	readerID atomic.Int64  // what the server calls that connection
	consumer string
	kinds    []englog.KindVersion
	high     []string
	normal   []string
	turn     int
	busy     int  // streams that gave messages in the last read
	hurried  bool // the high lane is in use
}

// Streams returns the transport of one worker. The consumer's name must be unique among live processes; kinds are what
// this worker can run.
func (c *Client) Streams(consumer string, kinds []englog.KindVersion) (*Streams, error) {
	parsed, err := c.parse()
	if err != nil {
		return nil, err
	}
	s := &Streams{Client: c, consumer: consumer, kinds: kinds, busy: 1}
	parsed.OnConnect = s.noteID
	s.reader = c.connect(parsed, 1)
	for _, k := range kinds {
		s.high = append(s.high, c.stream(k, laneHigh))
		s.normal = append(s.normal, c.stream(k, laneLow))
	}
	return s, nil
}

func (c *Client) stream(k englog.KindVersion, lane string) string {
	return c.key("tasks", string(k.Kind), strconv.Itoa(int(k.Version)), lane)
}

// Publish hands task ids to the workers.
func (c *Client) Publish(ctx context.Context, refs []englog.TaskRef) error {
	if len(refs) == 0 {
		return nil
	}
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, r := range refs {
			lane := laneLow
			if r.Priority >= englog.PriorityHigh {
				lane = laneHigh
			}
			stream := c.stream(englog.KindVersion{Kind: r.Kind, Version: r.Version}, lane)
			p.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []string{idField, r.ID.String()}})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publishing tasks: %w", err)
	}
	return nil
}

// Depth returns how many messages of each kind are not yet acknowledged.
func (c *Client) Depth(ctx context.Context, kinds []englog.KindVersion) ([]int, error) {
	cmds := make([]*redis.IntCmd, 0, 2*len(kinds))
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range kinds {
			cmds = append(cmds, p.XLen(ctx, c.stream(k, laneHigh)), p.XLen(ctx, c.stream(k, laneLow)))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("measuring the streams: %w", err)
	}
	depth := make([]int, len(kinds))
	for i := range kinds {
		depth[i] = int(cmds[2*i].Val() + cmds[2*i+1].Val())
	}
	return depth, nil
}

// Announce says for ttl that a live worker knows the kinds.
func (c *Client) Announce(ctx context.Context, kinds []englog.KindVersion, ttl time.Duration) error {
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range kinds {
			p.Set(ctx, c.known(k), 1, ttl)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("announcing the worker: %w", err)
	}
	return nil
}

// Known returns those of the kinds that some live worker knows.
func (c *Client) Known(ctx context.Context, kinds []englog.KindVersion) ([]englog.KindVersion, error) {
	if len(kinds) == 0 {
		return nil, nil
	}
	keys := make([]string, len(kinds))
	for i, k := range kinds {
		keys[i] = c.known(k)
	}
	values, err := c.rdb.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("asking for live workers: %w", err)
	}
	var known []englog.KindVersion
	for i, v := range values {
		if v != nil {
			known = append(known, kinds[i])
		}
	}
	return known, nil
}

func (c *Client) known(k englog.KindVersion) string {
	return c.key("known", string(k.Kind), strconv.Itoa(int(k.Version)))
}

// Open makes the consumer groups where they are missing. A new group starts at the first message, for what was
// published before it existed is work as well.
func (s *Streams) Open(ctx context.Context) error {
	cmds, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, stream := range s.all() {
			p.XGroupCreateMkStream(ctx, stream, group, "0")
		}
		return nil
	})
	for _, cmd := range cmds {
		if e := cmd.Err(); e != nil && !strings.HasPrefix(e.Error(), "BUSYGROUP") {
			return fmt.Errorf("making the consumer groups: %w", e)
		}
	}
	if err != nil && len(cmds) == 0 {
		return fmt.Errorf("making the consumer groups: %w", err)
	}
	return nil
}

func (s *Streams) all() []string { return append(append([]string{}, s.high...), s.normal...) }

// Receive waits for messages: about max of them, at most one more for each stream. The high lane goes first, but for one
// read in eight. Reset reports that the streams were gone (a flush, an empty restart) and have been made anew.
func (s *Streams) Receive(ctx context.Context, max int, wait time.Duration) (got []englog.Delivery, reset bool, err error) {
	s.turn++
	if s.hurried {
		first := s.high
		if s.turn%fairTurn == 0 {
			first = s.normal
		}
		if got, err = s.read(ctx, first, max, -1); err == nil && len(got) > 0 {
			return got, false, nil
		}
		s.hurried = false
	}
	if err == nil {
		got, err = s.read(ctx, s.all(), max, wait)
	}
	if isMissing(err) {
		return nil, true, s.Open(ctx)
	}
	return got, false, err
}

func isMissing(err error) bool {
	return err != nil && (strings.HasPrefix(err.Error(), "NOGROUP") || strings.HasPrefix(err.Error(), "UNBLOCKED"))
}

func (s *Streams) read(ctx context.Context, streams []string, max int, wait time.Duration) ([]englog.Delivery, error) {
	args := make([]string, 0, 2*len(streams))
	args = append(args, streams...)
	for range streams {
		args = append(args, ">")
	}
	result, err := s.reader.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: s.consumer, Streams: args,
		Count: int64(1 + (max-1)/s.busy), Block: wait}).Result()
	if errors.Is(err, redis.Nil) {
		s.busy = 1
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.busy = len(result)
	var got []englog.Delivery
	for _, stream := range result {
		s.hurried = s.hurried || strings.HasSuffix(stream.Stream, ":"+laneHigh)
		got = append(got, s.deliveries(ctx, stream.Stream, stream.Messages)...)
	}
	return got, nil
}

// deliveries decodes messages; one that is not ours is acknowledged away, for nobody could ever handle it.
func (s *Streams) deliveries(ctx context.Context, stream string, messages []redis.XMessage) []englog.Delivery {
	got := make([]englog.Delivery, 0, len(messages))
	for _, m := range messages {
		text, _ := m.Values[idField].(string)
		d := englog.Delivery{Stream: stream, Message: m.ID}
		var err error
		if d.ID, err = uuid.Parse(text); err != nil {
			_ = s.Ack(ctx, []englog.Delivery{d})
			continue
		}
		got = append(got, d)
	}
	return got
}

func (s *Streams) noteID(ctx context.Context, conn *redis.Conn) error {
	if id, err := conn.ClientID(ctx).Result(); err == nil {
		s.readerID.Store(id)
	}
	return nil // where the command is not allowed, Interrupt does nothing
}

// Interrupt ends a Receive that waits, as if its time were over: no message is lost. It is best effort.
func (s *Streams) Interrupt(ctx context.Context) {
	if id := s.readerID.Load(); id != 0 {
		_ = s.rdb.ClientUnblock(ctx, id).Err()
	}
}

// Ack deletes messages that were dealt with.
func (s *Streams) Ack(ctx context.Context, done []englog.Delivery) error {
	byStream := map[string][]string{}
	for _, d := range done {
		byStream[d.Stream] = append(byStream[d.Stream], d.Message)
	}
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for stream, ids := range byStream {
			p.XAck(ctx, stream, group, ids...)
			p.XDel(ctx, stream, ids...)
		}
		return nil
	})
	if err != nil && !isMissing(err) {
		return fmt.Errorf("acknowledging tasks: %w", err)
	}
	return nil
}

// Return gives messages that were read but not claimed to the other workers at once.
func (s *Streams) Return(ctx context.Context, unread []englog.Delivery) error {
	if len(unread) == 0 {
		return nil
	}
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, d := range unread {
			p.XAdd(ctx, &redis.XAddArgs{Stream: d.Stream, Values: []string{idField, d.ID.String()}})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("returning tasks: %w", err)
	}
	return s.Ack(ctx, unread)
}

// Reclaim takes over messages that another worker read at least idle ago and never acknowledged.
func (s *Streams) Reclaim(ctx context.Context, idle time.Duration, max int) ([]englog.Delivery, error) {
	var cmds []*redis.XAutoClaimCmd
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, stream := range s.all() {
			cmds = append(cmds, p.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: stream, Group: group, Consumer: s.consumer,
				MinIdle: idle, Start: "0-0", Count: int64(max)}))
		}
		return nil
	})
	if isMissing(err) {
		return nil, s.Open(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("reclaiming tasks: %w", err)
	}
	var got []englog.Delivery
	for i, stream := range s.all() {
		messages, _, _ := cmds[i].Result()
		got = append(got, s.deliveries(ctx, stream, messages)...)
	}
	return got, nil
}

// Tidy forgets consumers that are gone. A consumer's pending messages die with it, so only empty ones go.
func (s *Streams) Tidy(ctx context.Context) error {
	for _, stream := range s.all() {
		consumers, err := s.rdb.XInfoConsumers(ctx, stream, group).Result()
		if isMissing(err) || (err != nil && strings.Contains(err.Error(), "no such key")) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for lost consumers: %w", err)
		}
		for _, c := range consumers {
			if c.Name == s.consumer || c.Pending > 0 || c.Idle < forgotten {
				continue
			}
			if err := s.rdb.XGroupDelConsumer(ctx, stream, group, c.Name).Err(); err != nil {
				return fmt.Errorf("forgetting a lost consumer: %w", err)
			}
		}
	}
	return nil
}

// TryStreams sends one message through a stream of its own and back: whether this Redis, with our rights on it, could serve
// as the queue.
func (c *Client) TryStreams(ctx context.Context) error {
	stream := c.key("probe", uuid.NewString())
	defer c.rdb.Del(context.WithoutCancel(ctx), stream)
	if err := c.rdb.XGroupCreateMkStream(ctx, stream, group, "0").Err(); err != nil {
		return fmt.Errorf("making a consumer group: %w", err)
	}
	if err := c.rdb.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []string{idField, "probe"}}).Err(); err != nil {
		return fmt.Errorf("adding to a stream: %w", err)
	}
	got, err := c.rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "probe", Streams: []string{stream, ">"}, Count: 1, Block: -1}).Result()
	if err != nil || len(got) != 1 || len(got[0].Messages) != 1 {
		return fmt.Errorf("reading from a stream: %w", errors.Join(err, errors.New("the message did not come")))
	}
	_, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.XAck(ctx, stream, group, got[0].Messages[0].ID)
		p.XDel(ctx, stream, got[0].Messages[0].ID)
		p.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: stream, Group: group, Consumer: "probe", Start: "0-0"})
		return nil
	})
	if err != nil {
		return fmt.Errorf("acknowledging and reclaiming in a stream: %w", err)
	}
	return nil
}

// Leave forgets this consumer, unless it still has messages that others must reclaim, and closes its connection.
func (s *Streams) Leave(ctx context.Context) error {
	for _, stream := range s.all() {
		pending, err := s.rdb.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: stream, Group: group, Start: "-", End: "+",
			Count: 1, Consumer: s.consumer}).Result()
		if err == nil && len(pending) == 0 {
			_ = s.rdb.XGroupDelConsumer(ctx, stream, group, s.consumer).Err()
		}
	}
	return s.reader.Close()
}
