package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"niwa/platform/dyno/pid1"
	"niwa/platform/dyno/process/cgroup"
)

// host is what this machine lets niwa do for its dynos.
type host struct {
	root      bool
	userns    bool     // namespaces are made in a user namespace, which needs no right
	contained error    // nil when dynos have namespaces, or why they cannot
	hide      []string // what no dyno sees
	show      []string // what it sees of that all the same
	groups    *cgroup.Tree
	ungrouped error // why there are no groups
}

// examine finds out, and makes the folder for dynos.
func (r *Runner) examine() (*host, error) {
	if filepath.Base(os.Args[0]) == pid1.Name {
		return nil, errors.New("this process was started to be the first of a dyno: its program must call pid1.Main before anything else")
	}
	var err error
	if r.cfg.Dir, err = filepath.Abs(r.cfg.Dir); err == nil {
		err = os.MkdirAll(r.cfg.Dir, 0o711)
	}
	if err == nil {
		err = os.Chmod(r.cfg.Dir, 0o711) // whatever the umask
	}
	if err != nil {
		return nil, fmt.Errorf("folder for dynos: %w", err)
	}
	h := &host{root: os.Geteuid() == 0, show: slices.Concat(r.cfg.Show, needed())}
	h.hide = resolved(slices.Concat(runtimeDirs(), r.cfg.Hide, []string{r.cfg.Dir}))
	h.userns = !h.root
	h.contained = h.try(r.cfg)
	h.userns = h.userns && h.contained == nil
	if r.cfg.Platform == "" {
		h.ungrouped = errors.New("the platform has no name")
	} else {
		h.groups, h.ungrouped = cgroup.Open(r.cfg.Platform)
	}
	return h, nil
}

// tryTime bounds the trial.
const tryTime = 20 * time.Second

// try runs something in namespaces, to see whether one can.
func (h *host) try(cfg Config) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), tryTime)
	defer cancel()
	dir, err := os.MkdirTemp(cfg.Dir, ".trial-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd, handover, err := pid1.Command(pid1.Task{Command: "exit 0", Dir: "/", UID: nobody, Sandbox: &pid1.Sandbox{Root: dir, Mounts: h.covers(cfg.Path)}})
	if err != nil {
		return err
	}
	defer handover.Close()
	h.contain(cmd, nobody)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	if err := handover.Do(ctx); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return err
	}
	return cmd.Wait()
}

// nobody is a user that has no app.
const nobody = 65534

// contain makes cmd start in namespaces; without them, as the app's user.
func (h *host) contain(cmd *exec.Cmd, uid int) {
	if h.contained == nil {
		unshare(cmd, h.userns)
	} else if h.root {
		runAs(cmd, uid)
	}
}

// gaps says what dynos are not kept from, for those who start niwa.
func (h *host) gaps() []string {
	gaps := []string{"Dynos share this machine's network: one can connect to whatever listens here, other apps' dynos included, and listen where another's is about to."}
	if h.contained != nil {
		who, remedy := "as far as their users may", ""
		if !h.root {
			who, remedy = "as niwa's own user may", "; allow unprivileged user namespaces, or start niwa as root"
		}
		gaps = append(gaps, fmt.Sprintf("Dynos see the files and processes of this machine, %s, and their /app is not /app, because there are no namespaces for them: %v%s.", who, h.contained, remedy))
	}
	if !h.root {
		gaps = append(gaps, "All dynos run as niwa's own user, because only root can give each app another; what is quicker than a dyno to listen on its port is taken for it.")
	}
	if h.groups == nil {
		gaps = append(gaps, fmt.Sprintf("The memory of dynos is looked at each second rather than limited, and none has a share of the CPU, because there are no control groups for them: %v.", h.ungrouped))
		if !h.userns {
			gaps = append(gaps, "Nothing limits the number of a dyno's processes.")
		}
	}
	return append(gaps, "Nothing limits how much of the disk a dyno fills.")
}

func runAs(cmd *exec.Cmd, uid int) {
	id := uint32(uid)
	attributes(cmd).Credential = &syscall.Credential{Uid: id, Gid: id} // and no further groups
}

func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}
