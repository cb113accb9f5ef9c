package cutover

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The two builds of the service. The second one really differs: the tag embeds one more expand migration.
const (
	VersionOld = "1.0.0"
	VersionNew = "1.1.0"

	serviceRepository  = "ghcr.io/garnizeh/englog"
	operatorRepository = "ghcr.io/garnizeh/englog-operator"
	versionVariable    = "github.com/garnizeh/englog-operator/workload/run.Version"
)

// program is one binary and the image it becomes.
type program struct {
	pkg, name, dir string
	flags          []string
	reference      func(binary string) (string, error)
}

func service(version string, tags string) program {
	flags := []string{"-ldflags", "-s -w -X " + versionVariable + "=" + version}
	if tags != "" {
		flags = append(flags, "-tags", tags)
	}
	return program{
		pkg: "./cmd/englog", name: "englog", dir: "englog-" + version, flags: flags,
		reference: func(string) (string, error) { return serviceRepository + ":" + version, nil },
	}
}

// operator is tagged by its content, so that a Deployment rolls exactly when the binary differs.
func operator(tags string) program {
	flags, dir := []string{"-ldflags", "-s -w"}, "manager"
	if tags != "" {
		flags, dir = append(flags, "-tags", tags), dir+"-"+tags
	}
	return program{
		pkg: "./cmd/manager", name: "manager", dir: dir, flags: flags,
		reference: func(binary string) (string, error) {
			sum, err := fileDigest(binary)
			return operatorRepository + ":dev-" + sum, err
		},
	}
}

func fileDigest(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// build compiles a program below dir and returns its binary.
func (c *Cluster) build(ctx context.Context, bin string, p program) (string, error) {
	target := filepath.Join(bin, p.dir, p.name)
	args := append(append([]string{"build", "-o", target}, p.flags...), p.pkg)
	return target, c.run(ctx, "go", args...)
}

// load makes an image of a binary and puts it into the cluster. It returns the image's reference.
func (c *Cluster) load(ctx context.Context, binary string, p program) (string, error) {
	reference, err := p.reference(binary)
	if err != nil {
		return "", err
	}
	if _, err := c.output(ctx, c.tool, "load-image", reference, binary); err != nil {
		return "", fmt.Errorf("loading image %s: %w", reference, err)
	}
	return reference, nil
}
