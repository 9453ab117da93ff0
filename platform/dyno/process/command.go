package process

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"niwa/platform/dyno"
	"niwa/platform/dyno/home"
)

// startup runs in the dyno's shell, which is $0, before the command, which is
// $1. As on Heroku .profile.d/*.sh and then .profile can set up what the
// command finds (https://devcenter.heroku.com/articles/dynos#startup). The
// command takes the shell's place, so that a signal reaches it and its exit is
// the dyno's. The umask keeps what apps write in shared places like /tmp from
// one another.
const startup = `umask 077
niwa_command=$1
for niwa_file in "$HOME"/.profile.d/*.sh "$HOME"/.profile; do
	if [ -r "$niwa_file" ]; then . "$niwa_file"; fi
done
exec "$0" -c "$niwa_command"`

// command makes what runs the dyno, but for its input and output.
func command(spec dyno.Spec, h *home.Home, port int, path string) *exec.Cmd {
	sh := shell()
	cmd := exec.Command(sh, "-c", startup, sh, spec.Command)
	cmd.Dir = h.Work
	cmd.Env = []string{"PATH=" + path, "TMPDIR=" + h.Tmp}
	for name, value := range spec.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if port != 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("PORT=%d", port))
	}
	cmd.Env = append(cmd.Env, "HOME="+h.Work) // the last of a name counts
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		id := uint32(spec.UID)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id} // and no further groups
	}
	return cmd
}

// shell is bash, as on Heroku, where this machine has it.
func shell() string {
	for _, path := range []string{"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return "/bin/sh"
}
