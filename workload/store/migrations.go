package store

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Phase of a migration. Expand migrations only add, so the release before them
// goes on working; contract migrations take away what no live release uses.
type Phase string

// The two phases.
const (
	Expand   Phase = "expand"
	Contract Phase = "contract"
)

// ParsePhase accepts the name of a phase.
func ParsePhase(s string) (Phase, error) {
	if p := Phase(s); p == Expand || p == Contract {
		return p, nil
	}
	return "", fmt.Errorf("phase %q is not known: use expand or contract", s)
}

// migration is one embedded file.
type migration struct {
	name    string // base name, for example 0002_tasks.sql
	path    string
	version int64
	phase   Phase
	// oldest is, for a contract migration, the oldest level of a program that
	// works after it: the header's oldest=.
	oldest int64
	text   string
}

// destructive reports whether a migration takes anything away: a contract
// migration by its nature, an expand migration by what it says.
func (m migration) destructive() bool { return m.phase == Contract || TakesAway(m.text) != "" }

var (
	sqlComment = regexp.MustCompile(`(?m)--.*$`)
	takingAway = regexp.MustCompile(`(?i)\b(DROP|RENAME|TRUNCATE|DELETE\s+FROM|ALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE|SET\s+NOT\s+NULL)\b`)
)

// TakesAway returns the first words of a migration's way up that remove,
// rename or narrow what an older release may use; empty if there are none.
func TakesAway(text string) string {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	return takingAway.FindString(sqlComment.ReplaceAllString(up, ""))
}

// loadMigrations reads the files of both phases, in order of their versions.
func loadMigrations(files fs.FS) ([]migration, error) {
	var all []migration
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".sql" {
			return err
		}
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read migration %s: %w", name, err)
		}
		m, err := parseMigration(name, raw)
		all = append(all, m)
		return err
	})
	slices.SortFunc(all, func(a, b migration) int { return cmp.Compare(a.version, b.version) })
	return all, err
}

// parseMigration reads the header: "-- +englog phase=expand" or
// "-- +englog phase=contract oldest=<level>".
func parseMigration(name string, raw []byte) (migration, error) {
	m := migration{name: path.Base(name), path: name, text: string(raw)}
	number, _, _ := strings.Cut(m.name, "_")
	var err error
	if m.version, err = strconv.ParseInt(number, 10, 64); err != nil {
		return m, fmt.Errorf("migration %s: its name must begin with a number", name)
	}
	line, err := bufio.NewReader(bytes.NewReader(raw)).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "-- +englog ") {
		return m, fmt.Errorf("migration %s: the first line must be -- +englog phase=expand|contract", name)
	}
	for _, field := range strings.Fields(line)[2:] {
		switch key, value, _ := strings.Cut(field, "="); key {
		case "phase":
			m.phase, err = ParsePhase(value)
		case "oldest":
			m.oldest, err = strconv.ParseInt(value, 10, 64)
		default:
			err = fmt.Errorf("unknown header field %q", key)
		}
		if err != nil {
			return m, fmt.Errorf("migration %s: %w", name, err)
		}
	}
	if m.phase == Contract && m.oldest == 0 {
		return m, fmt.Errorf("migration %s: a contract migration must say oldest=<level>", name)
	}
	return m, nil
}

// ofPhase keeps the migrations of one phase.
func ofPhase(all []migration, phase Phase) (some []migration) {
	for _, m := range all {
		if m.phase == phase {
			some = append(some, m)
		}
	}
	return some
}

// Level is the level of this build: the newest expand migration it embeds. The
// build also needs that level, for its queries name every column.
func Level() int64 {
	all, err := loadMigrations(migrationFiles)
	if err != nil {
		panic(err) //nolint:forbidigo // embedded files, and a test loads the same
	}
	expand := ofPhase(all, Expand)
	return expand[len(expand)-1].version
}

// fileSet shows some migrations as the directory that goose reads.
type fileSet struct {
	files fs.FS
	list  []migration
}

// Open opens a migration by its base name.
func (s fileSet) Open(name string) (fs.File, error) {
	for _, m := range s.list {
		if m.name == name {
			return s.files.Open(m.path)
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir lists the migrations.
func (s fileSet) ReadDir(string) ([]fs.DirEntry, error) {
	var entries []fs.DirEntry
	for _, m := range s.list {
		info, err := fs.Stat(s.files, m.path)
		if err != nil {
			return nil, fmt.Errorf("list migrations: %w", err)
		}
		entries = append(entries, fs.FileInfoToDirEntry(info))
	}
	return entries, nil
}

// Stat answers for the directory itself.
func (s fileSet) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		return fs.Stat(s.files, ".")
	}
	f, err := s.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return f.Stat()
}
