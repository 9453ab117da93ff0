// Package imagetest gives tests an engine, its stack images, and an image to
// start Dockerfiles from where no registry answers.
package imagetest

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/google/uuid"

	"niwa/platform/docker"
	"niwa/platform/platformtest/need"
	"niwa/platform/stack"
)

// Engine is the Docker engine of this machine, for a platform of the test's
// own; or the test is skipped.
func Engine(t testing.TB) *docker.Engine {
	t.Helper()
	engine, err := docker.Connect(t.Context(), "test-"+uuid.NewString())
	if err != nil {
		need.Reason(t, "needs a running Docker engine: "+err.Error())
	}
	t.Cleanup(func() { engine.Close() })
	return engine
}

// Stack is the stack images of this machine's engine; or the test is skipped.
func Stack(t testing.TB) *stack.Stack {
	t.Helper()
	s, err := stack.New(Engine(t), "", t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if missing, err := s.Missing(t.Context()); err != nil || len(missing) > 0 {
		need.Reason(t, "needs the stack images: niwa stack build")
	}
	return s
}

// Base is the name of an image with the programs of busybox, which goes with
// the test. Whatever was built of it must have gone by then.
func Base(t testing.TB, engine *docker.Engine) string {
	t.Helper()
	busybox, err := os.ReadFile(need.Tool(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	var root bytes.Buffer
	w := tar.NewWriter(&root)
	add := func(h tar.Header, body []byte) {
		h.Mode, h.Size = 0o755, int64(len(body))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "bin/busybox"}, busybox)
	for _, name := range []string{"sh", "cat", "env", "find", "head", "httpd", "id", "ls", "mkdir", "sleep", "sort", "touch"} {
		add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return load(t, engine, &root)
}

func load(t testing.TB, engine *docker.Engine, root io.Reader) string {
	t.Helper()
	name := "niwa-test/base:" + uuid.NewString()
	answer, err := engine.ImageImport(t.Context(), image.ImportSource{Source: root, SourceName: "-"}, name, image.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	if _, err := io.Copy(io.Discard, answer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := engine.ImageRemove(context.Background(), name, image.RemoveOptions{PruneChildren: true}); err != nil {
			t.Errorf("removing the base image: %v", err)
		}
	})
	return name
}
