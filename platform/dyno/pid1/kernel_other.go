//go:build !linux

package pid1

import (
	"errors"
	"os"
)

func self() (string, error) { return os.Executable() }

// renounce has nothing to give up.
func renounce() error { return nil }

// limitProcesses is for a namespace.
func limitProcesses(int) error { return nil }

// killOthers cannot know them: niwa finds them when this process has ended.
func killOthers() {}

// unread is not asked for, so that the dyno does not wait for a niwa that may
// have gone: others could hold the pipe open, and fill it.
func unread(*os.File) int { return 0 }

func (s *Sandbox) enter() error { return errors.New("only Linux has namespaces") }
