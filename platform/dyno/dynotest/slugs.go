package dynotest

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"niwa/platform/dyno"
)

func profile(t *testing.T, b *bench) {
	slug := Slug(t,
		Entry{Name: ".profile.d/", Type: tar.TypeDir},
		Entry{Name: ".profile.d/1.sh", Text: `export ORDER=one FROM="$HOME/bin"; export PATH="$HOME/bin:$PATH"` + "\n"},
		Entry{Name: ".profile.d/2.sh", Text: "export ORDER=$ORDER,two; set -- lost; cd /\n"},
		Entry{Name: ".profile.d/ignored", Text: "export ORDER=ignored; exit 1\n"},
		Entry{Name: ".profile", Text: "cd \"$HOME\"; export ORDER=$ORDER,profile\n"},
		Entry{Name: "bin/tool", Text: "#!/bin/sh\necho \"$ORDER $GIVEN\"; test \"$FROM\" = \"$HOME/bin\" && exit 11\n"},
	)
	exit, out := b.result(t, dyno.Spec{Slug: slug, Command: "tool", Env: map[string]string{"GIVEN": "config"}})
	if exit.Code != 11 || out != "one,two,profile config\n" {
		t.Errorf("ended as %+v with %q", exit, out)
	}
}

func ownFiles(t *testing.T, b *bench) {
	app := uuid.NewString()
	slug := Slug(t, Entry{Name: "file", Text: "original\n"})
	spec := dyno.Spec{App: app, Slug: slug, Command: "cat file && echo changed > file && echo x > new && echo ready && exec sleep 600"}
	one := b.start(t, spec)
	one.out.expect(t, "ready")
	spec.Command = "cat file; ls"
	if _, out := b.result(t, spec); out != "original\nfile\n" {
		t.Errorf("the second dyno sees %q", out)
	}
}

func directory(t *testing.T, b *bench) {
	dir := Dir(t)
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte("source\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"cat in && mkdir -p made && cp in made/out", "cat in && test -f made/out && echo again >> made/out"} {
		if exit, out := b.result(t, dyno.Spec{Dir: dir, Command: command}); exit.Code != 0 || out != "source\n" {
			t.Errorf("ended as %+v with %q", exit, out)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "made", "out")); err != nil || string(got) != "source\nagain\n" {
		t.Errorf("made/out is %q, %v", got, err)
	}
}

