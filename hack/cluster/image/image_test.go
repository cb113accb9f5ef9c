package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var i2000 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func example(t *testing.T) Image {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "englog")
	if err := os.WriteFile(binary, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Image{Name: "englog:1", Files: []File{{Path: "/englog", From: binary, Mode: 0o755}}, Entrypoint: []string{"/englog"}, User: "1000:1000"}
}

func write(t *testing.T, i Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := i.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func members(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		all[header.Name] = content
	}
}

func TestSameInputSameBytes(t *testing.T) {
	i := example(t)
	first := write(t, i)
	touched := i.Files[0].From
	if err := os.Chtimes(touched, i2000, i2000); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, write(t, i)) {
		t.Error("two archives of the same files differ")
	}
}

func TestArchiveIsConsistent(t *testing.T) {
	all := members(t, write(t, example(t)))
	var manifests []manifest
	if err := json.Unmarshal(all["manifest.json"], &manifests); err != nil || len(manifests) != 1 {
		t.Fatalf("manifest.json: %v, %d manifests", err, len(manifests))
	}
	if got := manifests[0].RepoTags[0]; got != "docker.io/library/englog:1" {
		t.Errorf("tag %s", got)
	}
	configuration := all[manifests[0].Config]
	if digest(configuration)+".json" != manifests[0].Config {
		t.Error("the configuration's name is not its digest")
	}
	var c config
	if err := json.Unmarshal(configuration, &c); err != nil {
		t.Fatal(err)
	}
	if want := "sha256:" + digest(all["layer.tar"]); c.RootFS.DiffIDs[0] != want {
		t.Errorf("layer %s, want %s", c.RootFS.DiffIDs[0], want)
	}
	if c.Config.User != "1000:1000" || c.Config.Entrypoint[0] != "/englog" {
		t.Errorf("runs %v as %s", c.Config.Entrypoint, c.Config.User)
	}
	if layer := members(t, all["layer.tar"]); string(layer["englog"]) != "program" {
		t.Errorf("the layer holds %v", layer)
	}
}

func TestFilesMustExistAndBeAbsolute(t *testing.T) {
	i := example(t)
	i.Files[0].Path = "englog"
	if err := i.Write(io.Discard); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("relative path: %v", err)
	}
	i = example(t)
	i.Files[0].From += ".missing"
	if err := i.Write(io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestNormalize(t *testing.T) {
	for name, want := range map[string]string{
		"englog:1":                   "docker.io/library/englog:1",
		"garnizeh/englog:1":          "docker.io/garnizeh/englog:1",
		"ghcr.io/garnizeh/englog:1":  "ghcr.io/garnizeh/englog:1",
		"localhost/englog:1":         "localhost/englog:1",
		"registry:5000/englog:1.0-a": "registry:5000/englog:1.0-a",
		"englog":                     "",
		"englog:":                    "",
		"registry:5000/englog":       "",
	} {
		got, err := Normalize(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}
}
