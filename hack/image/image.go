// Package image makes container images out of static binaries: one layer, no base, no registry and no container engine.
// The result is a docker-archive, which containerd, Docker and kind all import. It is for the local cluster; released
// images come from the Dockerfile. It imports the standard library only.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

// File is one file of the image.
type File struct {
	Path   string // in the image, absolute
	Source string // on this machine; empty = Content
	Mode   int64  // default 0755
	// Content is used without Source.
	Content []byte
}

// Spec is one image.
type Spec struct {
	Reference  string // repository:tag
	Files      []File
	Entrypoint []string
	User       string // numeric, so that runAsNonRoot can be checked
}

// Binary is the spec of an image that holds one static binary and runs it as an unprivileged user.
func Binary(reference, source, name, user string) Spec {
	return Spec{
		Reference: reference, Entrypoint: []string{"/" + name}, User: user,
		Files: []File{{Path: "/" + name, Source: source}},
	}
}

func (s Spec) validate() error {
	switch {
	case !strings.Contains(path.Base(s.Reference), ":"):
		return fmt.Errorf("reference %q has no tag; write repository:tag", s.Reference)
	case len(s.Entrypoint) == 0:
		return errors.New("entrypoint is missing; name the command to run")
	case s.User == "" || strings.HasPrefix(s.User, "0"):
		return fmt.Errorf("user %q is root or missing; give a number above 0", s.User)
	}
	for _, f := range s.Files {
		if !path.IsAbs(f.Path) {
			return fmt.Errorf("file %q is not absolute", f.Path)
		}
	}
	return nil
}

// WriteFile writes the image to an archive at target. Equal inputs give equal bytes.
func WriteFile(target string, s Spec) (err error) {
	if err := s.validate(); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	out, err := os.Create(target)
	if err != nil {
		return fmt.Errorf("image %s: %w", s.Reference, err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := s.write(out); err != nil {
		return fmt.Errorf("image %s: %w", s.Reference, err)
	}
	return nil
}

func (s Spec) write(out io.Writer) error {
	layer, err := s.layer()
	if err != nil {
		return err
	}
	config, err := s.config(digest(layer))
	if err != nil {
		return err
	}
	name := digest(config) + ".json"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": name, "RepoTags": []string{s.Reference}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	for _, part := range []struct {
		name string
		data []byte
	}{{name, config}, {"layer.tar", layer}, {"manifest.json", manifest}} {
		if err := addFile(w, part.name, 0o644, part.data); err != nil {
			return err
		}
	}
	return w.Close()
}

// layer packs the files, with a /tmp that everybody may write to.
func (s Spec) layer() ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return nil, err
	}
	for _, f := range s.Files {
		data := f.Content
		if f.Source != "" {
			var err error
			if data, err = os.ReadFile(f.Source); err != nil {
				return nil, err
			}
		}
		mode := f.Mode
		if mode == 0 {
			mode = 0o755
		}
		if err := addFile(w, strings.TrimPrefix(f.Path, "/"), mode, data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func addFile(w *tar.Writer, name string, mode int64, data []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data))}); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

func (s Spec) config(diffID string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": s.Entrypoint, "User": s.User, "Env": []string{"PATH=/"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + diffID}},
		"history":      []map[string]any{{"created": "1970-01-01T00:00:00Z"}},
	})
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
