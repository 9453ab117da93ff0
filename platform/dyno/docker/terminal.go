package docker

import (
	"context"
	"io"
	"sync"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"niwa/platform/dyno"
)

// terminal is niwa's side of a dyno's terminal or input, through the engine.
type terminal struct {
	conn  types.HijackedResponse
	close func() // any number of times
}

// attach connects to a container that has not been started yet. With a
// terminal its output comes this way too.
func (r *Runner) attach(ctx context.Context, d *instance) (*terminal, error) {
	tty := d.spec.TTY != nil
	conn, err := r.cfg.Engine.ContainerAttach(ctx, containerName(d.spec.ID), container.AttachOptions{Stream: true, Stdin: true, Stdout: tty, Stderr: tty})
	if err != nil {
		return nil, err
	}
	return &terminal{conn: conn, close: sync.OnceFunc(conn.Close)}, nil
}

// pump copies what the terminal shows; what it returns is closed at the end of
// it. When the output fails the rest is thrown away, so that the dyno is not
// stuck on it.
func (t *terminal) pump(w io.Writer) <-chan struct{} {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		if _, err := io.Copy(w, t.conn.Reader); err != nil {
			_, _ = io.Copy(io.Discard, t.conn.Reader) // until the dyno ends
		}
	}()
	return drained
}

// feed copies the input. Its end closes the pipe; a terminal is told by ^D, as
// a person does.
func (t *terminal) feed(spec dyno.Spec) {
	if spec.Stdin != nil {
		if _, err := io.Copy(t.conn.Conn, spec.Stdin); err != nil {
			return // the dyno has ended or does not want more
		}
	}
	if spec.TTY == nil {
		_ = t.conn.CloseWrite()
	} else if spec.Stdin != nil {
		_, _ = t.conn.Conn.Write([]byte{4})
	}
}

// resize tells a dyno's terminal its new sizes.
func (r *Runner) resize(d *instance) {
	for {
		select {
		case size := <-d.spec.TTY.Resized:
			ctx, cancel := context.WithTimeout(r.ctx, callTime)
			// A size that does not arrive is corrected by the next.
			_ = r.cfg.Engine.ContainerResize(ctx, containerName(d.spec.ID), container.ResizeOptions{Width: uint(size.Cols), Height: uint(size.Rows)})
			cancel()
		case <-d.quiet:
			return
		}
	}
}
