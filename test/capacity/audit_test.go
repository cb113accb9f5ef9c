package capacity

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// audited is what is read of a line of the API server's audit log.
type audited struct {
	At   time.Time `json:"stageTimestamp"`
	Verb string    `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	Object struct {
		Namespace   string `json:"namespace"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

func (a audited) writes() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete"}, a.Verb)
}

// audit lists the writes in the demo's namespace since a time that were granted, in their order.
func (r *rig) audit(t *testing.T, since time.Time) []audited {
	t.Helper()
	file, err := os.Open(local.New(local.StateDir(), local.Parts{}).AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var all []audited
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a audited
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		if a.writes() && a.Object.Namespace == cutover.Namespace && a.Response.Code < 300 && a.At.After(since) {
			all = append(all, a)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func resourceCount(n int) *resource.Quantity {
	return resource.NewQuantity(int64(n), resource.DecimalSI)
}
