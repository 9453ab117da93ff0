package process

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"niwa/platform/dyno"
	"niwa/platform/dyno/pid1"
)

// sandbox is what a dyno sees of the machine: what any does, and its own.
func (h *host) sandbox(d *instance, spec dyno.Spec, path string) *pid1.Sandbox {
	s := &pid1.Sandbox{Root: d.home.Dir}
	show := func(from, to string, write bool) {
		s.Mounts = append(s.Mounts, pid1.Mount{From: from, To: to, Write: write})
	}
	for _, tmp := range tmps() {
		show(d.home.Tmp, tmp, true)
		s.Mounts = append(s.Mounts, h.below(tmp, prefixes(tmp, path))...)
	}
	s.Mounts = append(s.Mounts, h.covers(path)...)
	show(d.home.App, "/app", true)
	if spec.Dir != "" { // third-party buildpacks write to /app all the same
		show(d.home.Work, d.home.Work, true)
	}
	if spec.Limits.Memory > 0 {
		show(d.home.MemInfo, "/proc/meminfo", false)
	}
	if spec.Limits.Memory > 0 && d.group != nil { // it may use more, but is not to plan on it
		for _, file := range d.group.LimitFiles() {
			show(d.home.MemLimit, file, false)
		}
	}
	return s
}

// runtimeDirs are where the services of a machine have their sockets. Some
// would do for niwa's user what niwa keeps its dynos from.
func runtimeDirs() []string { return []string{"/run", "/var/run"} }

// needed is what programs use of runtimeDirs: the addresses of name servers,
// and on some systems the programs themselves.
func needed() []string {
	return []string{"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/connman", "/run/nscd", "/run/current-system"}
}

// covers hide what no dyno is to see, but what Config.Show names. Where path,
// which is where a dyno's programs are, leads into what is hidden, as it does
// into people's homes, the folder above the bin stays too.
func (h *host) covers(path string) []pid1.Mount {
	var mounts []pid1.Mount
	for _, hidden := range h.hide {
		mounts = append(mounts, pid1.Mount{To: hidden})
		mounts = append(mounts, h.below(hidden, append(prefixes(hidden, path), h.show...))...)
	}
	return mounts
}

// prefixes are the folders that hold the bins of a PATH.
func prefixes(hidden, path string) (dirs []string) {
	for _, bin := range filepath.SplitList(path) {
		dir := filepath.Dir(filepath.Clean(bin))
		if dir == hidden {
			dir = bin
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// below shows those paths that are in a hidden folder, by either of their
// names. What is hidden in them is hidden later by its own name, and here by
// the other.
func (h *host) below(hidden string, paths []string) (mounts []pid1.Mount) {
	seen := map[string]bool{}
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue // there is nothing
		}
		for _, name := range []string{filepath.Clean(path), real} {
			if !strings.HasPrefix(name, hidden+"/") || seen[name] || !h.reachable(real) {
				continue
			}
			seen[name] = true
			mounts = append(mounts, pid1.Mount{From: name, To: name})
			for _, inner := range h.hide {
				if rest, ok := strings.CutPrefix(inner, real+"/"); ok && name != real {
					mounts = append(mounts, pid1.Mount{To: filepath.Join(name, rest)})
				}
			}
		}
	}
	return mounts
}

// reachable says whether dynos could get to a path if nothing were hidden. As
// root niwa itself can get everywhere, and would let them in.
func (h *host) reachable(path string) bool {
	for dir := filepath.Dir(path); h.root && dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			return false
		}
	}
	return true
}

// tmps are the folders that each dyno has its own of.
func tmps() []string { return []string{"/tmp", "/var/tmp"} }

// resolved are the paths without links, each once, and only what is there and
// not the dyno's own in any case.
func resolved(paths []string) (all []string) {
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if err == nil && !slices.Contains(all, real) && !slices.Contains(tmps(), real) {
			all = append(all, real)
		}
	}
	return all
}
