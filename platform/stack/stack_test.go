package stack_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"niwa/platform/docker"
	"niwa/platform/platformtest/need"
	"niwa/platform/stack"
)

func newStack(t *testing.T, base string) (*stack.Stack, *docker.Engine) {
	t.Helper()
	e, err := docker.Connect(t.Context(), "test")
	if err != nil {
		need.Reason(t, "needs a running Docker engine: "+err.Error())
	}
	t.Cleanup(func() { e.Close() })
	s, err := stack.New(e, base, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	return s, e
}

// say runs a shell command in an image and returns what it says.
func say(t *testing.T, e *docker.Engine, image, command string) string {
	t.Helper()
	made, err := e.ContainerCreate(t.Context(), &container.Config{
		Image: image, Labels: e.Labels(), User: "61000:61000", Cmd: []string{"sh", "-c", command},
	}, &container.HostConfig{NetworkMode: "none", CapDrop: []string{"ALL"}, ReadonlyRootfs: true}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer e.ContainerRemove(t.Context(), made.ID, container.RemoveOptions{Force: true})
	ended, failed := e.ContainerWait(t.Context(), made.ID, container.WaitConditionNextExit)
	if err := e.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case err := <-failed:
		t.Fatal(err)
	}
	logs, err := e.ContainerLogs(t.Context(), made.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	var said bytes.Buffer
	if _, err := stdcopy.StdCopy(&said, &said, logs); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return said.String()
}

func TestTheImagesHaveWhatTheyPromise(t *testing.T) {
	s, e := newStack(t, "")
	images, err := s.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if missing, err := s.Missing(t.Context()); err != nil || len(missing) > 0 {
		t.Errorf("after Ensure, %v are missing, %v", missing, err)
	}
	for name, tt := range map[string]struct{ image, command, want string }{
		"the tools of the run image":          {images.Run, "for p in bash curl jq psql redis-cli setsid stty unzip; do command -v $p >/dev/null || echo no $p; done", ""},
		"the Debian that they are":            {images.Run, ". /etc/os-release; echo $ID $VERSION_ID, $(getconf GNU_LIBC_VERSION)", "debian 12, glibc 2.36\n"},
		"a locale":                            {images.Run, "LC_ALL=en_US.UTF-8 bash -c 'printf \"%d\" \"'\"'\"'ä\"'", "228"},
		"no compiler in the run image":        {images.Run, "command -v cc git python3 ruby php java", ""},
		"what apt reads in the build image":   {images.Build, "ls -d /etc/apt/sources.list /etc/apt/sources.list.d", "/etc/apt/sources.list\n/etc/apt/sources.list.d\n"},
		"the tools of the build image":        {images.Build, "for p in cc make git python3 ruby bundle php composer java mvn lein /usr/sbin/nginx /usr/sbin/apache2 pkg-config jq; do command -v $p >/dev/null || echo no $p; done", ""},
		"headers in the build image":          {images.Build, "pkg-config --modversion libpq openssl libffi >/dev/null && echo found", "found\n"},
		"nothing of this machine's in either": {images.Build, "env | grep -i proxy; ls /tmp /var/lib/apt/lists", "/tmp:\n\n/var/lib/apt/lists:\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := say(t, e, tt.image, tt.command); got != tt.want {
				t.Errorf("%s says %q, want %q", tt.command, got, tt.want)
			}
		})
	}
}

func TestAnotherBaseIsAnotherRecipe(t *testing.T) {
	one, _ := newStack(t, "")
	same, _ := newStack(t, stack.DefaultBase)
	other, _ := newStack(t, "debian:trixie-slim")
	if one.Images() != same.Images() {
		t.Errorf("%v and %v are not the same", one.Images(), same.Images())
	}
	if one.Images() == other.Images() {
		t.Errorf("both are %v", one.Images())
	}
}

func TestABaseThatIsNowhereIsSaidSo(t *testing.T) {
	s, _ := newStack(t, "127.0.0.1:1/nothing:here")
	_, err := s.Ensure(t.Context())
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1/nothing:here cannot be pulled") {
		t.Errorf("got %v", err)
	}
	if missing, err := s.Missing(t.Context()); err != nil || len(missing) != 2 {
		t.Errorf("missing are %v, %v", missing, err)
	}
}
