// Package debian installs the distribution's packages that the local cluster needs and that are missing. It must import
// nothing of this repository.
package debian

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Package is one package and how to see that it is there.
type Package struct {
	Name string
	// Any of these, a program in PATH or a file pattern, means it is installed.
	Provides []string
}

// Runtime is what running a cluster needs.
var Runtime = []Package{
	{"iproute2", []string{"ip"}},
	{"util-linux", []string{"nsenter"}},
	{"nftables", []string{"nft"}},
	{"postgresql-15", []string{"/usr/lib/postgresql/*/bin/postgres"}},
	{"redis-server", []string{"redis-server"}},
}

// Compile is what building runc needs: a C compiler, and libseccomp to filter system calls.
var Compile = []Package{
	{"gcc", []string{"gcc"}},
	{"libc6-dev", []string{"/usr/include/stdlib.h"}},
	{"pkg-config", []string{"pkg-config"}},
	{"libseccomp-dev", []string{"/usr/include/seccomp.h"}},
}

// Missing lists the names of the packages that are not there.
func Missing(wanted ...[]Package) []string {
	var missing []string
	for _, p := range slices.Concat(wanted...) {
		if !slices.ContainsFunc(p.Provides, present) {
			missing = append(missing, p.Name)
		}
	}
	return missing
}

func present(what string) bool {
	if filepath.IsAbs(what) {
		found, _ := filepath.Glob(what)
		return len(found) > 0
	}
	_, err := exec.LookPath(what)
	return err == nil
}

// Ensure installs what is missing. It starts no service of any package, and lets PostgreSQL make no cluster of its own.
func Ensure(ctx context.Context, out io.Writer, wanted ...[]Package) error {
	missing := Missing(wanted...)
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing: %s, and there is no apt-get to install them with; install your distribution's packages of the same purpose", strings.Join(missing, ", "))
	}
	fmt.Fprintf(out, "installing %s\n", strings.Join(missing, ", "))
	restore, err := denyServices()
	if err != nil {
		return err
	}
	defer restore()
	if err := apt(ctx, out, "update"); err != nil {
		return err
	}
	if slices.ContainsFunc(missing, func(name string) bool { return strings.HasPrefix(name, "postgresql-") }) {
		forget, err := denyPostgresCluster(ctx, out)
		if err != nil {
			return err
		}
		defer forget()
	}
	return apt(ctx, out, append([]string{"install", "--yes", "--no-install-recommends"}, missing...)...)
}

func apt(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet=2", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	output, err := cmd.CombinedOutput()
	if err != nil {
		fmt.Fprintf(out, "%s", output)
		return fmt.Errorf("apt-get %s: %w", args[0], err)
	}
	return nil
}

// denyServices makes Debian start no service of a package that it installs, by the file made for that.
func denyServices() (func(), error) {
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); err == nil {
		return func() {}, nil // somebody has decided already
	}
	if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return nil, fmt.Errorf("keep services from starting: %w", err)
	}
	return func() { _ = os.Remove(policy) }, nil
}

// denyPostgresCluster makes the installation of PostgreSQL create no database cluster.
func denyPostgresCluster(ctx context.Context, out io.Writer) (func(), error) {
	if err := apt(ctx, out, "install", "--yes", "--no-install-recommends", "postgresql-common"); err != nil {
		return nil, err
	}
	const dir = "/etc/postgresql-common/createcluster.d"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "local-cluster.conf")
	if err := os.WriteFile(file, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(file) }, nil
}
