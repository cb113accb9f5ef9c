// Command lint is golangci-lint with the Kubernetes API linter linked in. golangci-lint loads that linter as a module
// plugin, which means a binary of one's own; this is that binary, pinned by this module's go.mod like every other tool.
//
// It must never be imported, and the product must never import anything of this module.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"
	_ "sigs.k8s.io/kube-api-linter/pkg/plugin/base"  // the linter "kubeapilinter"
	_ "sigs.k8s.io/kube-api-linter/pkg/registration" // its rules
)

const upstream = "github.com/golangci/golangci-lint/v2"

func main() {
	err := commands.Execute(commands.BuildInfo{
		GoVersion: runtime.Version(),
		Version:   linkedVersion(),
		Commit:    "module",
		Date:      "unknown",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(exitcodes.Failure)
	}
}

// linkedVersion is the golangci-lint release this binary contains: its cache and its config check ask for it.
func linkedVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == upstream {
			return dependency.Version
		}
	}
	return "unknown"
}
