package cli

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"niwa/platform/docker"
	"niwa/platform/instance"
	"niwa/platform/stack"
)

//go:embed languages.sh
var languagesScript string

// askTime is how long all the languages may take to say which they are.
const askTime = 30 * time.Second

// language is one that builds are for, and what brings it to a machine.
type language struct{ id, name, get string }

func languageList() []language {
	return []language{
		{"ruby", "Ruby", "apt-get install ruby ruby-dev bundler"},
		{"nodejs", "Node.js", "install it from https://nodejs.org"},
		{"clojure", "Clojure", "apt-get install leiningen"},
		{"python", "Python", "apt-get install python3 python3-venv"},
		{"java", "Java", "apt-get install default-jdk-headless maven"},
		{"scala", "Scala", "apt-get install default-jdk-headless maven"},
		{"php", "PHP", "apt-get install php-cli php-fpm composer"},
		{"go", "Go", "install it from https://go.dev/dl"},
	}
}

// languages says which version of each language builds would find: this
// machine's where dynos are processes, else those of the stack image, which
// has this machine's Go and Node.js mounted.
func languages(ctx context.Context, opts *options, runtime string) []finding {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	ask, where := askMachine, "this machine"
	if runtime == instance.Docker {
		ask, where = opts.askStack, "the stack image"
	}
	said, err := ask(ctx)
	if err != nil {
		return []finding{{"languages", "note", fmt.Sprintf("what %s has cannot be said: %v", where, err)}}
	}
	there := map[string]string{}
	for line := range strings.Lines(said) {
		id, versions, _ := strings.Cut(strings.TrimSpace(line), "\t")
		there[id] = versions
	}
	var findings []finding
	for _, l := range languageList() {
		f := finding{l.id, "ok", there[l.id]}
		if f.detail == "" {
			get := l.get
			if runtime == instance.Process {
				get += ", or --runtime docker"
			}
			f.state, f.detail = "missing", fmt.Sprintf("disables deploying %s apps; %s", l.name, get)
		}
		findings = append(findings, f)
	}
	return findings
}

// askMachine leaves out what is in somebody's home, as dynos do not see that.
func askMachine(ctx context.Context) (string, error) {
	path := filepath.SplitList(os.Getenv("PATH"))
	if home, err := os.UserHomeDir(); err == nil && home != "/" {
		path = slices.DeleteFunc(path, func(dir string) bool {
			return dir == home || strings.HasPrefix(dir, home+"/")
		})
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", languagesScript)
	cmd.Env = append(os.Environ(), "PATH="+strings.Join(path, ":"))
	out, err := cmd.Output()
	return string(out), err
}

func (o *options) askStack(ctx context.Context) (string, error) {
	engine, err := docker.Connect(ctx, "doctor")
	if err != nil {
		return "", err
	}
	defer engine.Close()
	s, err := stack.New(engine, o.StackBase, func(string, ...any) {})
	if err != nil {
		return "", err
	}
	missing, err := s.Missing(ctx)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		return "", errors.New("it is not made yet; run \"niwa stack build\"")
	}
	toolchains, _ := stack.Toolchains() // what is missing of them, runtime has said
	return s.Ask(ctx, toolchains, languagesScript)
}
