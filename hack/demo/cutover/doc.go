// Package cutover takes the whole system through one blue-green cutover under load, on a real cluster, and counts what
// users would have noticed: cluster, images, operator, instance, load, new version, summary. The demo shows it to a
// person, the end-to-end tests assert on it.
//
// It sees the operator as a user does, through the Kubernetes API and the live Service; it must import neither
// controllers nor workload.
package cutover
