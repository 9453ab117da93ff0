package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// place finds the folders below which a process may make groups: the top of
// each hierarchy as root, as container engines do, since that is the same
// wherever niwa was started from; its own group otherwise.
func place(mountinfo, own []byte, root bool) (*Tree, error) {
	paths := ownPaths(string(own))
	v1 := map[string]string{}
	for line := range strings.Lines(string(mountinfo)) {
		at, fstype, options, ok := parseMount(line)
		switch {
		case !ok:
		case fstype == "cgroup2":
			if !root {
				at = filepath.Join(at, paths[""])
			}
			if controls(at, "memory", "cpu", "pids") {
				return &Tree{version: 2, dirs: []string{at}}, nil
			}
		case fstype == "cgroup":
			for _, name := range options {
				v1[name] = at
				if !root {
					v1[name] = filepath.Join(at, paths[name])
				}
			}
		}
	}
	t := &Tree{version: 1}
	for _, name := range []string{"memory", "cpu", "pids"} {
		if v1[name] == "" {
			return nil, fmt.Errorf("there is no control group for %s here", name)
		}
		if !slices.Contains(t.dirs, v1[name]) {
			t.dirs = append(t.dirs, v1[name])
		}
	}
	if len(t.dirs) != 3 {
		return nil, errors.New("control groups for memory, cpu and pids are mounted as one")
	}
	return t, nil
}

// parseMount reads a line of mountinfo; proc_pid_mountinfo(5).
func parseMount(line string) (at, fstype string, options []string, ok bool) {
	fields := strings.Fields(line)
	dash := slices.Index(fields, "-")
	if dash < 6 || len(fields) < dash+4 {
		return "", "", nil, false
	}
	return unescape(fields[4]), fields[dash+1], strings.Split(fields[dash+3], ","), true
}

// unescape undoes what mountinfo does to spaces and the like: \040.
func unescape(path string) string {
	if text, err := strconv.Unquote(`"` + path + `"`); err == nil {
		return text
	}
	return path
}

// ownPaths reads /proc/self/cgroup into the path of each controller; version 2
// has no name. See cgroups(7).
func ownPaths(own string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(own) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 {
			for name := range strings.SplitSeq(parts[1], ",") {
				paths[name] = parts[2]
			}
		}
	}
	return paths
}

// controls says whether a group of version 2 can limit all of these.
func controls(dir string, names ...string) bool {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return false
	}
	have := strings.Fields(string(data))
	return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(have, name) })
}

// Hierarchies of version 1, as indexes of Tree.dirs. Version 2 has one.
const (
	memory = iota
	cpu
	pids
)

// setting is a file of a group and what is written to it.
type setting struct {
	dir         int
	file, value string
	optional    bool // not every kernel has it
}

func (t *Tree) settings(l Limits) []setting {
	var all []setting
	add := func(dir int, file string, value int64, optional bool) {
		if t.version == 2 {
			dir = 0
		}
		all = append(all, setting{dir, file, strconv.FormatInt(value, 10), optional})
	}
	if t.version == 1 {
		if l.Memory > 0 {
			add(memory, "memory.limit_in_bytes", l.Memory, false)
			add(memory, "memory.memsw.limit_in_bytes", l.Memory, true) // no swapping beyond it
		}
		if l.CPU > 0 {
			add(cpu, "cpu.shares", int64(max(2, l.CPU)), false)
		}
	} else {
		add(memory, "memory.oom.group", 1, true)
		if l.Memory > 0 {
			add(memory, "memory.max", l.Memory, false)
			add(memory, "memory.swap.max", 0, true)
		}
		if l.CPU > 0 {
			add(cpu, "cpu.weight", int64(min(max(1, l.CPU*100/1024), 10_000)), false) // its usual share is 100
		}
	}
	if l.Processes > 0 {
		add(pids, "pids.max", int64(l.Processes), false)
	}
	return all
}

// Memory is how many bytes the group uses, without the part of the page cache
// that the kernel takes back first.
func (g *Group) Memory() (int64, error) {
	usage, cached := "memory.usage_in_bytes", "total_inactive_file"
	if g.tree.version == 2 {
		usage, cached = "memory.current", "inactive_file"
	}
	data, err := os.ReadFile(filepath.Join(g.dir(memory), usage))
	if err != nil {
		return 0, err
	}
	used, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0, err
	}
	inactive, err := field(filepath.Join(g.dir(memory), "memory.stat"), cached)
	return max(0, used-inactive), err
}

// Exhausted says whether the kernel has killed something in the group for
// want of memory.
func (g *Group) Exhausted() bool {
	file := "memory.oom_control"
	if g.tree.version == 2 {
		file = "memory.events"
	}
	kills, err := field(filepath.Join(g.dir(memory), file), "oom_kill")
	return err == nil && kills > 0
}

// LimitFiles are where programs of the group look for how much memory they
// may use.
func (g *Group) LimitFiles() []string {
	if g.tree.version == 2 {
		return []string{filepath.Join(g.dir(memory), "memory.max")}
	}
	const file = "memory.limit_in_bytes"
	top := filepath.Dir(g.tree.dirs[memory])
	return []string{filepath.Join(g.dir(memory), file), filepath.Join(top, file)} // as seen with and without a namespace
}

// field reads a number from lines of a name and a number each.
func field(file, name string) (int64, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if got, value, _ := strings.Cut(strings.TrimSpace(line), " "); got == name {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}
