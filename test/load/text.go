package load

import (
	"encoding/json"
	"fmt"
)

// sentences are what the generated journal entries are made of; the Builtin provider finds moods and topics in them.
var sentences = [...]string{
	"Finished the review of the payments change before lunch and felt relieved.",
	"The deploy took longer than planned because a migration waited for a lock.",
	"Paired with Ana on the flaky test; we found a race in the scheduler.",
	"Too many meetings today, little energy left for deep work.",
	"Wrote down what I learned about backpressure and shared it with the team.",
	"A long walk in the evening cleared my head after a stressful incident.",
	"Cut the build time in half and everybody noticed, great feeling.",
	"Planned the next week: finish the report, call the customer, rest on Friday.",
}

// entryBody is the request body of entry n, some 300 bytes.
func entryBody(n int, seed uint64) []byte {
	k := uint64(n)*2654435761 + seed
	pick := func(i uint64) string { return sentences[(k>>(8*i))%uint64(len(sentences))] }
	b, err := json.Marshal(map[string]any{
		"title": fmt.Sprintf("Day %d", n),
		"body":  pick(0) + " " + pick(1) + " " + pick(2),
		"tags":  []string{"work", "load"},
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return b
}
