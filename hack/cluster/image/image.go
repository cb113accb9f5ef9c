// Package image writes container images from files of this machine, without a registry or a container engine: the same
// input gives the same bytes. It must import nothing of this repository.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

// Image is what goes into a single-layer image.
type Image struct {
	Name       string // NAME:TAG; a name without a registry is docker.io/library's, as everywhere
	Files      []File
	Entrypoint []string
	User       string // "uid:gid", numeric: a scratch image has no /etc/passwd
	Env        []string
}

// File is one file of the image.
type File struct {
	Path    string // absolute, in the image
	From    string // on this machine; empty: Content is the file
	Content []byte
	Mode    int64
}

func (f File) content() ([]byte, error) {
	if f.From == "" {
		return f.Content, nil
	}
	return os.ReadFile(f.From)
}

type config struct {
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       runConfig `json:"config"`
	RootFS       rootFS    `json:"rootfs"`
	History      []history `json:"history"`
}

type runConfig struct {
	Entrypoint []string `json:"Entrypoint"`
	User       string   `json:"User,omitempty"`
	Env        []string `json:"Env,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created string `json:"created"`
}

type manifest struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// Write writes the image as a docker-archive, which `ctr images import`, `kind load image-archive` and `docker load`
// all read.
func (i Image) Write(w io.Writer) error {
	name, err := Normalize(i.Name)
	if err != nil {
		return err
	}
	layer, err := i.layer()
	if err != nil {
		return err
	}
	configuration, err := json.Marshal(i.config(layer))
	if err != nil {
		return err
	}
	configName := digest(configuration) + ".json"
	description, err := json.Marshal([]manifest{{Config: configName, RepoTags: []string{name}, Layers: []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	for _, member := range []struct {
		name    string
		content []byte
	}{{configName, configuration}, {"layer.tar", layer}, {"manifest.json", description}} {
		if err := add(archive, member.name, 0o644, member.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

func (i Image) config(layer []byte) config {
	return config{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Config:       runConfig{Entrypoint: i.Entrypoint, User: i.User, Env: i.Env},
		RootFS:       rootFS{Type: "layers", DiffIDs: []string{"sha256:" + digest(layer)}},
		History:      []history{{Created: "1970-01-01T00:00:00Z"}},
	}
}

// layer holds the files and an empty /tmp that everybody may write to.
func (i Image) layer() ([]byte, error) {
	var buffer bytes.Buffer
	layer := tar.NewWriter(&buffer)
	if err := layer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return nil, err
	}
	files := slices.Clone(i.Files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, file := range files {
		content, err := file.content()
		if err != nil {
			return nil, err
		}
		if !path.IsAbs(file.Path) {
			return nil, fmt.Errorf("%s: a path in the image must be absolute", file.Path)
		}
		if err := add(layer, strings.TrimPrefix(path.Clean(file.Path), "/"), file.Mode, content); err != nil {
			return nil, err
		}
	}
	if err := layer.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

func add(archive *tar.Writer, name string, mode int64, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Normalize gives an image name the registry and namespace that the kubelet will look for.
func Normalize(name string) (string, error) {
	slash := strings.LastIndexByte(name, '/')
	if repository, tag, tagged := strings.Cut(name[slash+1:], ":"); !tagged || repository == "" || tag == "" {
		return "", fmt.Errorf("image name %q: want NAME:TAG", name)
	}
	first, _, nested := strings.Cut(name, "/")
	switch {
	case !nested:
		return "docker.io/library/" + name, nil
	case strings.ContainsAny(first, ".:") || first == "localhost":
		return name, nil
	default:
		return "docker.io/" + name, nil
	}
}
