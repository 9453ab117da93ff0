package build

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProcfileIsReadStrictly(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want map[string]string
		says string
	}{
		"nothing":                    {"", map[string]string{}, ""},
		"types, comments and blanks": {"# how to run\nweb: bin/app -p $PORT\n\nrelease : ./migrate && echo: done\n", map[string]string{"web": "bin/app -p $PORT", "release": "./migrate && echo: done"}, ""},
		"no newline at the end":      {"worker-2_b: x", map[string]string{"worker-2_b": "x"}, ""},
		"Windows line ends":          {"\ufeffweb: a\r\nworker: b\r\n", map[string]string{"web": "a", "worker": "b"}, ""},
		"no space after the colon":   {"web:a", map[string]string{"web": "a"}, ""},
		"no colon":                   {"web a", nil, "line 1: write it as"},
		"a type with a dot":          {"\nweb.1: a", nil, "line 2: write it as"},
		"no command":                 {"web:  ", nil, `the type "web" has no command`},
		"the same type twice":        {"web: a\nweb: b", nil, `line 2: the type "web" is there twice`},
		"a type too long":            {strings.Repeat("a", 129) + ": x", nil, "longer than 128"},
		"bytes that are not text":    {"web: \xff", nil, "not UTF-8"},
		"a zero byte":                {"web: a\x00", nil, "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseProcfile([]byte(test.text))
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("error %v, want %q", err, test.says)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestReleaseYAMLIsReadStrictly(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want release
		says string
	}{
		"nothing":          {"", release{}, ""},
		"an empty map":     {"--- {}\n", release{}, ""},
		"empty parts":      {"---\naddons:\nconfig_vars:\ndefault_process_types:\n", release{}, ""},
		"an unknown key":   {"---\nextra: 1\n", release{}, ""},
		"all it can say":   {"---\naddons:\n  - heroku-postgresql:essential-0\nconfig_vars:\n  PORT_HINT: 5000\ndefault_process_types:\n  web: npm start\n", release{[]string{"heroku-postgresql:essential-0"}, map[string]string{"PORT_HINT": "5000"}, map[string]string{"web": "npm start"}}, ""},
		"not YAML":         {"web: [", release{}, "line 1"},
		"a list":           {"- a\n", release{}, "cannot unmarshal"},
		"a map for addons": {"addons: {a: b}\n", release{}, "cannot unmarshal"},
		"a plan that none": {"addons: ['../x']\n", release{}, "is no plan"},
		"a bad var name":   {"config_vars: {'a b': c}\n", release{}, "is no name"},
		"a bad type name":  {"default_process_types: {'a b': c}\n", release{}, "is no name"},
		"an empty command": {"default_process_types: {web: ''}\n", release{}, "has no command"},
		"a billion laughs": {laughs, release{}, "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseRelease([]byte(test.text))
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("error %v, want %q", err, test.says)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

var laughs = func() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		ref := "*a" + string(rune('0'+i-1))
		b.WriteString("a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat(ref+", ", 9) + ref + "]\n")
	}
	return b.String() + "addons: *a8\n"
}()

func TestSlugignoreNamesWhatToLeaveOut(t *testing.T) {
	rules, err := parseIgnore([]byte("# docs\n*.psd\n/spec\ntmp/\ndocs/**/*.pdf\nassets/**\n*.[oa]\nwhat?\n\\#odd\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"a.psd": true, "deep/a.psd": true, "a.psd.txt": false,
		"spec": true, "lib/spec": false,
		"tmp/": true, "lib/tmp/": true, "tmp": false,
		"docs/a.pdf": true, "docs/x/y/a.pdf": true, "a.pdf": false,
		"assets/a/b": true, "assets/": false,
		"x.o": true, "x.a": true, "x.c": false, "whats": true, "what/": false, "#odd": true,
	} {
		name, dir := strings.CutSuffix(path, "/")
		if got := rules.match(name, dir); got != want {
			t.Errorf("%s is left out: %v, want %v", path, got, want)
		}
	}
	for text, says := range map[string]string{"a\n!b": "line 2: patterns that start with !", "[a": "[ without its ]", "[z-a]": "cannot be read"} {
		if _, err := parseIgnore([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want %q", text, err, says)
		}
	}
}

func TestBuildpackReferences(t *testing.T) {
	for text, want := range map[string]string{
		"heroku/go":               "builtin go",
		"urn:buildpack:heroku/go": "builtin go",
		"https://buildpack-registry.s3.amazonaws.com/buildpacks/heroku/nodejs.tgz": "builtin nodejs",
		"https://codon-buildpacks.s3.amazonaws.com/buildpacks/heroku/go.tgz":       "builtin go",
		"heroku-community/static":                       "tarball https://buildpack-registry.s3.amazonaws.com/buildpacks/heroku-community/static.tgz",
		"https://example.com/x.tgz":                     "tarball https://example.com/x.tgz",
		"https://example.com/x.tar.gz?a=b":              "tarball https://example.com/x.tar.gz?a=b",
		"https://github.com/heroku/heroku-buildpack-go": "git https://github.com/heroku/heroku-buildpack-go HEAD",
		"https://example.com/x.git#v1/2":                "git https://example.com/x.git v1/2",
		"git://example.com/x":                           "git git://example.com/x HEAD",
		"file:///etc":                                   "error",
		"/etc":                                          "error",
		"--upload-pack=x":                               "error",
		"ext::sh -c id":                                 "error",
		"https://example.com/x.git#--upload-pack=x":     "error",
		"git@example.com:x/y.git":                       "error",
		"":                                              "error",
	} {
		got := "error"
		if r, err := parseRef(text); err == nil {
			switch r.kind {
			case builtin:
				got = "builtin " + r.id
			case tarball:
				got = "tarball " + r.url.String()
			case gitRepo:
				got = "git " + r.url.String() + " " + r.rev
			}
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
	r, err := parseRef("https://me:s3cret@example.com/x.git")
	if err != nil || strings.Contains(r.name, "s3cret") {
		t.Errorf("the name of a buildpack shows its password: %q, %v", r.name, err)
	}
}

func FuzzProcfile(f *testing.F) {
	f.Add("web: bin/app\n# x\nrelease: y")
	f.Add("\ufeffweb:a\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		types, err := parseProcfile([]byte(text))
		if err != nil {
			return
		}
		// What was read can be written and read again.
		var again strings.Builder
		for name, command := range types {
			again.WriteString(name + ": " + command + "\n")
		}
		back, err := parseProcfile([]byte(again.String()))
		if diff := cmp.Diff(types, back); diff != "" || err != nil {
			t.Errorf("read again: %v\n%s", err, diff)
		}
	})
}

func FuzzReleaseYAML(f *testing.F) {
	f.Add("---\naddons:\n  - a:b\nconfig_vars: {A: 1}\ndefault_process_types:\n  web: x\n")
	f.Add("a: &a [*a]")
	f.Add(laughs)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRelease([]byte(text))
		if err != nil {
			return
		}
		for name, command := range r.ProcessTypes {
			if !typeName.MatchString(name) || strings.TrimSpace(command) == "" {
				t.Errorf("process type %q: %q", name, command)
			}
		}
	})
}

func FuzzSlugignore(f *testing.F) {
	f.Add("*.[!a]\n/x/**/y\n", "x/z/y")
	f.Fuzz(func(t *testing.T, text, name string) {
		if rules, err := parseIgnore([]byte(text)); err == nil {
			rules.match(name, false)
		}
	})
}
