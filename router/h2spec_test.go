package router

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"niwa/platform/platformtest/need"
	"niwa/router/route"
)

// TestH2specPasses runs h2spec, with all of its cases.
func TestH2specPasses(t *testing.T) {
	t.Parallel()
	tool := need.Tool(t, "h2spec")
	certified := certified(t)
	dyno := httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "hello")
	})
	h := startTLS(t, serving(dyno), Timeouts{}, &tls.Config{Certificates: certified.TLS.Certificates})
	atItsAddress(t, h, []route.Dyno{dyno})
	host, port, err := net.SplitHostPort(h.addr)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(tool, "-h", host, "-p", port, "-t", "-k", "-o", "2").CombinedOutput() // it fails when a case does
	m := regexp.MustCompile(`(\d+) tests, (\d+) passed`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("it did not end:\n%s", out)
	}
	tests, _ := strconv.Atoi(string(m[1]))
	passed, _ := strconv.Atoi(string(m[2]))
	if tests != 145 || passed != 145 {
		t.Errorf("%d of %d pass\n%s", passed, tests, failures(string(out)))
	}
}

// failures are the lines of h2spec's report from its summary on.
func failures(out string) string {
	if _, rest, ok := strings.Cut(out, "Failures:"); ok {
		return rest
	}
	return out
}

func TestSettingsThatAreSaidTwiceAreSaidOnce(t *testing.T) {
	frame := func(settings string) string {
		return "\x00\x00" + string(rune(len(settings))) + "\x04\x00\x00\x00\x00\x00" + settings
	}
	const (
		window1  = "\x00\x04\x00\x00\x00\x64"
		window2  = "\x00\x04\x00\x00\x00\x01"
		tooLarge = "\x00\x04\xff\xff\xff\xff"
		noPush   = "\x00\x02\x00\x00\x00\x00"
	)
	for name, c := range map[string]struct{ in, want string }{
		"once":                 {frame(window1 + noPush), frame(window1 + noPush)},
		"twice":                {frame(window1 + noPush + window2), frame(noPush + window2)},
		"twice, once wrong":    {frame(tooLarge + window2), frame(tooLarge + window2)},
		"not at all":           {frame(""), frame("")},
		"in an acknowledgment": {"\x00\x00\x0c\x04\x01\x00\x00\x00\x00" + window1 + window1, "\x00\x00\x0c\x04\x01\x00\x00\x00\x00" + window1 + window1},
		"in another frame":     {"\x00\x00\x0c\x00\x00\x00\x00\x00\x01" + window1 + window1, "\x00\x00\x0c\x00\x00\x00\x00\x00\x01" + window1 + window1},
		"and cut":              {frame(window1 + window2)[:15], frame(window1 + window2)[:15]},
	} {
		t.Run(name, func(t *testing.T) {
			const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
			client, server := net.Pipe()
			go func() {
				io.WriteString(client, preface+c.in)
				client.Close()
			}()
			f := &frames{in: bufio.NewReader(server), through: len(preface)}
			if got, err := io.ReadAll(f); err != nil || string(got) != preface+c.want {
				t.Errorf("got %q, %v, want %q", got, err, preface+c.want)
			}
		})
	}
}
