package build

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/build/manifest"
	"niwa/platform/platformtest/need"
)

// packGems packs a gem that is made here, and the machine's rake as it would
// be published; each is a file in the folder that is returned.
func packGems(t testing.TB) (dir, rake string) {
	t.Helper()
	ruby := need.Tool(t, "ruby")
	need.Tool(t, "bundle")
	dir = filepath.Join(t.TempDir(), "gems")
	cmd := exec.Command(ruby, "-e", `
		require "fileutils"; require "rubygems/package"
		gems = ARGV[0]; FileUtils.mkdir_p([gems, "moss/lib", "moss/exe"])
		File.write("moss/lib/gardenmoss.rb", "module Gardenmoss; def self.green = 'green'; end\n")
		File.write("moss/exe/gardenmoss", "#!/usr/bin/env ruby\nrequire 'gardenmoss'\nputs Gardenmoss.green\n")
		moss = Gem::Specification.new("gardenmoss", "1.0.0") do |s|
			s.summary = "moss"; s.authors = ["niwa"]; s.homepage = "https://moss.invalid"; s.license = "MIT"
			s.files = ["lib/gardenmoss.rb", "exe/gardenmoss"]; s.bindir = "exe"; s.executables = ["gardenmoss"]
		end
		rake = Gem::Specification.find_by_name("rake")
		Gem::DefaultUserInteraction.ui = Gem::SilentUI.new
		build = ->(spec, from) { Dir.chdir(from) { Gem::Package.build(spec, true, false, "#{gems}/#{spec.name}-#{spec.version}.gem") } }
		build.(moss, "moss")
		from, packed = rake.full_gem_path, rake.dup
		packed.files = Dir.chdir(from) { Dir["lib/**/*.rb", "exe/*"] }
		build.(packed, from)
		print rake.version`, dir)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("packing gems: %v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	return dir, string(out)
}

// gemfiles are Gemfile and Gemfile.lock of an app that uses some gems.
func gemfiles(source string, gems map[string]string) map[string]string {
	gemfile, specs, deps := "source \""+source+"\"\n", "", ""
	for name, version := range gems {
		gemfile += "gem \"" + name + "\"\n"
		specs += "    " + name + " (" + version + ")\n"
		deps += "  " + name + "\n"
	}
	return map[string]string{
		"Gemfile":      gemfile,
		"Gemfile.lock": "GEM\n  remote: " + source + "/\n  specs:\n" + specs + "\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n" + deps + "\nBUNDLED WITH\n   2.9.9\n",
	}
}

// gone is a gem source that nobody serves.
const gone = "http://127.0.0.1:1"

func TestRubyAppIsBuiltFromVendoredGems(t *testing.T) {
	dir, rake := packGems(t)
	app := gemfiles(gone, map[string]string{"gardenmoss": "1.0.0", "rake": rake})
	app["Rakefile"] = "namespace :assets do\n" +
		"  task(:precompile) { mkdir_p 'public/assets'; File.write('public/assets/a.css', ENV.values_at('COLOR', 'RACK_ENV', 'DATABASE_URL').compact.join(' ')) }\nend\n"
	for _, name := range []string{"gardenmoss-1.0.0.gem", "rake-" + rake + ".gem"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		app["vendor/cache/"+name] = string(text)
	}
	b := newBench(t, nil)
	req := b.request(tarOf(t, files(app)...))
	req.Env = map[string]string{"COLOR": "blue"}
	result, slug := b.build(req)
	b.last.has(t, "-----> Ruby app detected\n", "BUNDLE_WITHOUT=development:test", "-----> Preparing app for Rails asset pipeline\n")
	if diff := cmp.Diff(map[string]string{"rake": "bundle exec rake", "console": "bundle exec irb"}, result.ProcessTypes); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	if got := slug["public/assets/a.css"].text; got != "blue production" {
		t.Errorf("the assets are %q\n%s", got, b.last)
	}
	if got := b.inDyno(req, `gardenmoss && bundle exec gardenmoss && echo $RACK_ENV $BUNDLE_PATH`); got != "green\ngreen\nproduction vendor/bundle\n" {
		t.Errorf("in a dyno: %s", got)
	}

	vendored := maps.Clone(app)
	maps.DeleteFunc(app, func(name, _ string) bool { return strings.HasPrefix(name, "vendor/") }) // they are in the cache now
	req = b.request(tarOf(t, files(app)...))
	b.build(req)
	b.last.has(t, "       Using the gems of the last build")
	if strings.Contains(b.last.String(), "bundle install") {
		t.Errorf("the second build installs again:\n%s", b.last)
	}
	if got := b.inDyno(req, "gardenmoss"); got != "green\n" {
		t.Errorf("from the cache the program prints %q", got)
	}
	t.Run("another lock file", func(t *testing.T) {
		b := b.in(t)
		maps.Copy(vendored, gemfiles(gone, map[string]string{"gardenmoss": "1.0.0"}))
		_, slug := b.build(b.request(tarOf(t, files(vendored)...)))
		b.last.has(t, "bundle install\n", "Using gardenmoss 1.0.0\n", "Removing rake (")
		for name := range slug {
			if strings.HasPrefix(name, "vendor/bundle/") && strings.Contains(name, "/rake-") {
				t.Errorf("a gem that is no longer asked for is in the slug: %s", name)
				break
			}
		}
	})
	t.Run("other settings", func(t *testing.T) {
		b := b.in(t)
		req := b.request(tarOf(t, files(vendored)...))
		req.Env = map[string]string{"BUNDLE_WITHOUT": "garden"}
		b.build(req)
		b.last.has(t, "BUNDLE_WITHOUT=garden", "bundle install\n")
	})
	t.Run("another Ruby", func(t *testing.T) {
		b := b.in(t).finding(answering(t, "ruby", "-e puts RUBY_DESCRIPTION, Gem::Specification.find_all_by_name(\"bundler\").map(&:version)", "ruby 9.9"))
		b.build(b.request(tarOf(t, files(vendored)...)))
		b.last.has(t, "-----> Discarding the installed gems of the last build: Ruby or the stack has changed\n", "Installing gardenmoss 1.0.0\n")
	})
}

func TestRubyAppIsBuiltFromAGemServer(t *testing.T) {
	dir, _ := packGems(t)
	root := filepath.Dir(dir)
	if out, err := exec.Command("gem", "generate_index", "--directory", root).CombinedOutput(); err != nil {
		t.Fatalf("gem generate_index: %v\n%s", err, out)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(root)))
	defer server.Close()
	mirror := strings.Replace(server.URL, "//", "//ann:s3cret@", 1)
	for name, test := range map[string]struct {
		source string
		env    map[string]string
	}{
		"that the Gemfile names":   {server.URL, nil},
		"that is a mirror of this": {gone, map[string]string{"BUNDLE_MIRROR__HTTP://127__0__0__1:1/": mirror}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(c *Config) { maps.Copy(c.MachineEnv, test.env) })
			req := b.request(tarOf(t, files(gemfiles(test.source, map[string]string{"gardenmoss": "1.0.0"}))...))
			b.build(req)
			b.last.has(t, "Installing gardenmoss 1.0.0\n")
			if strings.Contains(b.last.String(), "s3cret") {
				t.Errorf("the mirror's password is shown:\n%s", b.last)
			}
			req = b.request(tarOf(t, files(gemfiles(test.source, map[string]string{"gardenmoss": "1.0.0"}))...))
			b.build(req)
			b.last.has(t, restored)
			if got := b.inDyno(req, "gardenmoss"); got != "green\n" {
				t.Errorf("the program prints %q", got)
			}
		})
	}
}

