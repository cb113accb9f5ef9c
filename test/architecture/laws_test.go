// Package architecture holds the laws of this repository as tests: which room may import which, what a pure room may
// call, how long a function may grow. Each law carries its reason, and the reason is what a failure prints.
//
// It must never import a package of the product: it reads the source, so that it also judges what does not compile.
package architecture

import (
	"slices"
	"strings"
	"testing"
)

const module = "github.com/garnizeh/englog-operator"

// reach is how far a law looks from a package.
type reach int

const (
	// itself: the package's own import lines.
	itself reach = iota
	// throughOurs: its own, and those of every package of ours that it links. What libraries do inside is theirs.
	throughOurs
	// everything: all that it links.
	everything
)

// A law says which imports the packages of some rooms must not have, and why.
type law struct {
	name    string
	because string
	rooms   []string // package paths below the module; "/..." includes what is below
	except  []string // rooms that the law leaves out
	// forbids decides about one import, given without the module prefix where it is ours.
	forbids func(imported string) bool
	reach   reach
	// An import that must be refused: proof that the law bites.
	example string
}

// pureRooms decide; they are handed everything they know, the time included.
var pureRooms = []string{
	"controllers/plan/...", "controllers/guard/...", "controllers/revision/...",
	"controllers/render/...", "controllers/world/...",
}

// product is what ships; besideProduct stands in its folders and does not.
var (
	product       = []string{"api/...", "controllers/...", "cmd/...", "workload/..."}
	besideProduct = []string{"workload/testrig/...", "workload/bench/...", "workload/ai/fake/..."}
)

