package store

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// CheckQueries prepares every query of the package against a database: a
// misspelt column is found here, whatever path the other tests take.
func CheckQueries(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for name, sql := range allQueries() {
		if _, err := conn.Prepare(context.Background(), name, sql); err != nil {
			t.Errorf("%s: %v\n%s", name, err, sql)
		}
	}
}

// TestEveryQueryIsListed finds constants and functions named …SQL that the
// PREPARE test would miss.
func TestEveryQueryIsListed(t *testing.T) {
	known := allQueries()
	for _, name := range declaredQueries(t) {
		if _, ok := known[name]; !ok {
			t.Errorf("%s is not in allQueries", name)
		}
	}
}

func declaredQueries(t *testing.T) (names []string) {
	files, _ := filepath.Glob("*.go")
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok {
				for _, id := range v.Names {
					if strings.HasSuffix(id.Name, "SQL") {
						names = append(names, id.Name)
					}
				}
			}
			return true
		})
	}
	return names
}

var star = regexp.MustCompile(`(?i)\b(SELECT|RETURNING)\s+(\w+\.)?\*|count\(\*\)`)

// TestNoStarQuery: a star query fails once on every pooled connection after
// another release added a column.
func TestNoStarQuery(t *testing.T) {
	files, _ := filepath.Glob("*.go")
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := star.Find(raw); found != nil {
			t.Errorf("%s: %q: name the columns", path, found)
		}
	}
}
