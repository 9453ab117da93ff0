package build

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/build/manifest"
	"niwa/platform/platformtest/need"
)

const mossWheel = "gardenmoss-1.0.0-py3-none-any.whl"

// wheel is a Python package with a program, both of one name.
func wheel(t testing.TB, name, code string) string {
	t.Helper()
	info := name + "-1.0.0.dist-info/"
	texts := [][2]string{
		{name + "/__init__.py", code},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0.0\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "entry_points.txt", "[console_scripts]\n" + name + " = " + name + ":main\n"},
		{info + "RECORD", name + "/__init__.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "entry_points.txt,,\n" + info + "RECORD,,\n"},
	}
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, text := range texts {
		w, err := z.CreateHeader(&zip.FileHeader{Name: text[0], Method: zip.Deflate})
		if err == nil {
			_, err = w.Write([]byte(text[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func mossPackage(t testing.TB) string {
	return wheel(t, "gardenmoss", "def main():\n    print('green')\n")
}

// packageIndex serves one package as PyPI does.
func packageIndex(t testing.TB) *httptest.Server {
	moss := mossPackage(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/simple/gardenmoss/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<a href=%q>%s</a>", "/files/"+mossWheel, mossWheel)
	})
	mux.HandleFunc("/files/"+mossWheel, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, mossWheel, time.Time{}, strings.NewReader(moss))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestPythonAppIsBuiltOnceAndThenFromTheCache(t *testing.T) {
	need.Tool(t, "python3")
	index := packageIndex(t)
	b := newBench(t, func(c *Config) {
		c.MachineEnv["PIP_INDEX_URL"] = strings.Replace(index.URL, "//", "//ann:s3cret@", 1) + "/simple"
	})
	app := func() Request {
		req := b.request(tarOf(t, files(map[string]string{
			"requirements.txt": "gardenmoss==1.0.0\n",
			"Procfile":         "web: gardenmoss\n",
			"bin/pre_compile":  "#!/bin/sh\necho \"before: $SEASON\"\n",
			"bin/post_compile": "#!/bin/sh\npython -c 'import gardenmoss; print(\"after\")'\n",
		})...))
		req.Env = map[string]string{"SEASON": "spring"}
		return req
	}
	req := app()
	began := time.Now()
	result, _ := b.build(req)
	cold := time.Since(began)
	if result.Description != "Python" {
		t.Errorf("the app is called %q", result.Description)
	}
	b.last.has(t, "-----> Python app detected\n", "before: spring\n", "Successfully installed gardenmoss-1.0.0\n", "after\n",
		"No Python version was specified")
	if strings.Contains(b.last.String(), "s3cret") {
		t.Errorf("the password of the index is shown:\n%s", b.last)
	}
	const asks = `gardenmoss; command -v gardenmoss; echo $WEB_CONCURRENCY $PYTHONUNBUFFERED $GUNICORN_CMD_ARGS`
	home := strings.TrimSpace(b.inDyno(req, "echo $HOME"))
	if diff := cmp.Diff("green\n"+home+"/.heroku/python/bin/gardenmoss\n2 true --access-logfile -\n", b.inDyno(req, asks)); diff != "" {
		t.Errorf("in a dyno (-want +got):\n%s", diff)
	}

	index.Close()
	req = app()
	began = time.Now()
	b.build(req)
	b.last.has(t, "-----> Restoring cache\n", "-----> Using the packages of the last build")
	if got := b.inDyno(req, "gardenmoss"); got != "green\n" {
		t.Errorf("from the cache the program prints %q", got)
	}
	t.Logf("first build %.1f s, second %.1f s", cold.Seconds(), time.Since(began).Seconds())

	// pip is asked again where its settings are others.
	req = app()
	req.Env["PIP_NO_COMPILE"] = "1"
	b.build(req)
	b.last.has(t, "-----> Restoring cache\n", "Requirement already satisfied: gardenmoss==1.0.0")
}

func TestPythonPackageManagersInstallWhatTheyHaveLocked(t *testing.T) {
	need.Tool(t, "python3")
	moss := mossPackage(t)
	hash := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(moss)))
	for manager, app := range map[string]map[string]string{
		"uv": {
			"pyproject.toml": "[project]\nname = \"garden\"\nversion = \"1.0.0\"\nrequires-python = \">=3.9\"\ndependencies = [\"gardenmoss\"]\n\n" +
				"[tool.uv.sources]\ngardenmoss = { path = \"vendor/" + mossWheel + "\" }\n",
			"uv.lock": "version = 1\nrevision = 3\nrequires-python = \">=3.9\"\n\n" +
				"[[package]]\nname = \"garden\"\nversion = \"1.0.0\"\nsource = { virtual = \".\" }\ndependencies = [\n    { name = \"gardenmoss\" },\n]\n\n" +
				"[package.metadata]\nrequires-dist = [{ name = \"gardenmoss\", path = \"vendor/" + mossWheel + "\" }]\n\n" +
				"[[package]]\nname = \"gardenmoss\"\nversion = \"1.0.0\"\nsource = { path = \"vendor/" + mossWheel + "\" }\n" +
				"wheels = [\n    { filename = \"" + mossWheel + "\", hash = \"" + hash + "\" },\n]\n",
		},
		"poetry": {
			"pyproject.toml": "[tool.poetry]\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = \">=3.9\"\ngardenmoss = { path = \"vendor/" + mossWheel + "\" }\n",
			"poetry.lock": "[[package]]\nname = \"gardenmoss\"\nversion = \"1.0.0\"\ndescription = \"\"\noptional = false\npython-versions = \"*\"\ngroups = [\"main\"]\n" +
				"files = [\n    {file = \"" + mossWheel + "\", hash = \"" + hash + "\"},\n]\n\n" +
				"[package.source]\ntype = \"file\"\nurl = \"vendor/" + mossWheel + "\"\n\n" +
				"[metadata]\nlock-version = \"2.1\"\npython-versions = \">=3.9\"\ncontent-hash = \"b5ae3c8d7eb616d8ae80e59aefe07c856bcd22fd68a9f05733f60ab7350f4fb7\"\n",
		},
		"pipenv": {
			"Pipfile":      "[packages]\ngardenmoss = {file = \"vendor/" + mossWheel + "\"}\n",
			"Pipfile.lock": `{"_meta": {"hash": {"sha256": "0d8a05df2ae972fb3aab641e1e7778a06664bc8872784963cdce18f51b390167"}, "pipfile-spec": 6, "requires": {}, "sources": []}, "default": {"gardenmoss": {"file": "vendor/` + mossWheel + `"}}, "develop": {}}`,
		},
	} {
		t.Run(manager, func(t *testing.T) {
			tool := need.Tool(t, manager)
			b := newBench(t, func(c *Config) { c.MachineEnv = toolAt(t, tool) })
			app["vendor/"+mossWheel] = moss
			req := b.request(tarOf(t, files(app)...))
			b.build(req)
			b.last.has(t, "-----> Installing dependencies using '"+manager+" ", " of this machine")
			if got := b.inDyno(req, "gardenmoss"); got != "green\n" {
				t.Errorf("the program prints %q", got)
			}
		})
	}
}

func TestDjangoAppHasItsStaticFilesCollectedAndADatabase(t *testing.T) {
	need.Tool(t, "python3")
	app := map[string]string{
		"requirements.txt":                       "./vendor/django-1.0.0-py3-none-any.whl\n./vendor/psycopg2-1.0.0-py3-none-any.whl\n",
		"vendor/django-1.0.0-py3-none-any.whl":   wheel(t, "django", "def main(): pass\n"),
		"vendor/psycopg2-1.0.0-py3-none-any.whl": wheel(t, "psycopg2", "def main(): pass\n"),
		"manage.py":                              "import os, sys\nassert os.environ['SECRET_KEY'] == 's3cret', 'no SECRET_KEY'\nopen('collected', 'w').write(' '.join(sys.argv[1:]))\n",
	}
	b := newBench(t, nil)
	req := b.request(tarOf(t, files(app)...))
	req.Env = map[string]string{"SECRET_KEY": "s3cret"}
	result, slug := b.build(req)
	if got := slug["collected"].text; got != "collectstatic --noinput --traceback" {
		t.Errorf("manage.py was called with %q\n%s", got, b.last)
	}
	if diff := cmp.Diff([]manifest.Addon{{Plan: "heroku-postgresql"}}, result.Setup); diff != "" {
		t.Errorf("add-ons (-want +got):\n%s", diff)
	}
	b.reject(b.request(tarOf(t, files(app)...)))
	b.last.has(t, "no SECRET_KEY", " !     Unable to generate Django static files", "heroku config:set DISABLE_COLLECTSTATIC=1")

	req = b.request(tarOf(t, files(app)...))
	req.Env = map[string]string{"DISABLE_COLLECTSTATIC": "1"}
	if _, slug := b.build(req); slug["collected"].text != "" {
		t.Error("static files were collected, although DISABLE_COLLECTSTATIC is set")
	}
}

func TestPythonAppThatCannotBeBuiltSaysWhatToChange(t *testing.T) {
	need.Tool(t, "python3")
	b := newBench(t, nil)
	for name, test := range map[string]struct {
		app  map[string]string
		says string
	}{
		"an old runtime.txt":           {map[string]string{"requirements.txt": "", "runtime.txt": "python-2.7.18\n"}, " !     The app asks for Python 2.7.18 (runtime.txt), and this machine has 3."},
		"a version that is none":       {map[string]string{"requirements.txt": "", ".python-version": "# ours\nlatest\n"}, ` !     "latest" in .python-version is not a version of Python; write one like 3.`},
		"two versions":                 {map[string]string{"requirements.txt": "", ".python-version": "3.11\n3.12\n"}, " !     .python-version has to hold one version of Python"},
		"a version of Pipfile.lock":    {map[string]string{"Pipfile": "", "Pipfile.lock": `{"_meta": {"requires": {"python_version": "3.4"}}}`}, " !     The app asks for Python 3.4 (Pipfile.lock)"},
		"no file of dependencies":      {map[string]string{"setup.py": ""}, " !     The app has no file that says what to install"},
		"a forgotten file":             {map[string]string{"app.py": ""}, " !     The app has no file that says what to install"},
		"two package managers":         {map[string]string{"requirements.txt": "", "poetry.lock": ""}, " !     The app has files of several package managers: requirements.txt poetry.lock\n"},
		"a Pipfile that is not locked": {map[string]string{"Pipfile": ""}, " !     There is a Pipfile, and no Pipfile.lock"},
		"a hook that fails":            {map[string]string{"requirements.txt": "", "bin/pre_compile": "#!/bin/sh\nexit 3\n"}, " !     bin/pre_compile failed"},
		"a package that is not there":  {map[string]string{"requirements.txt": "./vendor/gone.whl\n"}, " !     The dependencies of the app cannot be installed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.in(t)
			if got := b.reject(b.request(tarOf(t, files(test.app)...))); got != "Push rejected, failed to compile Python app." {
				t.Errorf("the error is %q", got)
			}
			b.last.has(t, test.says)
		})
	}
}

func TestAScriptWithAProcfileIsNoPythonApp(t *testing.T) {
	b := newBench(t, nil)
	result, _ := b.build(b.request(tarOf(t, files(map[string]string{"server.py": "", "Procfile": "web: python3 server.py\n"})...)))
	if result.Description != "Procfile" {
		t.Errorf("the app is called %q", result.Description)
	}
}
