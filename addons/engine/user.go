package engine

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
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
		if err := os.Chown(path, u.uid, u.gid); err != nil {
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
