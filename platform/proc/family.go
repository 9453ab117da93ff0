package proc

import (
	"os"
	"syscall"
)

// info is what the kernel says of a process.
type info struct {
	pid, ppid, pgid, sid, uid int

	start  uint64 // in a unit of the kernel's, rising
	zombie bool
	mark   string // value of NIWA_PROC
	known  bool   // whether the environment could be read and looks like one
}

// family returns what lives of the recorded children: the leaders, their
// sessions and groups, whatever carries their marks, and all descendants. An
// error says that the kernel could not be asked, and nothing about them.
func family(records ...record) ([]info, error) {
	since := ^uint64(0)
	for _, r := range records {
		since = min(since, r.Start)
	}
	all, err := list(since)
	if err != nil {
		return nil, err
	}
	in := map[int]bool{}
	for _, r := range records {
		r.adopt(all, in)
	}
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if in[p.ppid] && !in[p.pid] {
				in[p.pid], grew = true, true
			}
		}
	}
	var members []info
	for _, p := range all {
		// One that may not be signalled has become another user, by setuid.
		if in[p.pid] && !p.zombie && p.pid != os.Getpid() && syscall.Kill(p.pid, 0) != syscall.EPERM {
			members = append(members, p)
		}
	}
	return members, nil
}

// adopt puts into in what belongs to the record by itself.
//
// While the leader is there, even as a zombie, its number stands for its
// session and group. Once it is gone the number may have gone to a stranger,
// so that the mark decides; where a process has none because it writes its
// title over its environment, or may not be looked into, its user does.
func (r *record) adopt(all []info, in map[int]bool) {
	leads, reused := false, false
	for _, p := range all {
		if r.PID != 0 && p.pid == r.PID {
			leads = p.start == r.Start
			reused = !leads
		}
	}
	for _, p := range all {
		grouped := r.PID != 0 && !reused && (p.pid == r.PID || p.pgid == r.PID || p.sid == r.PID)
		switch {
		case p.start < r.Start:
		case p.known && p.mark == r.mark():
			in[p.pid] = true
		case grouped && (leads || !p.known && p.uid == r.UID):
			in[p.pid] = true
		}
	}
}

// Tell sends a signal, once, to everything that has come of this process.
func Tell(sig syscall.Signal) error {
	self, err := lookup(os.Getpid())
	if err != nil {
		return err
	}
	return strike(sig, record{PID: self.pid, Start: self.start, UID: self.uid})
}

// strike sends a signal to the whole family of the records, once. It stops
// them first, until there is no new one, because a process may be forking, or
// moving to another group. Then they go on; one that was stopped before would
// sleep through the signal. After an error none has been sent it.
func strike(sig syscall.Signal, records ...record) error {
	stopped := map[int]bool{}
	for {
		members, err := family(records...)
		if err != nil {
			for pid := range stopped {
				_ = syscall.Kill(pid, syscall.SIGCONT)
			}
			return err
		}
		fresh := false
		for _, m := range members {
			if !stopped[m.pid] && syscall.Kill(m.pid, syscall.SIGSTOP) == nil {
				stopped[m.pid], fresh = true, true
			}
		}
		if fresh {
			continue
		}
		for _, m := range members {
			_ = syscall.Kill(m.pid, sig) // gone already, at worst
		}
		for _, m := range members {
			_ = syscall.Kill(m.pid, syscall.SIGCONT)
		}
		return nil
	}
}
