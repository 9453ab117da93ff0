package stack

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// release is the Debian that DefaultBase is, and the recipe is for.
const release = "bookworm"

// source is a place of packages that this machine uses.
type source struct{ url, suite, component string }

// sources lists where this machine gets the packages of the release from:
// what it uses, it can reach. It is empty when this machine is something else.
func sources(ctx context.Context) []source {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--no-release-info",
		"--format", "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)").Output()
	if err != nil {
		return nil
	}
	var found []source
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] != "Packages" || f[2] != release && f[2] != release+"-updates" && f[2] != release+"-security" {
			continue
		}
		at, err := url.Parse(f[1])
		// A password in a URL would stay in the image.
		if err != nil || at.User != nil || at.Scheme != "http" && at.Scheme != "https" {
			continue
		}
		if s := (source{f[1], f[2], f[3]}); !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	return found
}

// sourcesList is sources as a file; it is empty when there is no place of the
// release itself among them: an image then has its own.
func sourcesList(ctx context.Context) string {
	var list strings.Builder
	whole := false
	for _, s := range sources(ctx) {
		whole = whole || s.suite == release && s.component == "main"
		fmt.Fprintf(&list, "deb %s %s %s\n", s.url, s.suite, s.component)
	}
	if !whole {
		return ""
	}
	return list.String()
}

// nearestMirror is where debootstrap is to get the release from; where this machine
// knows of none it is empty, and debootstrap has its own.
func nearestMirror(ctx context.Context) string {
	for _, s := range sources(ctx) {
		if s.suite == release && s.component == "main" {
			return s.url
		}
	}
	return ""
}

// proxies are the build arguments by which apt finds its way out. The engine
// gives these names to the build, and keeps them out of the image.
func proxies(ctx context.Context) map[string]*string {
	args := map[string]*string{}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if value, ok := os.LookupEnv(name); ok {
			args[name] = &value
		}
	}
	for _, scheme := range []string{"http", "https"} {
		out, err := exec.CommandContext(ctx, "apt-config", "shell", "value", "Acquire::"+scheme+"::Proxy").Output()
		value, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "value='")
		if value, closed := strings.CutSuffix(value, "'"); err == nil && ok && closed {
			args[scheme+"_proxy"] = &value
		}
	}
	return args
}
