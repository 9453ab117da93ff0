//go:build !linux

package pid1

import (
	"errors"
	"os"
)

// ownGroup says whether the command leads a group of its own. What leaves its
// parents here is found by this process's group alone.
const ownGroup = false

func self() (string, error) { return os.Executable() }

// renounce has nothing to give up.
func renounce() error { return nil }

// limitProcesses is for a namespace.
func limitProcesses(int) error { return nil }

// unread is not asked for, so that the dyno does not wait for a niwa that may
// have gone: others could hold the pipe open, and fill it.
func unread(*os.File) int { return 0 }

func (s *Sandbox) enter() error { return errors.New("only Linux has namespaces") }
