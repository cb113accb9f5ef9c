package node

import (
	"context"
	"testing"

	"github.com/garnizeh/englog-operator/test/load"
)

// UnderLoad runs do under load, and fails the test for each request and each login that failed. It returns what was sent, and the entries that
// were acknowledged.
func UnderLoad(t *testing.T, cfg load.Config, accounts *load.Accounts, do func()) (report *load.Report, entries []load.Entry) {
	t.Helper()
	run, err := load.Start(context.WithoutCancel(t.Context()), cfg, accounts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { // also when do has failed the test
		run.Stop()
		report, entries = run.Report(), run.Created()
		judge(t, report)
	}()
	do()
	return report, entries
}

func judge(t *testing.T, rep *load.Report) {
	t.Helper()
	t.Logf("%d requests due, %d sent, %d failed %v in %.0f s, p99 %.1f ms", rep.Due, rep.Sent, rep.Failed, rep.FailedByKind, rep.Seconds, rep.Latency["all"].P99)
	for _, f := range rep.Failures[:min(len(rep.Failures), 10)] {
		t.Errorf("failed: %s %s %s over %s, revision %s: %s", f.Time.Format("15:04:05.000"), f.Kind, f.Op, f.Class, f.Revision, f.Detail)
	}
	if rep.LoginFailures > 0 {
		t.Errorf("%d logins failed", rep.LoginFailures)
	}
	if err := rep.Void(); err != nil {
		t.Error(err)
	}
}
