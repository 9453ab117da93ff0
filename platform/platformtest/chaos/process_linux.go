package chaos

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// process is one of the machine's, as /proc shows it.
type process struct {
	pid, ppid, uid int
	start          uint64 // with pid, tells it from any other
	args, cwd      string
	mark           string // the value of NIWA_PROC, without the nonce: whose it says it is
}

func (p process) String() string {
	return fmt.Sprintf("process %d, child of %d, of user %d, marked %q, in %s: %s", p.pid, p.ppid, p.uid, p.mark, p.cwd, p.args)
}

// processes lists what runs on the machine; what ends meanwhile is left out,
// and so are remains that wait for their parent.
func processes() map[int]process {
	all := map[int]process{}
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid, _ := strconv.Atoi(filepath.Base(name))
		if p, ok := look(pid); ok {
			all[pid] = p
		}
	}
	return all
}

// look reads /proc/PID; proc_pid_stat(5) numbers the fields of stat from 1.
func look(pid int) (p process, ok bool) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return p, false
	}
	// The second field is the program's name in brackets, and may hold any byte.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if fields[0] == "Z" || fields[0] == "X" {
		return p, false
	}
	p.pid = pid
	p.ppid, _ = strconv.Atoi(fields[4-3])
	p.start, _ = strconv.ParseUint(fields[22-3], 10, 64)
	var info syscall.Stat_t
	if syscall.Stat(dir, &info) == nil {
		p.uid = int(info.Uid)
	}
	args, _ := os.ReadFile(dir + "cmdline")
	p.args = strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))
	p.cwd, _ = os.Readlink(dir + "cwd")
	environ, _ := os.ReadFile(dir + "environ")
	for kv := range strings.SplitSeq(string(environ), "\x00") {
		if value, ok := strings.CutPrefix(kv, "NIWA_PROC="); ok {
			_, p.mark, _ = strings.Cut(value, ":")
		}
	}
	if dir, id := filepath.Split(p.cwd); p.mark == "" && strings.HasSuffix(dir, "/engines/redis/") {
		p.mark = "redis-" + id // redis-server writes its title over its environment
	}
	return p, true
}

// leaders are the processes that are the first with their marks.
func leaders(all []process) map[string][]process {
	marks := map[int]string{}
	for _, p := range all {
		marks[p.pid] = p.mark
	}
	found := map[string][]process{}
	for _, p := range all {
		if p.mark != "" && marks[p.ppid] != p.mark {
			found[p.mark] = append(found[p.mark], p)
		}
	}
	return found
}

// descendants lists all that came of a process, itself excepted, parents
// before their children.
func descendants(pid int) []process {
	children := map[int][]process{}
	for _, p := range processes() {
		children[p.ppid] = append(children[p.ppid], p)
	}
	var found []process
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		found = append(found, queue[0])
		queue = append(queue, children[queue[0].pid]...)
	}
	return found
}
