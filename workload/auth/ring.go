package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"
)

// Source reads a secret as it is now; empty means that there is none.
type Source func() (string, error)

// Ring holds the keys of access tokens: it signs with the current one and
// accepts all three, so that two colors can rotate a key without a failed
// request. The sources are read again at most every few seconds.
type Ring struct {
	current, previous, next Source
	now                     func() time.Time
	mu                      sync.Mutex
	readAt                  time.Time
	keys                    ringKeys
}

type ringKeys struct {
	signID string
	byID   map[string][]byte
	ids    []string
}

const ringRefresh = 2 * time.Second

// NewRing makes a ring and reads it once: without a current key it is an error.
func NewRing(current, previous, next Source) (*Ring, error) {
	r := &Ring{current: current, previous: previous, next: next, now: time.Now}
	keys, err := r.read()
	if err != nil {
		return nil, err
	}
	r.keys, r.readAt = keys, r.now()
	return r, nil
}

// KeyID is the first 8 hex digits of the SHA-256 of a key.
func KeyID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:4])
}

func (r *Ring) read() (ringKeys, error) {
	k := ringKeys{byID: map[string][]byte{}}
	for i, source := range []Source{r.current, r.previous, r.next} {
		key, err := source()
		if err != nil {
			return k, fmt.Errorf("read the keys of access tokens: %w", err)
		}
		if key == "" && i > 0 {
			continue
		}
		if len(key) < 32 {
			return k, fmt.Errorf("read the keys of access tokens: JWT_SECRET%s must have at least 32 bytes", []string{"", "_PREVIOUS", "_NEXT"}[i])
		}
		id := KeyID(key)
		if i == 0 {
			k.signID = id
		}
		if _, twice := k.byID[id]; !twice {
			k.byID[id] = []byte(key)
			k.ids = append(k.ids, id)
		}
	}
	return k, nil
}

// get returns the keys. When they cannot be read, the ones known go on.
func (r *Ring) get() ringKeys {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.readAt) > ringRefresh {
		r.readAt = now
		if keys, err := r.read(); err == nil {
			r.keys = keys
		}
	}
	return r.keys
}

// KeyIDs lists the keys that are accepted now, the signing one first.
func (r *Ring) KeyIDs() []string { return r.get().ids }

func (r *Ring) signing() (id string, key []byte) {
	k := r.get()
	return k.signID, k.byID[k.signID]
}

func (r *Ring) key(id string) ([]byte, bool) {
	key, ok := r.get().byID[id]
	return key, ok
}
