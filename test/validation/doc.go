// Package validation shows that the API server itself refuses bad EngLogInstances, with a message that names field,
// problem and remedy, and accepts good ones. It holds tests only; nothing may import it, and it must never import the
// operator or the service.
package validation
