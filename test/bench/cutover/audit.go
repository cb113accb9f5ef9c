package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// auditEvent is what is read of a line of the API server's audit log.
type auditEvent struct {
	Stage string `json:"stage"`
	Verb  string `json:"verb"`
	User  struct {
		Username string `json:"username"`
	} `json:"user"`
	ImpersonatedUser *struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	ObjectRef *struct {
		Resource string `json:"resource"`
	} `json:"objectRef"`
	ResponseStatus *struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Received time.Time `json:"requestReceivedTimestamp"`
}

// countWrites counts the writes that an actor made between two moments and that succeeded. Events and leases are left out:
// they are counted apart by everybody.
func countWrites(path string, from, to time.Time, actor func(user string) bool) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("opening the audit log: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("reading the audit log: %w", err)
		}
		if isWrite(line, from, to, actor) {
			n++
		}
	}
}

var writing = [][]byte{[]byte(`"verb":"create"`), []byte(`"verb":"update"`), []byte(`"verb":"patch"`), []byte(`"verb":"delete"`)}

func isWrite(line []byte, from, to time.Time, actor func(string) bool) bool {
	// Most lines are reads; looking for the verb first spares their decoding.
	if !slices.ContainsFunc(writing, func(v []byte) bool { return bytes.Contains(line, v) }) {
		return false
	}
	var e auditEvent
	if json.Unmarshal(line, &e) != nil || e.ObjectRef == nil || e.ResponseStatus == nil {
		return false
	}
	user := e.User.Username
	if e.ImpersonatedUser != nil {
		user = e.ImpersonatedUser.Username
	}
	switch {
	case !actor(user) || e.ResponseStatus.Code >= 400 || e.Received.Before(from) || e.Received.After(to):
		return false
	default:
		return !slices.Contains([]string{"events", "leases", "subjectaccessreviews", "tokenreviews"}, e.ObjectRef.Resource)
	}
}
