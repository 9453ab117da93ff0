// Command niwa is a Heroku-shaped platform in one binary. What it does is in
// platform; this file hands over what the binary carries.
package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"

	"niwa/platform/cli"
	"niwa/platform/dyno/pid1"
)

const version = "0.1.0"

//go:embed elements.yaml
var elements []byte

//go:embed all:buildpacks
var buildpacks embed.FS

func main() {
	pid1.Main()
	packs, err := fs.Sub(buildpacks, "buildpacks")
	if err != nil {
		fmt.Fprintln(os.Stderr, "niwa:", err)
		os.Exit(1)
	}
	program := cli.Program{Version: version, Elements: elements, Buildpacks: packs}
	os.Exit(cli.Run(context.Background(), program, os.Args[1:], os.Stdout, os.Stderr))
}
