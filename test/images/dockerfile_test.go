// Package images holds tests of how images are described. It must never build one.
package images

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDockerfile: what runs is one static binary under a numeric user, on a pinned base, with nothing copied from the tree beside it.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := regexp.MustCompile(`(?m)^FROM `).Split(string(text), -1)[1:]
	if len(stages) < 3 {
		t.Fatalf("%d stages: a build and two images are expected", len(stages))
	}
	for _, stage := range stages {
		base := strings.Fields(regexp.MustCompile(`^--platform=\S+ `).ReplaceAllString(stage, ""))[0]
		if strings.HasSuffix(base, ":latest") || base != "scratch" && !strings.ContainsAny(base, ":@") && !strings.Contains(string(text), " AS "+base) {
			t.Errorf("base %s is not pinned", base)
		}
		if strings.Contains(stage, "go build") {
			continue
		}
		if strings.Contains(stage, "ENTRYPOINT") {
			final(t, stage)
		}
	}
}

func final(t *testing.T, stage string) {
	t.Helper()
	if !regexp.MustCompile(`(?m)^USER [1-9]\d*(:[1-9]\d*)?$`).MatchString(stage) {
		t.Errorf("an image does not run under a numeric user:\n%s", stage)
	}
	if !regexp.MustCompile(`(?m)^ENTRYPOINT \["/[a-z/-]+"\]$`).MatchString(stage) || strings.Contains(stage, "/root") {
		t.Errorf("an image does not start a binary by its absolute path:\n%s", stage)
	}
	for _, line := range strings.Split(stage, "\n") {
		if strings.HasPrefix(line, "COPY ") && !strings.HasPrefix(line, "COPY --from=") {
			t.Errorf("an image copies from the tree, not from a build: %s", line)
		}
	}
}
