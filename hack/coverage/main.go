// Command coverage says which row of the requirements is shown by which test. It runs the tests and believes only those that ran and passed: their
// names carry the ids of rows, or they print a line that begins with "covers".
//
//	go run ./hack/coverage                           runs the tests and writes docs/coverage.md
//	go test -json ./... | go run ./hack/coverage -   reads what tests have said instead
//
// It ends with 1 when a test fails, or when a row has no test, and no sentence where a sentence is enough. It must never import a package of the
// product.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	output := flag.String("o", "docs/coverage.md", "the table that is written")
	flag.Parse()
	var (
		results results
		err     error
	)
	if flag.Arg(0) == "-" {
		results, err = read(os.Stdin)
	} else {
		results, err = runTests(os.Stderr)
	}
	if err == nil {
		err = conclude(results, *output)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
	fmt.Printf("%d rows, %d of them shown by tests; the table is in %s\n", len(rows()), len(rows())-answered(results.shown()), *output)
}

// conclude writes the table, and fails when it has gaps or when a test has failed.
func conclude(r results, output string) error {
	table, missing := tabulate(r.shown())
	if err := os.WriteFile(output, []byte(table), 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	switch {
	case len(r.failed) > 0:
		return fmt.Errorf("%d tests failed, the first is %s", len(r.failed), r.failed[0])
	case len(missing) > 0:
		return fmt.Errorf("no test shows %v: let one print a line \"covers <id>\" or carry the id in its name", missing)
	}
	return nil
}

// answered counts the rows that have a sentence and no test.
func answered(shown map[string][]test) int {
	n := 0
	for id := range sentences {
		if len(shown[id]) == 0 {
			n++
		}
	}
	return n
}
