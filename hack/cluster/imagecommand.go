package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/garnizeh/englog-operator/hack/cluster/image"
)

const (
	loadArgs = "NAME:TAG BINARY [--entrypoint /PATH] [--user UID:GID] [--env NAME=VALUE]... [--file FROM:/PATH]..."
	loadHelp = "make an image from a static binary, with this machine's CA certificates, and load it into the node"
)

func loadImage(ctx context.Context, args []string) error {
	i, err := parseImage(args)
	if err != nil {
		return err
	}
	c, err := running()
	if err != nil {
		return err
	}
	return c.Load(ctx, i)
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string         { return strings.Join(*l, ",") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

func parseImage(args []string) (image.Image, error) {
	var files, env list
	flags := flag.NewFlagSet("load-image", flag.ContinueOnError)
	entrypoint := flags.String("entrypoint", "", "path of the binary in the image; default: / and its name")
	user := flags.String("user", "1000:1000", "numeric user and group that it runs as")
	flags.Var(&files, "file", "FROM:/PATH of a further file")
	flags.Var(&env, "env", "NAME=VALUE in the environment")
	rest, err := interspersed(flags, args)
	if err != nil {
		return image.Image{}, err
	}
	if len(rest) != 2 {
		return image.Image{}, usage("load-image wants a name and a binary")
	}
	if *entrypoint == "" {
		*entrypoint = "/" + rest[1][strings.LastIndexByte(rest[1], '/')+1:]
	}
	content, err := contents(files)
	if err != nil {
		return image.Image{}, err
	}
	content = append(content, image.File{Path: *entrypoint, From: rest[1], Mode: 0o755})
	return image.Image{Name: rest[0], Files: content, Entrypoint: []string{*entrypoint}, User: *user, Env: env}, nil
}

// contents are the further files and the CA certificates, where Go programs look for them.
func contents(files []string) ([]image.File, error) {
	var all []image.File
	const certificates = "/etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat(certificates); err == nil {
		all = append(all, image.File{Path: certificates, From: certificates, Mode: 0o644})
	}
	for _, text := range files {
		from, path, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("--file %q: want FROM:/PATH", text)
		}
		info, err := os.Stat(from)
		if err != nil {
			return nil, err
		}
		all = append(all, image.File{Path: path, From: from, Mode: int64(info.Mode().Perm())})
	}
	return all, nil
}

// interspersed parses flags before, between and after the other arguments, and gives those.
func interspersed(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, exitError{err, 2}
		}
		if flags.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, flags.Arg(0))
		args = flags.Args()[1:]
	}
}
