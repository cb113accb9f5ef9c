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
	script string // for pgbench
	// request builds one request of a client.
	request func(r *rand.Rand, token string, user int) string
	status  int
}

const (
	entryID = `('00000000-0000-7000-8000-' || lpad(to_hex(%s::bigint), 12, '0'))::uuid`
	userID  = `('00000000-0000-7000-9000-' || lpad(to_hex(%s::bigint), 12, '0'))::uuid`
	text    = `repeat('A sentence of ten words that an engineer could write. ', 10)`
)

// words are those of the seeded bodies; each is in about one entry of 20.
var words = []string{"outage", "database", "review", "release", "cache", "latency", "cutover", "migration", "queue", "index", "deploy", "rollback",
	"postmortem", "budget", "mentor", "design", "refactor", "incident", "metrics", "tracing"}

func operations(entries int) []operation {
	sql := store.ReferenceQueries()
	per := entries / users
	pick := fmt.Sprintf("\\set m random(0, %d)\n\\set k random(0, %d)\n\\set n :k * %d + :m\n\\set w random(1, %d)\n", clients-1, per-1, users, len(words))
	entry, user := fmt.Sprintf(entryID, ":n"), fmt.Sprintf(userID, ":m")
	word := "(ARRAY['" + strings.Join(words, "','") + "'])[:w::integer]"
	return []operation{
		{"get", pick + fill(sql["get"], entry, user), func(r *rand.Rand, token string, m int) string {
			return get(fmt.Sprintf("/entries/00000000-0000-7000-8000-%012x", r.IntN(per)*users+m), token)
		}, 200},
		{"list", pick + fill(sql["list"], user, "20::bigint"), func(_ *rand.Rand, token string, _ int) string { return get("/entries", token) }, 200},
		{"create", pick + fill(sql["create"], createArgs(user)...), func(_ *rand.Rand, token string, _ int) string {
			return post("/entries", token, `{"title":"A title","body":"`+strings.Repeat("A sentence of ten words that an engineer could write. ", 10)+`","tags":["go","bench"],"mood":7}`)
		}, 201},
		{"search", pick + fill(sql["search"], user, word, "20::bigint"), func(r *rand.Rand, token string, _ int) string {
			return get("/entries?q="+words[r.IntN(len(words))], token)
		}, 200},
	}
}

// createArgs are the parameters of the create statement in their order.
func createArgs(user string) []string {
	now := "now()"
	ids := "ARRAY[" + strings.TrimSuffix(strings.Repeat("gen_random_uuid(), ", 6), ", ") + "]"
	return []string{user, "gen_random_uuid()", "1::integer", "'A title'", text, "'note'", "''", "''", "0::integer", "7::smallint", "ARRAY['go', 'bench']::text[]",
		"NULL::jsonb", "'session'", "100::integer", now, now, now,
		user, "$entry", "1::integer", "'ready'", "0::float8", "'request'", "''", ids,
		"ARRAY['sentiment','content_extraction','themes','entities','summary','tag_suggestions']::text[]", "ARRAY[1,1,1,1,1,1]::smallint[]",
		"ARRAY[6,5,5,4,4,4]::smallint[]", "true"}
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// fill puts expressions where a statement has parameters: pgbench knows no other
// way to vary a UUID. The rest of the text is the store's own.
func fill(sql string, args ...string) string {
	// The id of an entry is used twice: the reference makes it first.
	head := ""
	for i, a := range args {
		if a == "$entry" {
			head = "\\set e random(0, 1152921504606846975)\n"
			id := "('00000000-0000-7000-' || substr(md5(:e::text), 1, 4) || '-' || substr(md5(:e::text), 5, 12))::uuid"
			args[i], args[1] = id, id
		}
	}
	return head + placeholder.ReplaceAllStringFunc(strings.ReplaceAll(sql, "\n", " "), func(p string) string {
		n, _ := strconv.Atoi(p[1:])
		return args[n-1]
	}) + ";\n"
}

func get(path, token string) string {
	return "GET /api/v1" + path + " HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + token + "\r\n\r\n"
}

func post(path, token, body string) string {
	return fmt.Sprintf("POST /api/v1%s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, token, len(body), body)
}
