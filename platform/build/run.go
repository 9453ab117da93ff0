package build

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"time"

	"github.com/google/uuid"

	"niwa/platform/dyno"
)

//go:embed step.sh
var stepScript []byte

// stopGrace is how long a program that has to end is given to do so.
const stopGrace = 3 * time.Second

// run runs a step, which step.sh knows, in a dyno of its own and returns its
// exit status. When it returns nothing of the dyno runs.
func (j *job) run(ctx context.Context, step string, env map[string]string) (int, error) {
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	id := uuid.NewString()
	_, err := j.cfg.Runner.Start(ctx, dyno.Spec{
		ID:      id,
		App:     j.req.AppID,
		UID:     j.req.UID,
		Dir:     j.dir,
		Command: "exec bash ./step " + step,
		Env:     j.environment(env),
		Output:  j.out,
	})
	if err != nil {
		return 0, fmt.Errorf("starting a build dyno: %w", err)
	}
	exit, err := j.cfg.Runner.Wait(ctx, id)
	if err != nil {
		// What it left running must not write to what is read next.
		err = errors.Join(err, j.stop(ctx, id))
		if cause := context.Cause(ctx); cause != nil {
			return 0, cause
		}
		return 0, fmt.Errorf("build dyno: %w", err)
	}
	return exit.Code, nil
}

// stop ends a dyno and waits for the last of its output.
func (j *job) stop(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace+10*time.Second)
	defer cancel()
	if err := j.cfg.Runner.Stop(ctx, id, stopGrace); err != nil {
		return err
	}
	_, err := j.cfg.Runner.Wait(ctx, id)
	return err
}

// environment is all that build programs find in theirs.
func (j *job) environment(extra map[string]string) map[string]string {
	env := maps.Clone(j.cfg.MachineEnv)
	if env == nil {
		env = map[string]string{}
	}
	env["STACK"] = j.req.Stack
	env["SOURCE_VERSION"] = j.req.Version
	env["REQUEST_ID"] = j.req.ID
	maps.Copy(env, extra)
	return env
}

// said is what a program of a buildpack left for the builder, its standard
// output; nothing, and false, where the program was not asked, or said no.
func (j *job) said(program string, p pack) (text []byte, asked bool, err error) {
	text, err = readRegular(j.root, path.Join("out", fmt.Sprintf("%s-%d", program, p.n)), 256<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return text, true, err
}
