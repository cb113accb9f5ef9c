// Command coverage says which row of the requirements is shown by which test. It reads the output of `go test -json` and believes only tests
// that ran and passed: their names carry the ids of rows, or they print a line that begins with "covers".
//
//	go test -json ./... | go run ./hack/coverage -o docs/coverage.md
//
// It ends with 1 when a row has no test, and no sentence where a sentence is enough. It must never import a package of the product.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	output := flag.String("o", "docs/coverage.md", "the table that is written")
	flag.Parse()
	if err := run(os.Stdin, *output); err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, output string) error {
	results, err := read(in)
	if err != nil {
		return err
	}
	table, missing := tabulate(results.shown())
	if err := os.WriteFile(output, []byte(table), 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	switch {
	case len(results.failed) > 0:
		return fmt.Errorf("%d tests failed, the first is %s", len(results.failed), results.failed[0])
	case len(missing) > 0:
		return fmt.Errorf("no test shows %v: let one print a line \"covers <id>\" or carry the id in its name", missing)
	}
	return nil
}
