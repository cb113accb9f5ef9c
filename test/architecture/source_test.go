package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	maxFileLines     = 600
	maxFunctionLines = 100
	// The median of product functions stays below this: most of a reader's time goes into the middle of the field.
	maxMedianLines = 10
)

type goPackage struct {
	ImportPath string
	Dir        string
	Name       string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// room is the package path below the module: "controllers/plan".
func (p goPackage) room() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// listPackages asks the go command for every package of the root module, those that do not compile included.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Name,GoFiles,Imports,Deps", "./...")
	command.Dir = root(t)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var pkg goPackage
		switch err := decoder.Decode(&pkg); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatalf("decode the output of go list: %v", err)
		}
		packages = append(packages, pkg)
	}
}

// A sourceFile is one parsed Go file of ours.
type sourceFile struct {
	path   string // below the root
	room   string
	test   bool
	fset   *token.FileSet
	syntax *ast.File
}

// sources parses every Go file of the tree that a person wrote.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	for _, path := range trackedFiles(t) {
		if filepath.Ext(path) != ".go" {
			continue
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, filepath.Join(root(t), path), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%s does not parse: %v", path, err)
			continue
		}
		if ast.IsGenerated(syntax) {
			continue
		}
		files = append(files, sourceFile{
			path: path, room: filepath.ToSlash(filepath.Dir(path)),
			test: strings.HasSuffix(path, "_test.go"), fset: fset, syntax: syntax,
		})
	}
	return files
}

func (f sourceFile) lines() int { return f.fset.File(f.syntax.Pos()).LineCount() }

func (f sourceFile) at(node ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(node.Pos()).Line)
}

// A callLaw forbids functions of the standard library in some rooms.
type callLaw struct {
	rooms     []string
	except    []string
	importing string
	calls     []string // empty: none may be called
	because   string
}

var callLaws = []callLaw{
	{
		rooms: pureRooms, importing: "time",
		calls:   []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"},
		because: "a decision is given the time; one that reads a clock cannot be replayed",
	},
	{
		rooms: []string{"controllers/..."}, importing: "context", calls: []string{"Background", "TODO"},
		because: "work that does not carry the reconcile's context outlives the leader that started it",
	},
	{
		rooms: []string{"controllers/...", "workload/..."}, except: besideProduct, importing: "time", calls: []string{"Sleep"},
		because: "a sleep cannot be canceled: wait on a context, a timer or a condition",
	},
	{
		rooms: []string{"api/...", "controllers/...", "workload/...", "cmd/..."}, importing: "sort",
		because: "package slices does the same typed, without reflection",
	},
}

func TestForbiddenCalls(t *testing.T) {
	for _, file := range sources(t) {
		if file.test {
			continue
		}
		for _, law := range callLaws {
			for _, call := range law.offenses(file) {
				t.Errorf("%s\n\tbecause: %s", call, law.because)
			}
		}
	}
}

func TestForbiddenCallsBite(t *testing.T) {
	for _, law := range callLaws {
		call := "Strings"
		if len(law.calls) > 0 {
			call = law.calls[0]
		}
		text := fmt.Sprintf("package p\n\nimport renamed %q\n\nvar x = renamed.%s\n", law.importing, call)
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, "p.go", text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, room := range law.rooms {
			file := sourceFile{path: "p.go", room: strings.TrimSuffix(room, "/..."), fset: fset, syntax: syntax}
			if len(law.offenses(file)) != 1 {
				t.Errorf("%s.%s is not noticed in %s", law.importing, call, room)
			}
		}
	}
}

func (l callLaw) offenses(file sourceFile) []string {
	name := localName(file.syntax, l.importing)
	if name == "" || !within(file.room, l.rooms) || within(file.room, l.except) {
		return nil
	}
	var found []string
	ast.Inspect(file.syntax, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if receiver, ok := selector.X.(*ast.Ident); ok && receiver.Name == name &&
			(len(l.calls) == 0 || slices.Contains(l.calls, selector.Sel.Name)) {
			found = append(found, fmt.Sprintf("%s uses %s.%s", file.at(selector), l.importing, selector.Sel.Name))
		}
		return true
	})
	return found
}

// localName is the name a file knows an import by, or "" where it does not import it.
func localName(file *ast.File, path string) string {
	for _, spec := range file.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err != nil || imported != path {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path[strings.LastIndex(path, "/")+1:]
	}
	return ""
}

func TestFileLength(t *testing.T) {
	for _, file := range sources(t) {
		if lines := file.lines(); lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: is it one room, or two?", file.path, lines, maxFileLines)
		}
	}
}

func TestFunctionLength(t *testing.T) {
	var lengths []int
	for _, file := range sources(t) {
		for _, declaration := range file.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			lines := file.fset.Position(function.End()).Line - file.fset.Position(function.Pos()).Line + 1
			if lines > maxFunctionLines && !file.test { // a test's table is one function, and easy to read
				t.Errorf("%s: %s has %d lines, more than %d: name its steps", file.at(function), function.Name.Name, lines, maxFunctionLines)
			}
			if !file.test && within(file.room, product) && !within(file.room, besideProduct) {
				lengths = append(lengths, lines)
			}
		}
	}
	// With a handful of functions the median says nothing.
	slices.Sort(lengths)
	if len(lengths) >= 50 && lengths[len(lengths)/2] >= maxMedianLines {
		t.Errorf("the median of %d product functions is %d lines; keep it below %d", len(lengths), lengths[len(lengths)/2], maxMedianLines)
	}
}

// saysLimit finds the sentence of a package comment that limits what the package may import or do.
var saysLimit = regexp.MustCompile(`(?i)\bimports?(ed)?\b|\bmust\s+(never|not)\b`)

func TestPackageComments(t *testing.T) {
	comments, commands := map[string]string{}, map[string]bool{}
	for _, file := range sources(t) {
		if !file.test {
			comments[file.room] += file.syntax.Doc.Text()
			commands[file.room] = file.syntax.Name.Name == "main"
		}
	}
	for room, comment := range comments {
		switch {
		case comment == "":
			t.Errorf("%s has no package comment: say what it is for and what it must never import or do", room)
		case !commands[room] && !saysLimit.MatchString(comment): // a command is the place where everything meets
			t.Errorf("the package comment of %s does not say what it must never import or do", room)
		}
	}
}

func TestPackageNames(t *testing.T) {
	// A name that says nothing collects what nobody knew where to put.
	vague := []string{"util", "utils", "common", "helper", "helpers", "models", "misc", "shared"}
	for _, file := range sources(t) {
		if name := strings.TrimSuffix(file.syntax.Name.Name, "_test"); slices.Contains(vague, name) {
			t.Errorf("%s: package %s: name the package after what it provides", file.path, name)
		}
	}
}
