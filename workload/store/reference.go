package store

import (
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// ReferenceQueries are the statements behind the four commonest operations, for
// a benchmark that runs them without the service: get, list, create, search.
func ReferenceQueries() map[string]string {
	search, _ := findSQL(uuid.Nil, englog.EntryQuery{Text: "x", Limit: englog.DefaultPageSize})
	return map[string]string{"get": entrySQL, "list": listEntriesSQL, "create": createEntrySQL, "search": search}
}

// ReferenceArgs counts the parameters of the create statement.
func ReferenceArgs() int {
	args, _, _ := insertTasksArgs(englog.NewTasks{Kinds: englog.EntryTaskKinds(), Debounce: time.Second})
	return entryArgCount + len(args)
}
