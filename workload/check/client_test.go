package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// client writes entries of its own and remembers what it was told.
type client struct {
	name    string
	token   string
	apis    []string
	random  *rand.Rand
	http    *http.Client
	history []Write
	mine    []Write // the last acknowledged write of each of its entries
	writes  *atomic.Int64
}

type answer struct {
	status int
	etag   string
	ID     uuid.UUID `json:"id"`
	Ver    int32     `json:"version"`
}

// send makes one request to one of the APIs; status 0 means that no answer came.
func (c *client) send(method, path string, body any, headers map[string]string) answer {
	raw, _ := json.Marshal(body)
	request, err := http.NewRequest(method, c.apis[c.random.IntN(len(c.apis))]+"/api/v1"+path, bytes.NewReader(raw))
	if err != nil {
		return answer{}
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	for k, v := range headers {
		request.Header.Set(k, v)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, etag: response.Header.Get("ETag")}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil && a.status < 300 && a.status != http.StatusNoContent {
		return answer{}
	}
	return a
}

func (a answer) outcome() Outcome {
	switch {
	case a.status >= 200 && a.status < 300:
		return Acknowledged
	case a.status >= 400 && a.status < 500 && a.status != http.StatusTooManyRequests && a.status != http.StatusRequestTimeout:
		return Refused
	default:
		return Unknown
	}
}

// live writes until stop is closed: mostly new entries, some edits, few deletions.
func (c *client) live(stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(10+c.random.IntN(30)) * time.Millisecond):
		}
		switch die := c.random.IntN(10); {
		case die < 6 || len(c.mine) == 0:
			c.create(fmt.Sprintf("%s-%d", c.name, n))
		case die < 9:
			c.change(c.random.IntN(len(c.mine)), "body "+uuid.NewString())
		default:
			c.change(c.random.IntN(len(c.mine)), "")
		}
		c.writes.Add(1)
	}
}

// create writes a new entry, and asks again with the same key when no answer came: that must not make two of them.
func (c *client) create(marker string) {
	w := Write{Marker: marker, Body: "A good day. " + uuid.NewString(), Outcome: Unknown}
	key := map[string]string{"Idempotency-Key": uuid.NewString()}
	for range 3 {
		a := c.send(http.MethodPost, "/entries", map[string]any{"title": marker, "body": w.Body}, key)
		w.ID, w.Version, w.Outcome = a.ID, a.Ver, a.outcome()
		if w.Outcome == Refused && a.status == http.StatusConflict {
			w.Outcome = Unknown // the first try is still under way
		}
		if w.Outcome != Unknown {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.history = append(c.history, w)
	if w.Outcome == Acknowledged {
		c.mine = append(c.mine, w)
	}
}

// change edits an entry, or deletes it. An entry whose state is not known any more is left alone.
func (c *client) change(i int, body string) {
	last := c.mine[i]
	w := Write{Marker: last.Marker, ID: last.ID, Body: body}
	headers := map[string]string{"If-Match": fmt.Sprintf("%q", fmt.Sprintf("v%d", last.Version))}
	path := "/entries/" + last.ID.String()
	var a answer
	if body == "" {
		a = c.send(http.MethodDelete, path, nil, headers)
	} else {
		a = c.send(http.MethodPut, path, map[string]any{"title": last.Marker, "body": body}, headers)
	}
	w.Version, w.Outcome = a.Ver, a.outcome()
	c.history = append(c.history, w)
	switch {
	case w.Outcome == Acknowledged && body != "":
		c.mine[i] = w
	case w.Outcome != Refused:
		c.mine = append(c.mine[:i], c.mine[i+1:]...)
	}
}
