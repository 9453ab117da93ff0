// Package siege has an app attack its neighbour, the platform and the machine,
// on each runtime, and holds what succeeds to what niwa says when it starts,
// to DIVERGENCES.md and to the table in docs/escapes.md. What it does there is
// package escape.
package siege
