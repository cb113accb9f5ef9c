package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const ours = "github.com/garnizeh/englog-operator/"

func TestOnlyWhatPassedCounts(t *testing.T) {
	r, err := read(strings.NewReader(`
{"Action":"output","Package":"` + ours + `a","Test":"TestOne","Output":"    one_test.go:9: covers X42 E13\n"}
{"Action":"pass","Package":"` + ours + `a","Test":"TestOne"}
{"Action":"output","Package":"` + ours + `a","Test":"TestTwo","Output":"    two_test.go:9: covers X43\n"}
{"Action":"fail","Package":"` + ours + `a","Test":"TestTwo"}
{"Action":"output","Package":"` + ours + `a","Test":"TestThree","Output":"    three_test.go:9: covers X44\n"}
{"Action":"skip","Package":"` + ours + `a","Test":"TestThree"}
{"Action":"pass","Package":"` + ours + `a","Test":"TestFour/E17_cpu"}
{"Action":"pass","Package":"` + ours + `test/model","Test":"TestFour/I1"}
go: a line of no event
`))
	if err != nil {
		t.Fatal(err)
	}
	shown := r.shown()
	for id, want := range map[string]bool{"X42": true, "E13": true, "X43": false, "X44": false, "E17": true, "I1": false} {
		if got := len(shown[id]) > 0; got != want {
			t.Errorf("%s counts as shown: %v", id, got)
		}
	}
	if len(r.failed) != 1 {
		t.Errorf("failed: %v", r.failed)
	}
}

func TestIds(t *testing.T) {
	for text, want := range map[string][]string{
		"E13 X40, X74: the color": {"E13", "X40", "X74"}, "TestResolve/J4_J5_AWS": {"J4", "J5"}, "TestX509": nil, "TestFoo/EC2": nil, "F10x E1": {"E1"},
	} {
		if got := ids(text); !slices.Equal(got, want) {
			t.Errorf("%q has %v", text, got)
		}
	}
}

func TestUncoveredRowsFail(t *testing.T) {
	_, missing := tabulate(nil)
	if len(rows()) != 142 || len(missing) != len(rows())-len(sentences) {
		t.Errorf("%d rows, %d missing", len(rows()), len(missing))
	}
	if err := run(strings.NewReader(""), filepath.Join(t.TempDir(), "table.md")); err == nil || !strings.Contains(err.Error(), "no test shows [B1") {
		t.Errorf("no tests at all: %v", err)
	}
}
