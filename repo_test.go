package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// arrows says which packages of niwa each package may import. Calls go right
// only: what must travel left is a return value, the end of a blocking Wait,
// or a func field that platform/instance fills in. A package in no row fails.
func arrows() map[string][]string {
	return map[string][]string{
		".": {"platform/cli", "platform/dyno/pid1"},

		"platform":                     {},
		"platform/pki":                 {},
		"platform/certs":               {},
		"platform/acme":                {"platform", "platform/certs"},
		"platform/acme/acmetest":       {"platform/pki", "platform/platformtest/need"},
		"platform/proc":                {},
		"platform/store":               {"platform"},
		"platform/logplex":             {"platform"},
		"platform/client":              {"platform"},
		"platform/docker":              {},
		"platform/docker/dockertest":   {"platform/docker", "platform/platformtest/need"},
		"platform/stack":               {"platform/docker"},
		"platform/dyno":                {},
		"platform/dyno/home":           {"platform/dyno"},
		"platform/dyno/pid1":           {"platform/proc"},
		"platform/dyno/docker":         {"platform/docker", "platform/dyno", "platform/dyno/home", "platform/dyno/pid1", "platform/stack"},
		"platform/dyno/process":        {"platform", "platform/dyno", "platform/dyno/home", "platform/dyno/pid1", "platform/dyno/process/cgroup", "platform/proc"},
		"platform/dyno/process/cgroup": {},
		"platform/build":               {"platform", "platform/build/image", "platform/build/manifest", "platform/dyno"},
		"platform/build/image":         {"platform/docker"},
		"platform/build/manifest":      {},
		"platform/rendezvous":          {"platform", "platform/dyno"},
		"platform/backup":              {"platform", "platform/store", "platform/logplex", "platform/git", "addons"},
		"platform/controller": {"platform", "platform/store", "platform/build", "platform/build/manifest", "platform/certs", "platform/dyno", "platform/logplex",
			"platform/rendezvous", "addons", "addons/catalog", "router/policy", "router/route"},
		"platform/api":          {"platform", "platform/certs", "platform/controller", "platform/logplex", "addons", "addons/catalog", "router/metrics"},
		"platform/api/listener": {},
		"platform/git":          {"platform", "platform/proc"},
		"platform/lesson":       {"platform", "platform/client"},
		"platform/compare":      {"platform/client", "platform/lesson"},
		"platform/cli": {"platform", "platform/client", "platform/compare", "platform/docker", "platform/lesson", "platform/stack", "platform/instance",
			"addons/engine", "sample-app"},

		// The wiring: it alone knows everybody, and only cli knows it.
		"platform/instance": {"platform", "platform/api", "platform/api/listener", "platform/backup", "platform/build", "platform/controller",
			"platform/docker", "platform/build/image", "platform/dyno", "platform/dyno/docker", "platform/dyno/pid1", "platform/dyno/process", "platform/git",
			"platform/stack", "platform/logplex", "platform/pki", "platform/proc", "platform/acme", "platform/certs",
			"platform/rendezvous", "platform/store", "addons", "addons/catalog", "addons/engine", "addons/postgres",
			"addons/redis", "router", "router/follow", "router/metrics", "router/policy", "router/route"},

		"router":         {"router/metrics", "router/policy", "router/route", "router/wire"},
		"router/wire":    {},
		"router/bench":   {"addons/engine", "router", "router/route"},
		"router/metrics": {"router/route"},
		"router/route":   {},
		"router/follow":  {"router/route"},
		"router/policy":  {},

		"addons":          {},
		"addons/catalog":  {"addons"},
		"addons/engine":   {"addons", "platform", "platform/docker", "platform/pki", "platform/proc"},
		"addons/postgres": {"platform", "addons", "addons/catalog", "addons/engine", "platform/pki", "platform/proc"},
		"addons/redis":    {"platform", "addons", "addons/catalog", "addons/engine", "platform/pki", "platform/proc"},

		"sample-app": {},

		// For tests, and for the tools of this repository.
		"platform/platformtest":          {"platform", "platform/client", "platform/instance"},
		"platform/platformtest/need":     {},
		"platform/composetest":           {"platform/client", "platform/platformtest", "platform/platformtest/need", "platform/platformtest/standin"},
		"platform/platformtest/standin":  {"platform/docker", "platform/platformtest/need"},
		"platform/build/image/imagetest": {"platform/docker", "platform/platformtest/need", "platform/stack"},
		"platform/platformtest/load":     {},
		"platform/platformtest/echo":     {"platform/platformtest/load"},
		"platform/platformtest/chaos": {"platform", "platform/build/image/imagetest", "platform/docker", "platform/instance", "platform/platformtest",
			"platform/platformtest/need", "platform/stack"},
		"platform/platformtest/attacker": {"platform/platformtest/escape"},
		"platform/platformtest/escape":   {},
		"platform/platformtest/siege":    {"platform/platformtest", "platform/platformtest/escape"},
		"platform/platformtest/samples":  {"platform/lesson", "platform/platformtest", "sample-app"},
		"platform/dyno/dynotest":         {"platform", "platform/dyno", "platform/platformtest/need"},
		"addons/addonstest": {"platform", "platform/docker", "platform/pki", "platform/proc", "platform/platformtest/need", "platform/platformtest/standin", "addons",
			"addons/catalog", "addons/engine"},
		"sample-app/apptest":   {"sample-app"},
		"internal/testsummary": {},
	}
}

