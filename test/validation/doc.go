// Package validation shows that the API server itself refuses bad EngLogInstances, with a message that names field,
// problem and remedy, that it accepts good ones, and that every variable of the service has a field in the spec. It holds
// tests only; nothing may import it, and it must never import the operator.
package validation
