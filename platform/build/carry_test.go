package build

import (
	"path/filepath"
	"testing"

	"niwa/platform/build/image/imagetest"
	"niwa/platform/stack"
)

// The script carries a package into three slugs, the last when the image has
// another one, and says when it had to gather what that is.
const carries = `exec bash -euo pipefail -c '
mkdir -p /tmp/b/.profile.d
here=/buildpacks/ruby
source /buildpacks/lib/common.sh /tmp/b /tmp/c /tmp/e
source /buildpacks/lib/carry.sh
eval "real_$(declare -f gather)"
gather() { echo -n "gathered, "; real_gather "$@"; }
for n in 1 2 3; do
	rm -rf /tmp/b/.heroku
	carry bison
	test -x /tmp/b/.heroku/packages/usr/bin/bison && echo carried
	if [ $n = 2 ]; then echo >>/var/lib/dpkg/status; fi
done'`

func TestWhatASlugCarriesIsGatheredAgainOnlyFromOtherPackages(t *testing.T) {
	s := imagetest.Stack(t)
	buildpacks, err := filepath.Abs("../../buildpacks")
	if err != nil {
		t.Fatal(err)
	}
	said, err := s.Ask(t.Context(), []stack.Mount{{From: buildpacks, To: "/buildpacks"}}, carries)
	if want := "gathered, carried\ncarried\ngathered, carried\n"; said != want || err != nil {
		t.Errorf("it says %q, want %q (%v)", said, want, err)
	}
}
