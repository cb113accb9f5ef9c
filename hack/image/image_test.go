package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func unpack(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

func TestArchiveNamesWhatItHolds(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "b")
	if err := os.WriteFile(binary, []byte("machine code"), 0o600); err != nil {
		t.Fatal(err)
	}
	var archives [2][]byte
	for i := range archives {
		target := filepath.Join(dir, "image.tar")
		if err := WriteFile(target, Binary("example.com/x:1", binary, "englog", "1000")); err != nil {
			t.Fatal(err)
		}
		archives[i], _ = os.ReadFile(target)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same input gave two archives")
	}
	parts := unpack(t, bytes.NewReader(archives[0]))
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(parts["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	config := parts[manifest[0].Config]
	if digest(config)+".json" != manifest[0].Config || manifest[0].RepoTags[0] != "example.com/x:1" {
		t.Errorf("manifest %+v does not match the config", manifest)
	}
	layer := parts[manifest[0].Layers[0]]
	for _, want := range []string{`"sha256:` + digest(layer) + `"`, `"Entrypoint":["/englog"]`, `"User":"1000"`} {
		if !strings.Contains(string(config), want) {
			t.Errorf("config lacks %s: %s", want, config)
		}
	}
	if got := string(unpack(t, bytes.NewReader(layer))["englog"]); got != "machine code" {
		t.Errorf("the layer's binary is %q", got)
	}
}

func TestBadSpecsNameTheRemedy(t *testing.T) {
	for want, s := range map[string]Spec{
		"has no tag":            {Reference: "localhost:5000/x", Entrypoint: []string{"/x"}, User: "1"},
		"entrypoint is missing": {Reference: "x:1", User: "1"},
		"root or missing":       {Reference: "x:1", Entrypoint: []string{"/x"}, User: "0"},
		"is not absolute":       {Reference: "x:1", Entrypoint: []string{"/x"}, User: "1", Files: []File{{Path: "x"}}},
	} {
		err := WriteFile(filepath.Join(t.TempDir(), "x.tar"), s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