var laws = []law{
	{
		name:    "pure rooms see no client",
		because: "what decides must be testable as a table and enumerable by the model checker: a client would let it look at a world it was not given",
		rooms:   pureRooms, reach: throughOurs,
		forbids: func(imported string) bool {
			if under("k8s.io/client-go/applyconfigurations")(imported) {
				return false // typed values, no more
			}
			return anyOf(under("k8s.io/client-go"), under("sigs.k8s.io/controller-runtime"),
				under("controllers/observe"), under("controllers/apply"), under("controllers/probe"), under("controllers/report"))(imported)
		},
		example: "sigs.k8s.io/controller-runtime/pkg/client",
	},
	{
		name:    "pure rooms see nothing that does I/O",
		because: "files, sockets, processes, logs and randomness make the same input give two answers",
		rooms:   pureRooms, reach: throughOurs,
		forbids: anyOf(
			under("os"), only("net"), under("net/http"), only("io/ioutil"), only("syscall"), under("log"),
			under("math/rand"), only("crypto/rand"), only("database/sql"), under("k8s.io/klog"),
		),
		example: "net/http",
	},
	{
		name:    "api imports Kubernetes API packages only",
		because: "clients of the API vendor this package; whatever it imports, they carry",
		rooms:   []string{"api/..."}, except: []string{"api/v1alpha1/applyconfiguration/..."}, reach: itself,
		forbids: func(imported string) bool {
			return !standard(imported) && !anyOf(under("k8s.io/api"), under("k8s.io/apimachinery"),
				under("k8s.io/apiextensions-apiserver/pkg/apis"), under("sigs.k8s.io/gateway-api/apis"), under("api"))(imported)
		},
		example: "sigs.k8s.io/controller-runtime/pkg/scheme",
	},
	{
		name:    "api links nothing else of ours",
		because: "the types are the bottom of the house; everything stands on them",
		rooms:   []string{"api/..."}, reach: everything,
		forbids: anyOf(under("controllers"), under("workload"), under("cmd"), under("hack"), under("test")),
		example: "controllers/plan",
	},
	{
		name:    "the operator never links the service",
		because: "they meet at HTTP, termination messages and environment variables, and are upgraded apart",
		rooms:   []string{"controllers/...", "cmd/manager/...", "cmd/kubectl-englog/..."}, reach: everything,
		forbids: under("workload"), example: "workload/store",
	},
	{
		name:    "the service never links the operator",
		because: "the service runs without Kubernetes too, and must not grow its 100 packages of API types",
		rooms:   []string{"workload/...", "cmd/englog/..."}, reach: everything,
		forbids: func(imported string) bool {
			if under("sigs.k8s.io/yaml")(imported) {
				return false // a YAML library that happens to live there
			}
			return anyOf(under("controllers"), under("api"), under("k8s.io"), under("sigs.k8s.io"))(imported)
		},
		example: "controllers",
	},
	{
		name:    "the domain root links the standard library and uuid only",
		because: "the words of the domain outlive every database, queue and router",
		rooms:   []string{"workload"}, reach: everything,
		forbids: func(imported string) bool {
			return !standard(imported) && !under("github.com/google/uuid")(imported) && !only("workload")(imported)
		},
		example: "github.com/jackc/pgx/v5",
	},
	{
		name:    "the HTTP rooms never see a database driver",
		because: "a handler speaks to the domain's interfaces; SQL in a handler cannot be tested without a server",
		rooms:   []string{"workload/api/...", "workload/web/..."}, reach: everything,
		forbids: anyOf(under("github.com/jackc/pgx"), under("github.com/redis/go-redis"), under("workload/store"), under("workload/redisx")),
		example: "github.com/jackc/pgx/v5/pgxpool",
	},
	{
		name:    "store knows neither redisx nor ai",
		because: "one package per dependency: PostgreSQL must work with Redis gone and the AI away",
		rooms:   []string{"workload/store/..."}, reach: everything,
		forbids: anyOf(under("workload/redisx"), under("workload/ai"), under("github.com/redis/go-redis")), example: "workload/ai",
	},
	{
		name:    "redisx knows neither store nor ai",
		because: "one package per dependency: Redis carries ids, it does not read rows",
		rooms:   []string{"workload/redisx/..."}, reach: everything,
		forbids: anyOf(under("workload/store"), under("workload/ai"), under("github.com/jackc/pgx")), example: "workload/store",
	},
	{
		name:    "ai knows neither store nor redisx",
		because: "one package per dependency: a provider turns text into insight and keeps nothing",
		rooms:   []string{"workload/ai/..."}, reach: everything,
		forbids: anyOf(under("workload/store"), under("workload/redisx"), under("github.com/jackc/pgx"), under("github.com/redis/go-redis")),
		example: "github.com/redis/go-redis/v9",
	},
	{
		name:    "the service asks models without their makers' SDKs",
		because: "the start of a program touches pages of all that it links: OpenAI's was two fifths of it, and 10 MB of an API at rest, for one request",
		rooms:   []string{"cmd/englog/..."}, reach: everything,
		forbids: under("github.com/openai"), example: "github.com/openai/openai-go",
	},
	{
		name:    "the product links no test or development code",
		because: "what only tests need must not ship: it is weight, and attack surface",
		rooms:   product, except: besideProduct, reach: everything,
		forbids: anyOf(under("github.com/onsi/ginkgo"), under("github.com/onsi/gomega"), under("github.com/alicebob/miniredis"),
			under("pgregory.net/rapid"), under("sigs.k8s.io/controller-tools"), under("sigs.k8s.io/controller-runtime/pkg/envtest"),
			only("testing"), under("workload/testrig"), under("workload/bench"), under("workload/ai/fake"), under("test"), under("hack")),
		example: "workload/testrig",
	},
}

func TestImportLaws(t *testing.T) {
	packages := listPackages(t)
	for _, law := range laws {
		t.Run(law.name, func(t *testing.T) {
			found := law.offenses(packages)
			if len(found) == 0 {
				return
			}
			shown := found[:min(len(found), 10)] // one wrong line can link hundreds of packages
			t.Errorf("%s\n\tbecause: %s\n\t%s\n\t%d in all", law.name, law.because, strings.Join(shown, "\n\t"), len(found))
		})
	}
}

