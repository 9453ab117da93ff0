package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest/need"
)

func TestTheBlockIsPrintedAsEachShellReadsIt(t *testing.T) {
	update := os.Getenv("NIWA_TEST_UPDATE") != ""
	for _, shell := range []string{"sh", "fish", "powershell"} {
		t.Run(shell, func(t *testing.T) {
			env := environment{data: `/srv/it's \niwa`, port: "5100", token: "t0ken", lookup: lookup(), noEmpty: shell == "powershell"}
			vars, err := env.variables()
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := writeVariables(&got, vars, shell); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "env."+shell)
			if update {
				write(t, golden, got.String())
			}
			if diff := cmp.Diff(read(t, golden), got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each shell is given values that would break a careless quotation and asked
// what it made of them.
func TestAShellReadsBackWhatWasWritten(t *testing.T) {
	hard := []variable{
		{"A", `it's`}, {"B", `a\b\'c`}, {"C", `$HOME "x" ` + "`id`"}, {"D", "two\nlines"}, {"E", "‘curly’ ünï"}, {"F", `!f() { test "$1"; }; f`},
	}
	type shell struct {
		name, tool string
		args       []string
		print      string
	}
	shells := []shell{
		{"sh", "sh", []string{"-c"}, `printf '%s\000' "$A" "$B" "$C" "$D" "$E" "$F"`},
		{"fish", "fish", []string{"--no-config", "-c"}, `printf '%s\000' $A $B $C $D $E $F`},
	}
	// Debian has no package of PowerShell, so nobody can be told to install
	// it: without it the golden file alone holds its syntax.
	if _, err := exec.LookPath("pwsh"); err == nil {
		shells = append(shells, shell{"powershell", "pwsh", []string{"-NoProfile", "-Command"},
			`foreach ($v in $env:A,$env:B,$env:C,$env:D,$env:E,$env:F) { [Console]::Out.Write($v + [char]0) }`})
	}
	for _, s := range shells {
		t.Run(s.name, func(t *testing.T) {
			tool := need.Tool(t, s.tool)
			var script bytes.Buffer
			if err := writeVariables(&script, hard, s.name); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(tool, append(s.args, script.String()+s.print)...).Output()
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
			var want []string
			for _, v := range hard {
				want = append(want, v.value)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEnvOfADirectoryThatNoNiwaUsedSaysHowToStartOne(t *testing.T) {
	_, stderr, status := niwa(t, nil, "env", "--data", filepath.Join(t.TempDir(), "none"))
	if status != 1 || !strings.Contains(stderr, `start one with "niwa up"`) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

func TestEnvNamesThePortOfTheRunningNiwa(t *testing.T) {
	data := dataDir(t, "127.0.0.1:5999")
	stdout, stderr, status := niwa(t, nil, "env", "--data", data)
	if status != 0 || !strings.Contains(stdout, "export HEROKU_HOST='http://localhost:5999'\n") {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

func TestEnvRefusesAShellItDoesNotKnow(t *testing.T) {
	_, stderr, status := niwa(t, nil, "env", "--data", dataDir(t, "localhost:5100"), "--shell", "tcsh")
	if want := "niwa: --shell: \"tcsh\" is not one of sh, fish, powershell\n"; status != 1 || stderr != want {
		t.Errorf("status %d, stderr %q, want %q", status, stderr, want)
	}
}

func TestTheUsersOwnAuthorityIsKept(t *testing.T) {
	data := dataDir(t, "localhost:5100")
	theirs := filepath.Join(t.TempDir(), "company.pem")
	write(t, theirs, "-----BEGIN CERTIFICATE-----\ntheirs\n-----END CERTIFICATE-----")
	env := environment{data: data, port: "5100", lookup: lookup("NODE_EXTRA_CA_CERTS=" + theirs)}
	both, err := env.authorities("NODE_EXTRA_CA_CERTS")
	if err != nil {
		t.Fatal(err)
	}
	bundle := read(t, both)
	want := read(t, theirs) + "\n" + read(t, filepath.Join(data, "ca", "ca.pem"))
	if diff := cmp.Diff(want, bundle); diff != "" {
		t.Error(diff)
	}
	// Evaluated again, in the environment it made, it stays as it is.
	env.lookup = lookup("NODE_EXTRA_CA_CERTS=" + both)
	if again, err := env.authorities("NODE_EXTRA_CA_CERTS"); err != nil || again != both {
		t.Errorf("the second time: %q, %v, want %q", again, err, both)
	}
	env.lookup = lookup("NODE_EXTRA_CA_CERTS=/no/such/file")
	if own, err := env.authorities("NODE_EXTRA_CA_CERTS"); err != nil || own != filepath.Join(data, "ca", "ca.pem") {
		t.Errorf("with a missing file: %q, %v", own, err)
	}
}

func TestAProxyIsKeptAwayFromNiwa(t *testing.T) {
	cases := map[string]struct {
		env  []string
		want []variable
	}{
		"no proxy, nothing to say":     {nil, nil},
		"a proxy":                      {[]string{"https_proxy=http://p:3128"}, []variable{{"NO_PROXY", "localhost,127.0.0.1"}, {"no_proxy", "localhost,127.0.0.1"}}},
		"a proxy and exceptions of it": {[]string{"HTTP_PROXY=http://p:3128", "NO_PROXY=corp, localhost"}, []variable{{"NO_PROXY", "corp,localhost,127.0.0.1"}, {"no_proxy", "localhost,127.0.0.1"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := environment{lookup: lookup(c.env...)}.noProxy()
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(variable{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// apply returns the environment that evaluating the block in env makes.
func apply(t *testing.T, e environment, env []string) []string {
	t.Helper()
	e.lookup = lookup(env...)
	vars, err := e.git()
	if err != nil {
		t.Fatal(err)
	}
	return merged(env, vars)
}

func gitConfig(t *testing.T, env []string, args ...string) []string {
	t.Helper()
	cmd := exec.Command(need.Tool(t, "git"), append([]string{"config"}, args...)...)
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1"}, env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git config %v: %v", args, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func TestGitReadsItsSettingsFromTheEnvironmentBesideTheUsers(t *testing.T) {
	e := environment{data: dataDir(t, "localhost:5100"), port: "5100"}
	theirs := []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=user.name", "GIT_CONFIG_VALUE_0=Niwashi"}
	once := apply(t, e, theirs)
	for name, env := range map[string][]string{"evaluated once": once, "evaluated twice": apply(t, e, once)} {
		t.Run(name, func(t *testing.T) {
			if got := gitConfig(t, env, "user.name"); got[0] != "Niwashi" {
				t.Errorf("user.name = %q", got)
			}
			if got := gitConfig(t, env, "--get-urlmatch", "http.sslCAInfo", "https://localhost:5100/users.git"); got[0] != e.data+"/ca/ca.pem" {
				t.Errorf("http.sslCAInfo = %q", got)
			}
			helpers := gitConfig(t, env, "--get-all", "credential.https://localhost:5100/.helper")
			if diff := cmp.Diff([]string{"", e.credentialHelper()}, helpers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGitGetsTheTokenFromTheHelperAlone(t *testing.T) {
	git := need.Tool(t, "git")
	e := environment{data: dataDir(t, "localhost:5100"), port: "5100", token: "t0ken"}
	home := t.TempDir()
	leak := filepath.Join(home, "asked")
	// A helper of the user's, which must be neither asked nor told, and the
	// one that the official CLI writes.
	write(t, filepath.Join(home, ".gitconfig"),
		"[credential]\n\thelper = !touch "+leak+"\n"+
			"[credential \"https://localhost:5100\"]\n\thelper = !touch "+leak+"\n")
	env := apply(t, e, nil)
	if strings.Contains(strings.Join(env, "\n"), "t0ken") {
		t.Error("git's settings hold the token itself")
	}
	env = append(env, "HOME="+home, "PATH="+os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true")
	run := func(verb, host string) (string, error) {
		cmd := exec.Command(git, "credential", verb)
		cmd.Env, cmd.Dir = env, home
		cmd.Stdin = strings.NewReader("protocol=https\nhost=" + host + "\nusername=heroku\npassword=t0ken\n\n")
		if verb == "fill" {
			cmd.Stdin = strings.NewReader("protocol=https\nhost=" + host + "\npath=users.git\n\n")
		}
		out, err := cmd.Output()
		return string(out), err
	}
	out, err := run("fill", "localhost:5100")
	if err != nil || !strings.Contains(out, "username=heroku\npassword=t0ken\n") {
		t.Errorf("git credential fill: %q, %v", out, err)
	}
	for _, verb := range []string{"approve", "reject"} {
		if _, err := run(verb, "localhost:5100"); err != nil {
			t.Errorf("git credential %s: %v", verb, err)
		}
	}
	if _, err := os.Stat(leak); err == nil {
		t.Error("another helper was asked or told")
	}
	if out, _ := run("fill", "localhost:5101"); strings.Contains(out, "t0ken") {
		t.Errorf("the token was given to another port: %q", out)
	}
}

func TestGitTrustsBothAuthoritiesWhereAVariableOverridesTheSetting(t *testing.T) {
	data := dataDir(t, "localhost:5100")
	theirs := filepath.Join(t.TempDir(), "company.pem")
	write(t, theirs, "theirs\n")
	env := apply(t, environment{data: data, port: "5100"}, []string{"GIT_SSL_CAINFO=" + theirs})
	file, _ := lookup(env...)("GIT_SSL_CAINFO")
	if bundle := read(t, file); !strings.HasPrefix(bundle, "theirs\n") || !strings.Contains(bundle, "\nours\n") {
		t.Errorf("%s holds %q", file, bundle)
	}
}