func badStarts(t *testing.T, b *bench) {
	live := b.sh(t, "exec sleep 600")
	torn := Slug(t, Entry{Name: "file", Text: strings.Repeat("some text ", 10000)})
	data, err := os.ReadFile(torn)
	if err == nil {
		err = os.WriteFile(torn, data[:len(data)/2], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("this is no slug"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]dyno.Spec{
		"a dyno that runs already": {ID: live.id},
		"an id that is a path":     {ID: "../../x"},
		"a slug that is not there": {Slug: filepath.Join(t.TempDir(), "none.tgz")},
		"a slug cut short":         {Slug: torn},
		"a slug that is none":      {Slug: text},
		"no directory":             {Dir: filepath.Join(t.TempDir(), "none")},
		"a NUL in the environment": {Env: map[string]string{"A": "b\x00c"}},
	} {
		t.Run(name, func(t *testing.T) { b.refuses(t, spec) })
	}
	live.stop(t, limit)
	if exit := live.wait(t); exit.Signal != "SIGTERM" {
		t.Errorf("the dyno that ran already has ended as %+v", exit)
	}
}

// refuses checks that a dyno does not start, nor keeps its id from one that can.
func (b *bench) refuses(t *testing.T, spec dyno.Spec) {
	t.Helper()
	out := newOutput()
	newID := spec.ID == ""
	b.fill(t, &spec)
	spec.Command, spec.Output = "echo running", out
	if _, err := b.runner.Start(within(t), spec); err == nil {
		_, _ = b.runner.Wait(within(t), spec.ID)
		t.Fatal("it was started")
	}
	if got := out.String(); got != "" {
		t.Errorf("it says %q", got)
	}
	if !newID {
		return
	}
	if exit, said := b.result(t, dyno.Spec{ID: spec.ID, Command: "echo well"}); exit.Code != 0 || said != "well\n" {
		t.Errorf("another start with its id ends as %+v with %q", exit, said)
	}
}

func hostileSlugs(t *testing.T, b *bench) {
	outside := Dir(t)
	victim := filepath.Join(outside, "victim")
	if err := os.WriteFile(victim, []byte("untouched"), 0o666); err != nil {
		t.Fatal(err)
	}
	big := Entry{Name: "big", Type: tar.TypeReg, Text: "x"}
	for name, entries := range map[string][]Entry{
		"an absolute path":                   {{Name: victim, Text: "x"}},
		"a path with ..":                     {{Name: "../victim", Text: "x"}},
		"a path with .. inside":              {{Name: "a/../../victim", Text: "x"}},
		"a link out":                         {{Name: "l", Type: tar.TypeSymlink, Link: outside}},
		"a relative link out":                {{Name: "d/l", Type: tar.TypeSymlink, Link: "../../x"}},
		"a write through a link":             {{Name: "d", Type: tar.TypeSymlink, Link: "."}, {Name: "d/file", Text: "x"}},
		"a directory made a link":            {{Name: "d/", Type: tar.TypeDir}, {Name: "d", Type: tar.TypeSymlink, Link: "e"}, {Name: "d/file", Text: "x"}},
		"a directory made a link to another": {{Name: "e/", Type: tar.TypeDir}, {Name: "d/", Type: tar.TypeDir}, {Name: "d", Type: tar.TypeSymlink, Link: "e"}, {Name: "d/file", Text: "x"}},
		"a link out through a link":          {{Name: "s", Type: tar.TypeSymlink, Link: "."}, {Name: "s/s/l", Type: tar.TypeSymlink, Link: "../../x"}},
		"a link to /app and out of it":       {{Name: "l", Type: tar.TypeSymlink, Link: "/app/../etc"}},
		"a hard link out":                    {{Name: "l", Type: tar.TypeLink, Link: victim}},
		"a relative hard link out":           {{Name: "l", Type: tar.TypeLink, Link: "../victim"}},
		"a hard link to nothing":             {{Name: "l", Type: tar.TypeLink, Link: "nothing"}},
		"a hard link through a link":         {{Name: "s", Type: tar.TypeSymlink, Link: "."}, {Name: "f", Text: "x"}, {Name: "l", Type: tar.TypeLink, Link: "s/f"}},
		"a character device":                 {{Name: "null", Type: tar.TypeChar}},
		"a block device":                     {{Name: "sda", Type: tar.TypeBlock}},
		"a named pipe":                       {{Name: "pipe", Type: tar.TypeFifo}},
		"a setuid program":                   {{Name: "su", Mode: 0o4755}},
		"a setgid program":                   {{Name: "sg", Mode: 0o2755}},
		"a file for the top":                 {{Name: ".", Text: "x"}},
		"a file as a directory":              {big, {Name: "big/file", Text: "x"}},
		"a directory for a file":             {{Name: "d/f", Text: "x"}, {Name: "d", Text: "x"}},
		"a good file before a bad path":      {{Name: "good", Text: "x"}, {Name: "../bad", Text: "x"}},
	} {
		t.Run(name, func(t *testing.T) { b.refuses(t, dyno.Spec{Slug: Slug(t, entries...)}) })
	}
	if got, err := os.ReadFile(victim); err != nil || !bytes.Equal(got, []byte("untouched")) {
		t.Errorf("a file outside of the slug is now %q, %v", got, err)
	}
}

func goodSlugs(t *testing.T, b *bench) {
	long := strings.Repeat("long-name/", 30) + "file"
	slug := Slug(t,
		Entry{Name: "./", Type: tar.TypeDir, Mode: 0o777},
		Entry{Name: "./bin/run", Text: "#!/bin/sh\ncat data/file again linked abs \"$1\"; ls -d empty\n", Mode: 0o755},
		Entry{Name: "./data/file", Text: "first\n", Mode: 0o444},
		Entry{Name: "./data/file", Text: "a\n", Mode: 0o444}, // as tar -r leaves it
		Entry{Name: "./again", Type: tar.TypeLink, Link: "./data/file"},
		Entry{Name: "./linked", Type: tar.TypeSymlink, Link: "data/file"},
		Entry{Name: "./deep/er/abs", Type: tar.TypeSymlink, Link: "/app/data/../data/file"},
		Entry{Name: "./abs", Type: tar.TypeSymlink, Link: "/app/deep/er/abs"},
		Entry{Name: "./home", Type: tar.TypeSymlink, Link: "/app"},
		Entry{Name: "./empty", Type: tar.TypeDir, Mode: 0o500},
		Entry{Name: long, Text: "far\n"},
	)
	exit, out := b.result(t, dyno.Spec{Slug: slug, Command: "test -d home/bin && exec bin/run " + long})
	if want := "a\na\na\na\nfar\nempty\n"; exit.Code != 0 || out != want {
		t.Errorf("ended as %+v with %q, want %q", exit, out, want)
	}
}
