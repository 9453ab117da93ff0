package engine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// User is who servers run as: whoever runs niwa, unless that is root, because
// PostgreSQL refuses to run as root and no data service needs it.
type User struct {
	Name     string
	uid, gid int
	drop     bool // niwa is root and gives the server less
}

// ServerUser finds the user. It has to be one that the system knows:
// PostgreSQL looks its own name up.
func ServerUser() (User, error) {
	if os.Geteuid() != 0 {
		return User{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "redis", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			continue
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			continue
		}
		return User{Name: name, uid: uid, gid: gid, drop: true}, nil
	}
	return User{}, errors.New("as root, data services run as the user postgres, redis or nobody, and this system has none of them; add one with useradd --system postgres")
}

// Own gives files to the user.
func (u User) Own(paths ...string) error {
	if !u.drop {
		return nil
	}
	for _, path := range paths {
		if err := os.Lchown(path, u.uid, u.gid); err != nil {
			return err
		}
	}
	return nil
}

// MkdirAll makes a directory that is the user's and nobody else's.
func (u User) MkdirAll(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return u.Own(dir)
}

// CheckReach says whether the user can pass through the directories above dir.
// Root's own home, for one, lets nobody through.
func (u User) CheckReach(dir string) error {
	if !u.drop {
		return nil
	}
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		info, err := os.Stat(up)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		mode := info.Mode().Perm()
		switch {
		case mode&0o001 != 0:
		case ok && int(stat.Uid) == u.uid && mode&0o100 != 0:
		case ok && int(stat.Gid) == u.gid && mode&0o010 != 0:
		default:
			return fmt.Errorf("data services run as the user %s, who may not enter %s: use a data directory elsewhere (--data /var/lib/niwa), or chmod o+x %s", u.Name, up, up)
		}
		if up == filepath.Dir(up) {
			return nil
		}
	}
}

// Command is a program to be run as the user in a directory of theirs. Of
// niwa's environment it gets PATH alone.
func (u User) Command(dir, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "TZ=UTC"}
	if u.drop {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid)}}
	}
	return cmd
}
