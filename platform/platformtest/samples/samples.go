// Package samples has the sample app of each language pushed to a platform, on
// each runtime, and holds it to its contract there, while its data servers are
// killed. What else an app must outlive, package apptest does to it without a
// platform.
package samples
