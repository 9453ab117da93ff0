package git

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"niwa/platform/platformtest/need"
)

func (w *world) http() *http.Client {
	w.t.Helper()
	pem, err := os.ReadFile(w.ca)
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

func TestHostileRequestsAreAnsweredWithoutHarm(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main")
	client := w.http()
	const receive, upload = "application/x-git-receive-pack-request", "application/x-git-upload-pack-request"
	zero := strings.Repeat("0", 40)
	for name, c := range map[string]struct {
		method, path, contentType, encoding, body string
		want                                      int
	}{
		"no such app":                      {"GET", "/nope.git/info/refs?service=git-upload-pack", "", "", "", 404},
		"a path for a name":                {"GET", "/..%2f..%2fetc.git/info/refs?service=git-upload-pack", "", "", "", 404},
		"dots for a name":                  {"GET", "/..git/info/refs?service=git-upload-pack", "", "", "", 404},
		"an option for a name":             {"GET", "/--upload-pack=id.git/info/refs?service=git-upload-pack", "", "", "", 404},
		"a NUL in a name":                  {"GET", "/shop%00.git/info/refs?service=git-upload-pack", "", "", "", 404},
		"a long name":                      {"GET", "/" + strings.Repeat("a", 500) + ".git/info/refs?service=git-upload-pack", "", "", "", 404},
		"no service":                       {"GET", "/shop.git/info/refs", "", "", "", 403},
		"another service":                  {"GET", "/shop.git/info/refs?service=git-upload-archive", "", "", "", 403},
		"a file of the repository":         {"GET", "/shop.git/config", "", "", "", 403},
		"an object of the repository":      {"GET", "/shop.git/objects/info/packs", "", "", "", 403},
		"a push to no app":                 {"POST", "/nope.git/git-receive-pack", receive, "", "0000", 404},
		"a probe":                          {"POST", "/shop.git/git-receive-pack", receive, "", "0000", 200},
		"the wrong content type":           {"POST", "/shop.git/git-receive-pack", upload, "", "0000", 415},
		"a form":                           {"POST", "/shop.git/git-receive-pack", "application/x-www-form-urlencoded", "", "a=b", 415},
		"an encoding git does not speak":   {"POST", "/shop.git/git-upload-pack", upload, "br", "0000", 415},
		"what is said to be gzip":          {"POST", "/shop.git/git-upload-pack", upload, "gzip", "0000", 400},
		"gzip that breaks off":             {"POST", "/shop.git/git-upload-pack", upload, "gzip", gzipped("0000")[:14], 400},
		"an empty body":                    {"POST", "/shop.git/git-receive-pack", receive, "", "", 400},
		"a line length of no number":       {"POST", "/shop.git/git-receive-pack", receive, "", "zzzz", 400},
		"a line shorter than it says":      {"POST", "/shop.git/git-receive-pack", receive, "", "00ffabc", 400},
		"a line length of 3":               {"POST", "/shop.git/git-upload-pack", upload, "", "0003", 400},
		"a want of nothing":                {"POST", "/shop.git/git-upload-pack", upload, "", "0011want nothing\n0000", 400},
		"a command that is none":           {"POST", "/shop.git/git-receive-pack", receive, "", "000bcommand0000", 400},
		"a ref out of refs":                {"POST", "/shop.git/git-receive-pack", receive, "", pkt(zero+" "+strings.Repeat("1", 40)+" ../../config\x00report-status") + "0000", 200},
		"a deletion of HEAD":               {"POST", "/shop.git/git-receive-pack", receive, "", pkt(strings.Repeat("1", 40)+" "+zero+" HEAD\x00report-status delete-refs") + "0000", 200},
		"garbage for a pack":               {"POST", "/shop.git/git-receive-pack", receive, "", pkt(zero+" "+strings.Repeat("1", 40)+" refs/heads/x\x00report-status") + "0000PACKgarbage", 200},
		"a bomb":                           {"POST", "/shop.git/git-upload-pack", upload, "gzip", gzipped(strings.Repeat("0", 80<<20)), 200},
		"a protocol of nonsense":           {"GET", "/shop.git/info/refs?service=git-upload-pack&protocol=$(id)", "", "", "", 200},
		"a request method git has not got": {"DELETE", "/shop.git/git-receive-pack", "", "", "", 405},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequest(c.method, w.url+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", c.contentType)
			request.Header.Set("Git-Protocol", "version=2:$(id)\xff")
			if c.encoding != "" {
				request.Header.Set("Content-Encoding", c.encoding)
			}
			answer, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != c.want {
				t.Errorf("status %d, want %d: %s", answer.StatusCode, c.want, body)
			}
			if answer.StatusCode == 200 && answer.Header.Get("Cache-Control") != "no-cache, max-age=0, must-revalidate" {
				t.Errorf("headers %v", answer.Header)
			}
			if bytes.Contains(body, []byte(w.server.Dir)) {
				t.Errorf("a path of the server in %q", body)
			}
		})
	}
	if left, err := filepath.Glob(w.server.repo(apps["shop"].ID) + "/objects/tmp_objdir-*"); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	w.commit(w.work, "still works", nil)
	contains(t, w.must(w.work, "push", "heroku", "main"), "-----> Building")
}