// forTests may be imported by the tests of every package: what is made for
// them, and the real thing where it takes the place of a fake.
func forTests() []string {
	return []string{"platform/platformtest", "platform/platformtest/need", "platform/platformtest/standin", "platform/platformtest/load", "platform/platformtest/escape", "platform/acme/acmetest", "platform/dyno/dynotest", "platform/build/image/imagetest", "platform/docker/dockertest", "addons/addonstest",
		"sample-app", "sample-app/apptest", "platform", "platform/pki", "platform/proc", "platform/dyno/process", "platform/dyno/docker", "platform/dyno/pid1", "platform/stack"}
}

func TestPackagesImportOnlyWhatTheirRowAllows(t *testing.T) {
	packages := load(t)
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		allowed, ok := arrows()[dir]
		if !ok {
			t.Errorf("package %s is in no row of arrows", dir)
			continue
		}
		for _, file := range packages[dir] {
			for _, imported := range file.imports() {
				if slices.Contains(allowed, imported) {
					continue
				}
				if file.isTest() && (slices.Contains(forTests(), imported) || imported == dir || mayImport(allowed, imported)) {
					continue
				}
				t.Errorf("%s imports %s, which its row does not allow", file.name, imported)
			}
		}
	}
	for dir := range arrows() {
		if len(packages[dir]) == 0 {
			t.Errorf("arrows has a row for %s, which is no package", dir)
		}
	}
}

