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
	if err := conclude(results{}, filepath.Join(t.TempDir(), "table.md")); err == nil || !strings.Contains(err.Error(), "no test shows [B1") {
		t.Errorf("no tests at all: %v", err)
	}
}

// What a package says the second time replaces what it said the first.
func TestSecondRunsCount(t *testing.T) {
	a, b := test{ours + "a", "TestOne/X42"}, test{ours + "b", "TestTwo/X43"}
	first := results{passed: []test{a}, failed: []test{b, {ours + "b", ""}}, said: map[test][]string{b: {"X44"}}}
	if got := first.packagesThatFailed(); !slices.Equal(got, []string{ours + "b"}) {
		t.Fatalf("run again: %v", got)
	}
	shown := first.without([]string{ours + "b"}).and(results{passed: []test{b}, said: map[test][]string{b: {"X45"}}}).shown()
	for id, want := range map[string]bool{"X42": true, "X43": true, "X44": false, "X45": true} {
		if got := len(shown[id]) > 0; got != want {
			t.Errorf("%s counts as shown: %v", id, got)
		}
	}
}

func TestProgressTellsFailures(t *testing.T) {
	var told strings.Builder
	tell := &teller{to: &told}
	for _, part := range []string{
		`{"Action":"output","Package":"` + ours + `a","Test":"TestOne","Output":"    no such thing\n"}` + "\n" + `{"Action":"fail","Pack`,
		`age":"` + ours + `a","Test":"TestOne"}` + "\n", `{"Action":"pass","Package":"` + ours + `b","Elapsed":61.2}` + "\n",
	} {
		if _, err := tell.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := told.String(), "  FAILED a TestOne\n        no such thing\n  1m1s   b\n"; got != want {
		t.Errorf("told:\n%s\nwant:\n%s", got, want)
	}
}
