// Package config reads the service's settings from the environment.
//
// Every value is parsed strictly: a bad one is an error that names the variable
// and the remedy, and all errors are reported at once. A role is asked only for
// what it needs. The package imports nothing but the standard library; it must
// never connect to anything.
package config
