// Package specs makes EngLogInstances at random that the API server accepts. It walks from one accepted spec to the next by changing one field
// at a time, and asks the API server's own validation, linked in, about each: so it reaches every field and every combination that the
// schema and its rules let through, thousands a minute and without a cluster. A seed always gives the same instance.
//
// It must never be imported by the product.
package specs
