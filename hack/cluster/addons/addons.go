// Package addons is what `up --with` adds to the cluster: metrics-server, so that autoscalers act on real processor time,
// Prometheus, so that checks by query have somebody to ask, and Traefik, so that Ingresses and HTTPRoutes lead somewhere. It must import nothing of the operator or the service.
package addons

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/garnizeh/englog-operator/hack/cluster/debian"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/cluster/parts"
)

// Addon is one thing that can be added.
type Addon struct {
	Name     string
	Programs []local.Program  // what runs, without its commands: they depend on the cluster
	Says     string           // for the person who started it: where it is
	Parts    []parts.Part     // what to build
	Packages []debian.Package // what to install
	// Definitions are applied before anything starts.
	Definitions []Definitions
	start       func(ctx context.Context, c *local.Cluster, a Addon, dirs []string) error
}

// All are the addons, in the order in which they start.
var All = []Addon{metrics, prometheus, external, gateway}

// Names are those of All.
func Names() []string {
	var names []string
	for _, a := range All {
		names = append(names, a.Name)
	}
	return names
}

// Parse reads a comma-separated list. The result is in the order of All, each once.
func Parse(text string) ([]Addon, error) {
	wanted := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
	for _, name := range wanted {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("--with %q: there is no such addon; use some of %s", name, strings.Join(Names(), ","))
		}
	}
	return slices.DeleteFunc(slices.Clone(All), func(a Addon) bool { return !slices.Contains(wanted, a.Name) }), nil
}

// Add brings addons to a cluster that is up, and repairs those that are there.
func Add(ctx context.Context, c *local.Cluster, store parts.Store, wanted []Addon) error {
	var names []string
	for _, a := range wanted {
		if err := a.add(ctx, c, store); err != nil {
			return fmt.Errorf("add %s: %w", a.Name, err)
		}
		fmt.Fprintf(store.Out, "  %-16s %s\n", a.Name, a.Says)
		names = append(names, a.Name)
	}
	if len(names) == 0 {
		return nil
	}
	return c.NoteAddons(names)
}

func (a Addon) add(ctx context.Context, c *local.Cluster, store parts.Store) error {
	if err := debian.Ensure(ctx, store.Out, a.Packages); err != nil {
		return err
	}
	var dirs []string
	for _, p := range a.Parts {
		dir, err := store.Ensure(ctx, p)
		if err != nil {
			return err
		}
		dirs = append(dirs, dir)
	}
	for _, d := range a.Definitions {
		if err := d.apply(ctx, c, store.Root); err != nil {
			return err
		}
	}
	return a.start(ctx, c, a, dirs)
}

// program is one of the addon's programs with the command that runs it.
func (a Addon) program(name string, command ...string) local.Program {
	for _, p := range a.Programs {
		if p.Name == name {
			p.Command = command
			return p
		}
	}
	return local.Program{Name: name, Command: command} // without a health to wait for it never starts, and says so
}

//go:embed files
var files embed.FS

// settings are what the templates in files/ may use.
type settings struct{ NodeIP string }

func render(name string) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(files, "files/"+name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, settings{NodeIP: local.NodeIP}); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// place renders a template into a directory of the cluster's state.
func place(dir, name string) (string, error) {
	content, err := render(name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, content, 0o644)
}
