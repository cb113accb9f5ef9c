package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestUnknownCommandShowsUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"fly"}} {
		err := run(t.Context(), args)
		if err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), "load-image") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestKindHasTheSharedCommands(t *testing.T) {
	t.Setenv("CLUSTER", "kind")
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	for _, want := range []string{"up", "down", "status", "load-image", "kubeconfig", "assets"} {
		if !slices.Contains(names, want) {
			t.Errorf("kind lacks %s: %v", want, names)
		}
	}
}

func TestKindMissingIsToldWithRemedy(t *testing.T) {
	t.Setenv("CLUSTER", "kind")
	t.Setenv("PATH", t.TempDir())
	if err := run(t.Context(), []string{"up"}); err == nil || !strings.Contains(err.Error(), "go install") {
		t.Errorf("got %v, want how to get kind", err)
	}
}

func TestCommandsSayThatTheClusterIsDown(t *testing.T) {
	t.Setenv("ENGLOG_CLUSTER_STATE", t.TempDir())
	for _, name := range []string{"status", "kubeconfig", "env", "kubectl"} {
		if err := run(t.Context(), []string{name}); err == nil || !strings.Contains(err.Error(), "up") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	for _, args := range [][]string{{"--user", "7:7", "a:1", "bin"}, {"a:1", "--user=7:7", "bin"}, {"a:1", "bin", "--user", "7:7"}} {
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		user := flags.String("user", "", "")
		rest, err := interspersed(flags, args)
		if err != nil || *user != "7:7" || !slices.Equal(rest, []string{"a:1", "bin"}) {
			t.Errorf("%v: rest %v, user %s, %v", args, rest, *user, err)
		}
	}
}

func TestParseImage(t *testing.T) {
	extra := filepath.Join(t.TempDir(), "extra")
	if err := os.WriteFile(extra, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	i, err := parseImage([]string{"a:1", "out/englog", "--file", extra + ":/etc/extra", "--env", "A=b"})
	if err != nil {
		t.Fatal(err)
	}
	if i.Entrypoint[0] != "/englog" || i.User != "1000:1000" || i.Env[0] != "A=b" {
		t.Errorf("image %+v", i)
	}
	if last := i.Files[len(i.Files)-2]; last.Path != "/etc/extra" || last.Mode != 0o640 {
		t.Errorf("file %+v", last)
	}
	if _, err := parseImage([]string{"a:1", "b", "--file", "nocolon"}); err == nil {
		t.Error("--file without a path in the image was taken")
	}
}

func TestHostPort(t *testing.T) {
	for text, good := range map[string]bool{"8080": true, "0": false, "65536": false, "http": false, "-1": false} {
		if _, err := hostPort(text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestOverrideSetsOnce(t *testing.T) {
	got := override([]string{"PATH=/old", "HOME=/h"}, []string{"PATH=/new"})
	if want := []string{"PATH=/new", "HOME=/h"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
