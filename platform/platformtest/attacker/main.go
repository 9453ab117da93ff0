// Command attacker is an app that wants more than is its own: see escape.
package main

import (
	"os"

	"niwa/platform/platformtest/escape"
)

func main() { os.Exit(escape.Main(os.Args[1:])) }
