//go:build !linux

package siege

import "testing"

// apart says that the test is to go on here, and not alone: only Linux has networks that are
// a program's own.
func apart(*testing.T) (ran, alone bool) { return false, false }
