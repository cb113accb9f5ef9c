package rig

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// auditPolicy logs who asked for what, without bodies, once the answer is complete.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

type auditLog struct{ policy, path string }

func newAuditLog(dir string) (*auditLog, error) {
	log := &auditLog{policy: filepath.Join(dir, "audit-policy.yaml"), path: filepath.Join(dir, "audit.log")}
	if err := os.WriteFile(log.policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, fmt.Errorf("write the audit policy: %w", err)
	}
	return log, nil
}

func (a *auditLog) configure(arguments *envtest.Arguments) {
	arguments.Set("audit-policy-file", a.policy).Set("audit-log-path", a.path)
	// An entry is on disk before its answer is sent, so that a count right after a call is complete.
	arguments.Set("audit-log-mode", "blocking")
}

// A Call is one request the API server has answered, or a watch it has begun to answer.
type Call struct {
	Verb      string
	Resource  string // "pods", or "engloginstances/status"
	Namespace string
	Name      string
	Code      int32
	At        time.Time
}

func (c Call) String() string {
	return fmt.Sprintf("%s %s %s/%s → %d", c.Verb, c.Resource, c.Namespace, c.Name, c.Code)
}

// auditEvent holds the fields of audit.k8s.io/v1 Event that are read here.
type auditEvent struct {
	Stage                    string    `json:"stage"`
	Verb                     string    `json:"verb"`
	UserAgent                string    `json:"userAgent"`
	RequestReceivedTimestamp time.Time `json:"requestReceivedTimestamp"`
	ObjectRef                struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int32 `json:"code"`
	} `json:"responseStatus"`
}

func (e auditEvent) call() Call {
	resource := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		resource += "/" + e.ObjectRef.Subresource
	}
	return Call{
		Verb: e.Verb, Resource: resource, Namespace: e.ObjectRef.Namespace, Name: e.ObjectRef.Name,
		Code: e.ResponseStatus.Code, At: e.RequestReceivedTimestamp,
	}
}

// ConfigAs is the rig's configuration with a user agent of its own: what Calls counts by.
func (r *Rig) ConfigAs(userAgent string) *rest.Config {
	config := rest.CopyConfig(r.Config)
	config.UserAgent = userAgent
	return config
}

// Calls lists what a user agent has asked of the API server since a point in time. A long watch is listed once, when it
// began to answer. Leases are left out where they are the caller's own noise: filter by Resource.
func (r *Rig) Calls(t testing.TB, userAgent string, since time.Time) []Call {
	t.Helper()
	file, err := os.Open(r.audit.path)
	if err != nil {
		t.Fatalf("open the audit log: %v", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	var calls []Call
	for reader := bufio.NewReader(file); ; {
		line, err := reader.ReadString('\n')
		if err != nil { // the end, or a line that is still being written
			return calls
		}
		var event auditEvent
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("read the audit log: %v", err)
		}
		if event.counts() && strings.HasPrefix(event.UserAgent, userAgent) && !event.RequestReceivedTimestamp.Before(since) {
			calls = append(calls, event.call())
		}
	}
}

// counts tells the one event of a request that is counted: its answer's start where it is a watch, its end elsewhere.
func (e auditEvent) counts() bool {
	if e.Verb == "watch" {
		return e.Stage == "ResponseStarted"
	}
	return e.Stage == "ResponseComplete" || e.Stage == "Panic"
}
