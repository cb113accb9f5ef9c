package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// sealed marks what Seal made; JSON never begins with it.
const sealed = 0x01

const keyIDLength = 8

// Seal encrypts what must not lie about in the database in clear, under a key that
// is derived from the signing key (AES-256-GCM). Open reads it for as long as the
// ring holds that key.
func (r *Ring) Seal(plain []byte) ([]byte, error) {
	id, key := r.signing()
	box, err := boxOf(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	out := append([]byte{sealed}, id...)
	return box.Seal(append(out, nonce...), nonce, plain, out[:1+keyIDLength]), nil
}

// Open returns what was sealed; anything else it returns as it is.
func (r *Ring) Open(raw []byte) ([]byte, error) {
	if len(raw) == 0 || raw[0] != sealed {
		return raw, nil
	}
	if len(raw) < 1+keyIDLength {
		return nil, fmt.Errorf("open a sealed answer: it is cut short")
	}
	head, rest := raw[:1+keyIDLength], raw[1+keyIDLength:]
	key, ok := r.key(string(head[1:]))
	if !ok {
		return nil, fmt.Errorf("open a sealed answer: its key is gone")
	}
	box, err := boxOf(key)
	if err != nil {
		return nil, err
	}
	if len(rest) < box.NonceSize() {
		return nil, fmt.Errorf("open a sealed answer: it is cut short")
	}
	plain, err := box.Open(nil, rest[:box.NonceSize()], rest[box.NonceSize():], head)
	if err != nil {
		return nil, fmt.Errorf("open a sealed answer: %w", err)
	}
	return plain, nil
}

func boxOf(secret []byte) (cipher.AEAD, error) {
	key := sha256.Sum256(append([]byte("englog sealed answer\x00"), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return cipher.NewGCM(block)
}
