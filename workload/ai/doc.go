// Package ai asks models about entries: OpenAI, Azure OpenAI and Ollama over the OpenAI wire format, and Builtin, which
// needs no network and always gives the same answer.
//
// What a model answers is data. It is cut to a schema, clipped and cleaned before anyone else sees it, and what an entry says
// is handed to the model as data as well, never as instructions.
//
// The package must never import a database driver, a Redis client, package store or package redisx.
package ai
