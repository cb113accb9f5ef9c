package revision

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// Length is the number of characters of a revision.
const Length = 10

// Hash names a revision: ten characters of [a-z2-7], which is 50 bits. Secrets maps "secret/key" to a digest of its content; only keys
// that exist are in it, so that an optional key that a newer operator knows changes nothing until somebody adds it.
func Hash(inputs []byte, secrets map[string]string) string {
	h := sha256.New()
	write := func(part string) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:]) // so that no two lists of parts run together into the same bytes
		h.Write([]byte(part))
	}
	write(string(inputs))
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		write(key)
		write(secrets[key])
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)))[:Length]
}