// A law that refuses nothing is a comment. This breaks each one on purpose, in every room it names.
func TestImportLawsBite(t *testing.T) {
	for _, law := range laws {
		for _, room := range law.rooms {
			path := strings.TrimSuffix(room, "/...")
			offender := goPackage{ImportPath: module + "/" + path, Imports: []string{ours(law.example)}, Deps: []string{ours(law.example)}}
			if len(law.offenses([]goPackage{offender})) != 1 {
				t.Errorf("%s: %s may import %s", law.name, path, law.example)
			}
			accomplice := goPackage{ImportPath: offender.ImportPath + "/inner", Deps: []string{offender.ImportPath}}
			if law.reach == throughOurs && len(law.offenses([]goPackage{accomplice, offender})) != 2 {
				t.Errorf("%s: %s may reach %s through another room", law.name, path, law.example)
			}
			innocent := goPackage{ImportPath: module + "/" + path, Imports: []string{"strings"}, Deps: []string{"strings"}}
			if offenses := law.offenses([]goPackage{innocent}); len(offenses) != 0 {
				t.Errorf("%s refuses the innocent: %v", law.name, offenses)
			}
		}
	}
}

func (l law) offenses(packages []goPackage) []string {
	var found []string
	for _, pkg := range packages {
		path := pkg.room()
		if !within(path, l.rooms) || within(path, l.except) {
			continue
		}
		for _, line := range l.lines(pkg, packages) {
			if l.forbids(strings.TrimPrefix(line.imported, module+"/")) {
				found = append(found, line.String())
			}
		}
	}
	return found
}

// An importLine is one import that a law looks at.
type importLine struct{ room, by, imported string }

func (l importLine) String() string {
	if l.room == l.by {
		return l.room + " imports " + l.imported
	}
	return l.room + " links " + l.by + ", which imports " + l.imported
}

// lines are the imports of a package that the law reaches.
func (l law) lines(pkg goPackage, packages []goPackage) []importLine {
	if l.reach == everything {
		return importLines(pkg.room(), pkg.room(), pkg.Deps)
	}
	lines := importLines(pkg.room(), pkg.room(), pkg.Imports)
	if l.reach == throughOurs {
		for _, other := range packages {
			if slices.Contains(pkg.Deps, other.ImportPath) {
				lines = append(lines, importLines(pkg.room(), other.room(), other.Imports)...)
			}
		}
	}
	return lines
}

func importLines(room, by string, imports []string) []importLine {
	lines := make([]importLine, 0, len(imports))
	for _, imported := range imports {
		lines = append(lines, importLine{room, by, imported})
	}
	return lines
}

// within reports whether a package path lies in one of the rooms.
func within(path string, rooms []string) bool {
	return slices.ContainsFunc(rooms, func(room string) bool {
		prefix, tree := strings.CutSuffix(room, "/...")
		return path == prefix || tree && strings.HasPrefix(path, prefix+"/")
	})
}

func only(path string) func(string) bool {
	return func(imported string) bool { return imported == path }
}

func under(path string) func(string) bool {
	return func(imported string) bool {
		return imported == path || strings.HasPrefix(imported, path+"/")
	}
}

func anyOf(matches ...func(string) bool) func(string) bool {
	return func(imported string) bool {
		return slices.ContainsFunc(matches, func(match func(string) bool) bool { return match(imported) })
	}
}

// ours puts the module in front of a room of this repository and leaves other paths alone.
func ours(path string) string {
	if within(path, []string{"api/...", "controllers/...", "cmd/...", "workload/...", "hack/...", "test/..."}) {
		return module + "/" + path
	}
	return path
}

// standard reports whether an import is of the standard library: its first element has no dot, and it is not ours.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && ours(imported) == imported
}
