package main

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"

	"github.com/garnizeh/englog-operator/workload/store"
)

// operation is one kind of request beside its statement.
type operation struct {
	name   string
	script string // for pgbench: the statement of the store
	// reference is the statement as one would write it by hand; empty: none.
	reference string
	request   func(b []byte, r *rand.Rand, token string, user int) []byte
	status    int
}

const (
	entryID = `('00000000-0000-7000-8000-' || lpad(to_hex(%s::bigint), 12, '0'))::uuid`
	userID  = `('00000000-0000-7000-9000-' || lpad(to_hex(%s::bigint), 12, '0'))::uuid`
	text    = `repeat('A sentence of ten words that an engineer could write. ', 10)`
)

// The reference queries: the same columns, written down here so that a statement of the store that gets slower is noticed.
const (
	referenceGet = `SELECT id, version, title, body, kind, project, impact, duration_minutes, mood, tags, metadata, summary, source,
       occurred_at, created_at, updated_at FROM entries WHERE id = $1 AND user_id = $2`
	referenceList = `SELECT id, version, title, body, kind, project, impact, duration_minutes, mood, tags, metadata, summary, source,
       occurred_at, created_at, updated_at FROM entries WHERE user_id = $1 ORDER BY occurred_at DESC, id DESC LIMIT $2`
)

// words are those of the seeded bodies; each is in about one entry of 20.
var words = []string{"outage", "database", "review", "release", "cache", "latency", "cutover", "migration", "queue", "index", "deploy", "rollback",
	"postmortem", "budget", "mentor", "design", "refactor", "incident", "metrics", "tracing"}

var newEntry = `{"title":"A title","body":"` + strings.Repeat("A sentence of ten words that an engineer could write. ", 10) + `","tags":["go","bench"],"mood":7}`

func operations(entries int) []operation {
	sql := store.ReferenceQueries()
	per := entries / users
	pick := fmt.Sprintf("\\set m random(0, %d)\n\\set k random(0, %d)\n\\set n :k * %d + :m\n\\set w random(1, %d)\n", clients-1, per-1, users, len(words))
	entry, user := fmt.Sprintf(entryID, ":n"), fmt.Sprintf(userID, ":m")
	word := "(ARRAY['" + strings.Join(words, "','") + "'])[:w::integer]"
	return []operation{
		{name: "get", script: pick + fill(sql["get"], entry, user), reference: pick + fill(referenceGet, entry, user), status: 200,
			request: func(b []byte, r *rand.Rand, token string, m int) []byte {
				b = append(b, "GET /api/v1/entries/00000000-0000-7000-8000-"...)
				return endGet(appendHex12(b, r.IntN(per)*users+m), token)
			}},
		{name: "list", script: pick + fill(sql["list"], user, "20::bigint"), reference: pick + fill(referenceList, user, "20::bigint"), status: 200,
			request: func(b []byte, _ *rand.Rand, token string, _ int) []byte {
				return endGet(append(b, "GET /api/v1/entries"...), token)
			}},
		{name: "search", script: pick + fill(sql["search"], user, word, "20::bigint"), status: 200,
			request: func(b []byte, r *rand.Rand, token string, _ int) []byte {
				return endGet(append(append(b, "GET /api/v1/entries?q="...), words[r.IntN(len(words))]...), token)
			}},
		{name: "create", script: pick + "\\set s :s + 1\n" + fill(sql["create"], createArgs(user)...), status: 201,
			request: func(b []byte, _ *rand.Rand, token string, _ int) []byte {
				return appendPost(b, "/entries", token, newEntry)
			}},
	}
}

// newID is an id that grows with time, as those of the service do: -D gives run, and s counts the transactions of a client.
func newID(n int) string {
	return fmt.Sprintf(`(to_hex(:run::bigint) || lpad(to_hex(:s::bigint), 8, '0') || lpad(to_hex(:client_id::bigint), 8, '0') || '0000000%d')::uuid`, n)
}

// createArgs are the parameters of the create statement in their order.
func createArgs(user string) []string {
	ids := make([]string, 6)
	for i := range ids {
		ids[i] = newID(i + 1)
	}
	return []string{user, newID(0), "1::integer", "'A title'", text, "'note'", "''", "''", "0::integer", "7::smallint", "ARRAY['go', 'bench']::text[]",
		"NULL::jsonb", "'session'", "100::integer", "now()", "now()", "now()",
		user, newID(0), "1::integer", "'ready'", "0::float8", "'request'", "''", "ARRAY[" + strings.Join(ids, ", ") + "]",
		"ARRAY['sentiment','content_extraction','themes','entities','summary','tag_suggestions']::text[]", "ARRAY[1,1,1,1,1,1]::smallint[]",
		"ARRAY[6,5,5,4,4,4]::smallint[]", "true"}
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// fill puts expressions where a statement has parameters: pgbench knows no other way to vary a UUID. The rest of the text is
// the store's own.
func fill(sql string, args ...string) string {
	return placeholder.ReplaceAllStringFunc(strings.ReplaceAll(sql, "\n", " "), func(p string) string {
		n, _ := strconv.Atoi(p[1:])
		return args[n-1]
	}) + ";\n"
}

func appendHex12(b []byte, n int) []byte {
	digits := strconv.AppendInt(make([]byte, 0, 12), int64(n), 16)
	return append(append(b, "000000000000"[:12-len(digits)]...), digits...)
}

func endGet(b []byte, token string) []byte {
	b = append(b, " HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer "...)
	return append(append(b, token...), "\r\n\r\n"...)
}

// appendPost appends a request with a JSON body; without a token it is anonymous.
func appendPost(b []byte, path, token, body string) []byte {
	b = append(append(append(b, "POST /api/v1"...), path...), " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"...)
	if token != "" {
		b = append(append(append(b, "Authorization: Bearer "...), token...), "\r\n"...)
	}
	b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(body)), 10)
	return append(append(b, "\r\n\r\n"...), body...)
}
