package build

import (
	"regexp"
	"testing"

	"niwa/platform/platformtest/need"
)

func TestAVersionThatCannotBeHadIsAnErrorThatSaysWhichCanAndWhereItLooked(t *testing.T) {
	const lists = `[^\n]*niwa doctor lists what builds find\.\n`
	for name, test := range map[string]struct {
		tools []string
		app   map[string]string
		says  string // a pattern
	}{
		"Node.js": {[]string{"npm"}, map[string]string{"package.json": `{"engines": {"node": "4.x"}}`},
			` !     package\.json asks for Node\.js 4\.x, and this machine has v\d+\.\d+\.\d+ \(/\S+/node\)\.\n !     Change engines\.node, or install ` + lists},
		"Ruby": {[]string{"ruby", "bundle"}, map[string]string{"Gemfile": "ruby '1.9.3'\n", "Gemfile.lock": gemfiles(gone, nil)["Gemfile.lock"]},
			` !     The Gemfile asks for Ruby 1\.9\.3, and this machine has Ruby \d+\.\d+\.\d+ \(/\S+/ruby\)\.\n !     Ask for that [^\n]*, or install ` + lists},
		"Python": {[]string{"python3"}, map[string]string{"requirements.txt": "", ".python-version": "3.4\n"},
			` !     The app asks for Python 3\.4 \(\.python-version\), and this machine has (3\.\d+\.\d+ \(/\S+/python3[^ ]*\)(, )?)+\.\n !     Ask for one of those in \.python-version, or install python3\.4 ` + lists},
		"PHP": {[]string{"php", "composer"}, composerFiles(t, gone, map[string]string{"php": "^5.3"}),
			` !     The app asks for another PHP than the \d+\.\d+\.\d+\S* \(/\S+/php\) that this machine has[^\n]*\n !     Change [^\n]*, or install ` + lists},
		"Java": {[]string{"javac"}, map[string]string{"pom.xml": "<project/>", "system.properties": "java.runtime.version=7\n"},
			` !     The app asks for Java 7, and this machine has none of that release\.\n !     On the PATH and in /usr/lib/jvm there are: [^\n]*\d+\.\d+\.\d+ \(/[^\n]*\)\.\n !     Change [^\n]*, or install ` + lists},
		"Go": {[]string{"go"}, map[string]string{"go.mod": "module x\n// +heroku goVersion go1.99.1\n", "main.go": "package main\n\nfunc main() {}\n"},
			` !     The app asks for go1\.99\.1, which cannot be fetched through GOPROXY; this machine has go1\.\d+\.\d+ \(/\S+/go\)\.\n !     Ask for that [^\n]*, or install ` + lists},
	} {
		t.Run(name, func(t *testing.T) {
			for _, tool := range test.tools {
				need.Tool(t, tool)
			}
			b := newBench(t, nil)
			req := b.request(tarOf(t, files(test.app)...))
			req.Env = map[string]string{"GOPROXY": "off"}
			b.reject(req)
			if !regexp.MustCompile(test.says).MatchString(b.last.String()) {
				t.Errorf("nothing is like %s in\n%s", test.says, b.last)
			}
		})
	}
}
