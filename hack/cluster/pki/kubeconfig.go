package pki

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster: {server: %[2]q, certificate-authority-data: %[3]s}
users:
- name: %[4]s
  user: {client-certificate-data: %[5]s, client-key-data: %[6]s}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[4]s}
current-context: %[1]s
`

// Kubeconfig writes a self-contained kubeconfig of an issued identity.
func (a *Authority) Kubeconfig(path, cluster, server, identity string) error {
	var data [3]string
	for i, name := range []string{"ca.crt", identity + ".crt", identity + ".key"} {
		content, err := os.ReadFile(filepath.Join(a.dir, name))
		if err != nil {
			return err
		}
		data[i] = base64.StdEncoding.EncodeToString(content)
	}
	text := fmt.Sprintf(kubeconfig, cluster, server, data[0], identity, data[1], data[2])
	return os.WriteFile(path, []byte(text), 0o600)
}