func TestRubyAppUsesTheGemsOfThisMachineWhereNoneCanBeFetched(t *testing.T) {
	_, rake := packGems(t)
	b := newBench(t, nil)
	req := b.request(tarOf(t, files(gemfiles(gone, map[string]string{"rake": rake}))...))
	req.Env = map[string]string{"BUNDLE_RETRY": "0"}
	b.build(req)
	b.last.has(t, " !     The gems cannot be fetched, but this machine has all of them")
	if got := b.inDyno(req, "bundle exec rake --version"); got != "rake, version "+rake+"\n" {
		t.Errorf("in a dyno: %s", got)
	}
}

func TestRubyAppHasTheProcessesAndAddonsOfItsGems(t *testing.T) {
	release, err := filepath.Abs("../../buildpacks/ruby/bin/release")
	if err != nil {
		t.Fatal(err)
	}
	types := func(console, web string) map[string]string {
		all := map[string]string{"rake": "bundle exec rake", "console": console}
		if web != "" {
			all["web"] = web
		}
		return all
	}
	for gems, want := range map[string]struct {
		types  map[string]string
		addons []manifest.Addon
	}{
		"rake":          {types("bundle exec irb", ""), nil},
		"rack pg":       {types("bundle exec irb", "bundle exec rackup config.ru -p ${PORT:-5000}"), []manifest.Addon{{Plan: "heroku-postgresql"}}},
		"rack thin":     {types("bundle exec irb", "bundle exec thin start -R config.ru -e $RACK_ENV -p ${PORT:-5000}"), nil},
		"rack railties": {types("bin/rails console", "bin/rails server -p ${PORT:-5000} -e $RAILS_ENV"), nil},
	} {
		locked := map[string]string{}
		for _, name := range strings.Fields(gems) {
			locked[name] = "1.0.0"
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Gemfile.lock"), []byte(gemfiles(gone, locked)["Gemfile.lock"]), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sh", release, dir).Output()
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseRelease(out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.types, got.ProcessTypes); diff != "" {
			t.Errorf("types of %s (-want +got):\n%s", gems, diff)
		}
		if diff := cmp.Diff(want.addons, got.setup()); diff != "" {
			t.Errorf("add-ons of %s (-want +got):\n%s", gems, diff)
		}
	}
}

func TestRubyAppThatCannotBeBuiltSaysWhatToChange(t *testing.T) {
	need.Tool(t, "ruby")
	need.Tool(t, "bundle")
	b := newBench(t, nil)
	lock := gemfiles(gone, nil)["Gemfile.lock"]
	for name, test := range map[string]struct {
		app  map[string]string
		says string
	}{
		"no lock file":           {map[string]string{"Gemfile": ""}, " !     Gemfile.lock is missing"},
		"a Gemfile that is none": {map[string]string{"Gemfile": "gems!\n", "Gemfile.lock": lock}, " !     The Gemfile cannot be read; the lines above say why."},
		"a gem out of reach":     {gemfiles(gone, map[string]string{"gardenmoss": "1.0.0"}), " !     The gems of the app cannot be installed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.in(t)
			req := b.request(tarOf(t, files(test.app)...))
			req.Env = map[string]string{"BUNDLE_RETRY": "0"}
			if got := b.reject(req); got != "Push rejected, failed to compile Ruby app." {
				t.Errorf("the error is %q", got)
			}
			b.last.has(t, test.says)
		})
	}
}
