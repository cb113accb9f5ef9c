package ai

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

var (
	thinking      = regexp.MustCompile(`(?s)<think>.*?</think>`)
	trailingComma = regexp.MustCompile(`,(\s*[}\]])`)
)

// ExtractJSON finds the JSON object in what a model wrote: around it may stand thoughts, a code fence or prose, and a comma too
// many before a closing brace is forgiven. The object must be complete.
func ExtractJSON(text string) (json.RawMessage, error) {
	text = thinking.ReplaceAllString(text, "")
	for start := strings.IndexByte(text, '{'); start >= 0; {
		if raw := objectAt(text[start:]); raw != nil {
			return raw, nil
		}
		next := strings.IndexByte(text[start+1:], '{')
		if next < 0 || start > 4096 {
			break
		}
		start += 1 + next
	}
	return nil, errors.New("the answer holds no complete JSON object")
}

// objectAt returns the object that begins at the first byte, or nil.
func objectAt(text string) json.RawMessage {
	end := closing(text)
	if end < 0 {
		return nil
	}
	raw := []byte(text[:end])
	if json.Valid(raw) {
		return raw
	}
	if raw = trailingComma.ReplaceAll(raw, []byte("$1")); json.Valid(raw) {
		return bytes.Clone(raw)
	}
	return nil
}

// closing returns the offset behind the brace that closes the first one, or -1. Braces in strings do not count.
func closing(text string) int {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}
