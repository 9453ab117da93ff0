// Package route is the routing table: which app a Host belongs to and where
// its web dynos are. A Table is immutable; Live holds the one in use, swaps
// it whole and keeps the last good one on disk, so that the router starts
// and goes on without the control plane.
package route
