package rig

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// GatewayCRDs are the definitions of the Gateway API, standard channel, as the module brings them; for Options.CRDPaths.
func GatewayCRDs() []string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return nil
	}
	return []string{filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "standard")}
}