func pkt(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

func TestAPushThatBreaksOffLeavesNothing(t *testing.T) {
	w := newWorld(t, accept)
	w.must(w.work, "push", "heroku", "main")
	conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	line := pkt(strings.Repeat("0", 40) + " " + strings.Repeat("1", 40) + " refs/heads/x\x00report-status side-band-64k")
	fmt.Fprintf(conn, "POST /shop.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-git-receive-pack-request\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(line), line)
	running := func() int {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		return len(w.server.running)
	}
	eventually(t, "git runs", func() bool { return running() == 1 })
	conn.Close()
	eventually(t, "git has ended", func() bool { return running() == 0 })
}

func TestCloseEndsABuildAndRefusesMore(t *testing.T) {
	started := make(chan struct{})
	w := newWorld(t, func(ctx context.Context, p Push, out io.Writer) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	client := w.client(w.work, "push", "heroku", "main")
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	w.server.Close()
	if err := client.Wait(); err == nil {
		t.Error("the client was told it worked")
	}
	out, err := w.try(w.work, "push", "heroku", "main")
	if err == nil {
		t.Error("a push after Close was taken")
	}
	contains(t, out, "503")
}

func TestASpoolThatNobodyReads(t *testing.T) {
	part := make([]byte, 1<<20)
	s := newSpool()
	var err error
	for range 10 {
		if _, err = s.Write(part); err != nil {
			break
		}
	}
	if err != errSpoolFull {
		t.Errorf("before its client reads, a spool took 10 MB: %v", err)
	}

	s = newSpool()
	streamed := make(chan error)
	r, w := net.Pipe()
	go func() { streamed <- s.stream(w) }()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for range 10 {
			s.Write(part)
		}
		s.end()
	}()
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := <-streamed; err == nil {
		t.Error("a broken stream is no error")
	}
	select {
	case <-wrote:
	case <-time.After(patience):
		t.Error("git still waits for a client that is gone")
	}
}

func TestTheHookExitsAsToldAndRejectsWhenNobodyTells(t *testing.T) {
	sh := need.Tool(t, "sh")
	zero, one := strings.Repeat("0", 40), strings.Repeat("1", 40)
	run := func(niwa func(h *hook)) (string, int) {
		h, err := newHook()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(sh, "-c", hookScript)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GIT_OBJECT_DIRECTORY=/quarantine", "GIT_ALTERNATE_OBJECT_DIRECTORIES=/objects"}
		cmd.Stdin = strings.NewReader(zero + " " + one + " refs/heads/main\n")
		cmd.ExtraFiles = h.child()
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		h.closeChild()
		niwa(h)
		cmd.Wait()
		return out.String(), cmd.ProcessState.ExitCode()
	}
	for _, pass := range []bool{true, false} {
		out, code := run(func(h *hook) {
			h.serve(t.Context(), func(_ context.Context, r received, out io.Writer) bool {
				want := received{
					env:     []string{"GIT_OBJECT_DIRECTORY=/quarantine", "GIT_ALTERNATE_OBJECT_DIRECTORIES=/objects"},
					updates: []update{{Ref: "refs/heads/main", New: one}},
				}
				if fmt.Sprint(r) != fmt.Sprint(want) {
					t.Errorf("received %+v", r)
				}
				fmt.Fprintln(out, "hello")
				return pass
			})
		})
		if out != "hello\n" || (code == 0) != pass {
			t.Errorf("printed %q and exited with %d, for %v", out, code, pass)
		}
	}
	if _, code := run(func(h *hook) { h.close() }); code == 0 {
		t.Error("the push passes though niwa is gone")
	}
	if _, code := run(func(h *hook) {
		if _, err := readPush(h.refs); err != nil {
			t.Error(err)
		}
		h.close()
	}); code == 0 {
		t.Error("the push passes though niwa went during the build")
	}
}

func FuzzWhatTheHookSays(f *testing.F) {
	zero, one := strings.Repeat("0", 40), strings.Repeat("1", 40)
	f.Add("GIT_OBJECT_DIRECTORY=a\nGIT_ALTERNATE_OBJECT_DIRECTORIES=b\n" + zero + " " + one + " refs/heads/main\n.\n")
	f.Add("a\nb\n" + one + " " + zero + " refs/heads/a b\n.\n")
	f.Add("a\nb\nx y z\n.\n")
	f.Fuzz(func(t *testing.T, said string) {
		push, err := readPush(strings.NewReader(said))
		if err != nil {
			return
		}
		for _, u := range push.updates {
			if u.Ref == "" || u.Old != "" && len(u.Old) < 40 || u.New != "" && len(u.New) < 40 || strings.HasPrefix(u.New, "-") {
				t.Fatalf("%+v", u)
			}
		}
	})
}
