package pid1

import (
	"debug/elf"
	"fmt"
	"os"
)

// Program is the path of this program, for a container to have it as
// /niwa-pid1 or under another path that ends in Name. An error says that it
// could not run there: a program that is linked dynamically needs the very C
// library of this machine, and tells of the lack as "no such file or
// directory".
func Program() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s cannot run in a Linux container: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is linked dynamically and does not run in every container; build it with `make build`, or CGO_ENABLED=0", path)
		}
	}
	return path, nil
}
