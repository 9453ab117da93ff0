package build

import (
	"os/exec"
	"testing"

	"niwa/platform/platformtest/need"
)

// The script keeps a folder, and says what each of some builds is lent after what
// the one before it did to it.
const lends = `
here=$PWD
source lib/common.sh "$1" "$1/cache" "$1/env"
cd "$1"
mkdir -p src/sub empty
echo first >src/file; echo deep >src/sub/file; ln -s file src/link
keep_folder src "$cache/src"
next() { # WHAT THE LAST DID, WHAT THIS DOES
	rm -rf src
	if ! lend_folder "$cache/src" src; then
		echo "$1: nothing is lent"
		return
	fi
	echo "$1: $(cat src/file src/sub/file src/link | tr '\n' ' ')"
	eval "$2"
}
next unchanged 'rm src/sub/file'
next removed 'echo new >src/new; mv src/new src/file'
next replaced 'own_file src/file; echo more >>src/file'
next owned 'echo more >>src/sub/file'
next written :
next gone :
`

func TestAFolderIsLentToBuildsUntilOneWritesToAFileOfIt(t *testing.T) {
	need.Tool(t, "bash")
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", lends, "lends", reachable(t))
	cmd.Dir = "../../buildpacks"
	out, err := cmd.CombinedOutput()
	want := `unchanged: first deep first 
removed: first deep first 
replaced: first deep first 
owned: first deep first 
written: nothing is lent
gone: nothing is lent
`
	if string(out) != want || err != nil {
		t.Errorf("it says %q, want %q (%v)", out, want, err)
	}
}
