// Package stores runs the scripts of Managed stores on real servers. It must never import the product: it runs what a pod would run.
package stores

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// session starts the script as a pod does, without root, in namespaces of its own since its port and /tmp are fixed, and asks as each role.
// Each line of its output is a label and what psql said.
const session = `
mount -t tmpfs tmpfs /tmp && chmod 1777 /tmp && ip link set lo up || exit 99
run() { setpriv --reuid "$ACCOUNT" --regid "$ACCOUNT" --clear-groups sh "$SCRIPT" "$@"; }
run & server=$!
n=0; until run ready; do n=$((n+1)); [ $n -lt 200 ] || exit 98; sleep 0.1; done
as() { echo "$1: $(PGPASSWORD=$(cat "$CREDENTIALS/$3") psql -h 127.0.0.1 -U "$2" -d englog -v ON_ERROR_STOP=1 -Atqc "$4" 2>&1 | tr '\n' ' ')"; }
user=$(cat "$CREDENTIALS/username")
as migrate englog_owner ownerPassword "CREATE TABLE entry (id bigserial PRIMARY KEY, body text)"
as rows "$user" password "INSERT INTO entry (body) VALUES ('a'); UPDATE entry SET body = 'b'; SELECT body FROM entry; DELETE FROM entry"
as create "$user" password "CREATE TABLE mine (id int)"
as drop "$user" password "DROP TABLE entry"
as role "$user" password "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
as read_files "$user" password "SELECT pg_read_file('/etc/passwd')"
as wrong "$user" ownerPassword "SELECT 1"
as rotate postgres superuserPassword "CREATE ROLE second LOGIN PASSWORD '$(cat "$CREDENTIALS/password")' IN ROLE \"$user\"; ALTER ROLE second SET role = '$user'"
as shut_out postgres superuserPassword "ALTER ROLE \"$user\" NOLOGIN"
as first "$user" password "SELECT 1"
as second second password "INSERT INTO entry (body) VALUES ('c'); SELECT body || current_user FROM entry"
run stop; wait $server
`

// account is the user that the servers of Debian run as.
const account = "postgres"

// The service's role is the one that the credentials name; how-to/rotate-secrets.md lets a second one in for it.
func TestPostgreSQLRoles(t *testing.T) {
	t.Log("covers X49 X35")
	for _, user := range []string{"englog", "journal-2_b"} {
		t.Run(user, func(t *testing.T) { roles(t, user) })
	}
}

func roles(t *testing.T, user string) {
	t.Helper()
	bin, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(bin) == 0 || os.Geteuid() != 0 {
		t.Skip("needs root and PostgreSQL as Debian installs it")
	}
	major := strings.Split(bin[0], "/")[4]
	dir, err := os.MkdirTemp("/var/tmp", "englog-store-") //nolint:usetesting // /tmp is another one in there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is in a temporary directory
	script, err := filepath.Abs("../../controllers/render/scripts/postgresql.sh")
	if err != nil {
		t.Fatal(err)
	}
	prepare(t, dir, script, user)
	command := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", session)
	command.Dir = dir // the checkout may be below /tmp, which is another one in there
	command.Env = append(os.Environ(), "DATA="+dir+"/data/data", "CREDENTIALS="+dir+"/credentials", "SCRIPT="+dir+"/start.sh", "MAJOR="+major, "MAX_CONNECTIONS=20",
		"ACCOUNT="+account)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	for label, want := range map[string]string{
		"migrate": "", "rows": "b", "create": "permission denied for schema public", "drop": "must be owner of table entry", "role": "f|f|f",
		"read_files": "permission denied", "wrong": "password authentication failed", "rotate": "", "shut_out": "",
		"first": "is not permitted to log in", "second": "c" + user,
	} {
		said, found := answer(string(output), label)
		if !found || want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%s: %q, not %q", label, said, want)
		}
	}
	if t.Failed() {
		t.Logf("%s", output)
	}
}

func answer(output, label string) (string, bool) {
	for line := range strings.Lines(output) {
		if said, ok := strings.CutPrefix(line, label+": "); ok {
			return strings.TrimSpace(said), true
		}
	}
	return "", false
}

// prepare lays out what a pod has mounted.
func prepare(t *testing.T, dir, script, user string) {
	t.Helper()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"start.sh": string(text), "credentials/username": user, "credentials/password": "service-password_1", "credentials/ownerPassword": "owner-password_2",
		"credentials/superuserPassword": "superuser-password_3",
	}
	for _, sub := range []string{"credentials", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "chown", "-R", account, filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
