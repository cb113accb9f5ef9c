package contract

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest  = regexp.MustCompile("`([a-z0-9/-]+) (Test[A-Za-z0-9_]+)`")
	namedStory = regexp.MustCompile("(?:story|stories)((?: `[a-z-]+`,?)+)")
	quotedName = regexp.MustCompile("`([a-z-]+)`")
	target     = regexp.MustCompile("`make ([a-z-]+)`")
)

// Each row of the list of features names a test, a story or a command, and all of them exist.
func TestFeaturesAreShown(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/features.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.HasPrefix(line, "|---") || strings.Contains(line, "| shown by |") {
			continue
		}
		rows++
		feature, shown := strings.TrimSpace(cells[1]), cells[3]
		evidence := 0
		for _, m := range namedTest.FindAllStringSubmatch(shown, -1) {
			evidence++
			if !declares(t, m[1], m[2]) {
				t.Errorf("%s: %s has no %s", feature, m[1], m[2])
			}
		}
		for _, list := range namedStory.FindAllStringSubmatch(shown, -1) {
			for _, m := range quotedName.FindAllStringSubmatch(list[1], -1) {
				evidence++
				if _, err := os.Stat("../model/testdata/" + m[1] + ".txt"); err != nil {
					t.Errorf("%s: there is no story %s", feature, m[1])
				}
			}
		}
		for _, m := range target.FindAllStringSubmatch(shown, -1) {
			evidence++
			name, bench := strings.CutPrefix(m[1], "bench-")
			found, _ := filepath.Glob("../../*/bench/" + name) // the pattern is good
			if bench && len(found) == 0 || !bench && !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s: there is no make %s", feature, m[1])
			}
		}
		if evidence == 0 {
			t.Errorf("%s is shown by nothing", feature)
		}
	}
	if rows < 30 {
		t.Errorf("the list has %d features", rows)
	}
}

// declares says whether a package has a test.
func declares(t *testing.T, directory, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", directory, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+test+"(t ") {
			return true
		}
	}
	return false
}