// mayImport says whether a package can be reached over arrows: a test may put
// together what its package is put together with.
func mayImport(from []string, target string) bool {
	for _, dir := range from {
		if dir == target || mayImport(arrows()[dir], target) {
			return true
		}
	}
	return false
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for dir, files := range load(t) {
		comments := 0
		for _, f := range files {
			if f.syntax.Doc != nil && !f.isTest() {
				comments++
			}
		}
		if comments != 1 {
			t.Errorf("package %s has %d package comments, want 1", dir, comments)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	for _, files := range load(t) {
		for _, f := range files {
			if f.lines > 600 {
				t.Errorf("%s has %d lines; 600 is a defect, 250 a habit", f.name, f.lines)
			}
			if f.name == "main.go" && f.lines > 60 {
				t.Errorf("main.go has %d lines, want at most 60: it only hands over", f.lines)
			}
		}
	}
}

func TestNoPackageKeepsStateOrRunsAtImport(t *testing.T) {
	for _, files := range load(t) {
		for _, f := range files {
			if f.isTest() {
				continue
			}
			for _, decl := range f.syntax.Decls {
				switch d := decl.(type) {
				case *ast.FuncDecl:
					if d.Name.Name == "init" && d.Recv == nil {
						t.Errorf("%s has an init function", f.at(d))
					}
				case *ast.GenDecl:
					for _, name := range mutable(d) {
						t.Errorf("%s: package variable %s can change; make it a constant, a function or a field", f.at(d), name)
					}
				}
			}
		}
	}
}

// mutable lists the variables of a declaration that are not fixed by what
// they are: an embedded file, an interface guard, an error to compare with, a
// compiled pattern.
func mutable(d *ast.GenDecl) []string {
	if d.Tok != token.VAR || embeds(d.Doc) {
		return nil
	}
	var names []string
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		for i, name := range v.Names {
			if name.Name == "_" || embeds(v.Doc) || i < len(v.Values) && fixed(v.Values[i]) {
				continue
			}
			names = append(names, name.Name)
		}
	}
	return names
}

func embeds(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

func fixed(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := f.X.(*ast.Ident)
	return ok && slices.Contains([]string{"errors.New", "fmt.Errorf", "regexp.MustCompile", "template.Must", "strings.NewReplacer"}, pkg.Name+"."+f.Sel.Name)
}

func TestEveryProviderOfTheCatalogHasAFolderAndTheOtherWayRound(t *testing.T) {
	var elements struct {
		Services []struct {
			Name     string
			Provider string
		}
	}
	encoded, err := os.ReadFile("elements.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(encoded, &elements); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, s := range elements.Services {
		named[s.Provider] = true
	}
	support := []string{"catalog", "engine", "addonstest"}
	folders := map[string]bool{}
	entries, err := os.ReadDir("addons")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(support, e.Name()) {
			folders[e.Name()] = true
		}
	}
	if len(named) == 0 || !maps.Equal(named, folders) {
		t.Errorf("elements.yaml names the providers %v; the folders of addons are %v",
			slices.Sorted(maps.Keys(named)), slices.Sorted(maps.Keys(folders)))
	}
}

// A row of DIVERGENCES.md names the package and the test that hold it true.
func TestWhatHoldsADivergenceTrueIsThere(t *testing.T) {
	text, err := os.ReadFile("DIVERGENCES.md")
	if err != nil {
		t.Fatal(err)
	}
	packages := load(t)
	named := regexp.MustCompile("`([a-z][a-z0-9/-]*)` (Test[A-Za-z0-9]+)").FindAllStringSubmatch(string(text), -1)
	if len(named) == 0 {
		t.Error("no row names a test")
	}
	for _, name := range named {
		if !slices.ContainsFunc(packages[name[1]], func(s source) bool { return s.declares(name[2]) }) {
			t.Errorf("%s has no %s", name[1], name[2])
		}
	}
}

// source is one Go file of the module.
type source struct {
	name   string // slash-separated, from the root
	lines  int
	syntax *ast.File
	set    *token.FileSet
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.set.Position(n.Pos()).Line)
}

// declares says whether the file has a function of that name.
func (s source) declares(name string) bool {
	return slices.ContainsFunc(s.syntax.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Name.Name == name
	})
}

// imports lists the packages of niwa that the file imports, from the root.
func (s source) imports() []string {
	var found []string
	for _, i := range s.syntax.Imports {
		if rest, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "niwa/"); ok {
			found = append(found, rest)
		}
	}
	return found
}

// load parses every Go file of the module, by the folder of its package.
func load(t *testing.T) map[string][]source {
	t.Helper()
	packages := map[string][]source{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && outside(name) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		syntax, err := parser.ParseFile(set, name, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		slash := filepath.ToSlash(name)
		dir := path.Dir(slash)
		packages[dir] = append(packages[dir], source{slash, strings.Count(string(content), "\n"), syntax, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// outside says whether a folder is no part of the module: hidden, data of
// tests, built, or a module of its own.
func outside(dir string) bool {
	base := filepath.Base(dir)
	if strings.HasPrefix(base, ".") || base == "testdata" || base == "dist" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
