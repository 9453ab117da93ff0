package stack

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Mount is a file or folder of this machine that containers can read.
type Mount struct{ From, To string }

// Where the build image looks for the machine's toolchains.
const (
	goRoot     = "/usr/lib/go"
	nodeBinary = "/usr/local/bin/node"
	nodeModule = "/usr/local/lib/node_modules/"
)

// Toolchains finds the Go and the Node.js of this machine that builds in
// containers can use. The errors say of each one that cannot why, and what
// could.
func Toolchains() ([]Mount, error) {
	goMounts, goErr := goToolchain()
	nodeMounts, nodeErr := nodeToolchain()
	return append(goMounts, nodeMounts...), errors.Join(goErr, nodeErr)
}

// goToolchain is GOROOT. Debian's is put together of links that lead out of it.
func goToolchain() ([]Mount, error) {
	program, err := exec.LookPath("go")
	if err != nil {
		return nil, errors.New("no Go for builds: install it from https://go.dev/dl")
	}
	out, err := exec.Command(program, "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("no Go for builds: %s env GOROOT: %w", program, err)
	}
	root, err := filepath.EvalSymlinks(strings.TrimSpace(string(out)))
	if err != nil {
		return nil, fmt.Errorf("no Go for builds: %w", err)
	}
	mounts := []Mount{{root, goRoot}}
	entries, err := os.ReadDir(root)
	for _, e := range entries {
		if e.Type() != os.ModeSymlink {
			continue
		}
		link, linkErr := os.Readlink(filepath.Join(root, e.Name()))
		from, fromErr := filepath.EvalSymlinks(filepath.Join(root, e.Name()))
		if linkErr != nil || fromErr != nil {
			continue // it leads nowhere here either
		}
		to := link
		if !filepath.IsAbs(to) {
			to = filepath.Join(goRoot, link)
		}
		if !strings.HasPrefix(to, goRoot+"/") {
			mounts = append(mounts, Mount{from, to})
		}
	}
	return mounts, err
}

// nodeToolchain is node with the npm beside it, which are mounted where the
// build image has links to them.
func nodeToolchain() ([]Mount, error) {
	const get = "get one that stands alone from https://nodejs.org"
	node, err := program("node")
	if err != nil {
		return nil, errors.New("no Node.js for builds: " + get)
	}
	if err := portable(node); err != nil {
		return nil, fmt.Errorf("no Node.js for builds: %w; %s", err, get)
	}
	npm, err := program("npm") // .../npm/bin/npm-cli.js
	if err != nil {
		return nil, errors.New("no npm for builds: " + get)
	}
	module := filepath.Dir(filepath.Dir(npm))
	if _, err := os.Stat(filepath.Join(module, "node_modules", "semver")); err != nil {
		return nil, fmt.Errorf("no npm for builds: %s uses modules that are elsewhere on this machine; %s", npm, get)
	}
	mounts := []Mount{{node, nodeBinary}, {module, nodeModule + "npm"}}
	if corepack := filepath.Join(filepath.Dir(module), "corepack"); isDir(corepack) {
		mounts = append(mounts, Mount{corepack, nodeModule + "corepack"})
	}
	return mounts, nil
}

// program is the file that a command is, behind all links.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// portable says why a program does not run in the stack images: it is linked
// with more than the C and C++ libraries that they have.
func portable(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is no Linux program", path)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	common := []string{"libc", "libm", "libdl", "libpthread", "librt", "libstdc++", "libgcc_s", "libatomic", "ld-linux-x86-64", "ld-linux-aarch64"}
	for _, library := range libraries {
		if name, _, _ := strings.Cut(library, ".so"); !slices.Contains(common, name) {
			return fmt.Errorf("%s needs %s of this machine", path, library)
		}
	}
	return nil
}
