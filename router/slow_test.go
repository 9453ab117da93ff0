package router

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"niwa/platform/platformtest/need"
	"niwa/router/route"
)

// attackers is how many connections each attack holds.
const attackers = "1000"

// maxHeld is what they may have the router hold, its dynos in the same process
// included.
const maxHeld = 192 << 20

// TestClientsThatAreSlowOnPurposeAreBorne has slowhttptest hold a thousand
// connections in each of its four ways: with heads and with bodies that trickle,
// with overlapping ranges, and with answers that are hardly read. Others are
// served meanwhile, and it costs the router little memory.
func TestClientsThatAreSlowOnPurposeAreBorne(t *testing.T) {
	tool := need.Tool(t, "slowhttptest")
	large := strings.Repeat("m", 1<<20)
	var dynos []route.Dyno
	for range 8 { // eight times 200 requests
		dynos = append(dynos, httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "large", time.Time{}, strings.NewReader(large))
		}))
	}
	h := start(t, serving(dynos...), Timeouts{})
	atItsAddress(t, h, dynos)
	before := live()
	for attack, flags := range map[string]string{
		"heads":   "-H -i 2 -x 24",
		"bodies":  "-B -i 2 -x 24",
		"ranges":  "-R -a 5 -b 2000",
		"answers": "-X -w 10 -y 20 -z 32",
	} {
		t.Run(attack, func(t *testing.T) {
			// Go gives its children the limit of files that it was started with.
			script := `ulimit -n 4096 && exec "$0" "$@"`
			args := append([]string{"-c", script, tool}, strings.Fields(flags)...)
			cmd := exec.Command("sh", append(args, "-c", attackers, "-r", "1000", "-l", "4", "-p", "3", "-u", "http://"+h.addr+"/")...)
			ended := make(chan struct{})
			var out []byte
			var err error
			go func() {
				defer close(ended)
				out, err = cmd.CombinedOutput()
			}()
			served, most := serveOthers(t, h, ended)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !regexp.MustCompile(`service available:\S*\s+\S*YES`).Match(out) || served == 0 {
				t.Errorf("%d others were served\n%s", served, out)
			}
			t.Logf("%d MB more for %s attackers", (most-before)>>20, attackers)
			if most-before > maxHeld {
				t.Errorf("that is more than %d MB", maxHeld>>20)
			}
		})
	}
}

// live is how much memory is in use, without garbage.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// atItsAddress adds the router's own address to the app's hosts: slowhttptest
// sends no other.
func atItsAddress(t *testing.T, h *harness, dynos []route.Dyno) {
	t.Helper()
	entry := route.Entry{Hosts: []string{"app.test", "127.0.0.1"}, App: named(serving(dynos...))}
	if err := h.live.Replace(entry); err != nil {
		t.Fatal(err)
	}
}

// failed are the lines logged of requests that failed for no fault of a client's.
func failed(h *harness) string {
	var lines strings.Builder
	for range len(h.logs) {
		if line := <-h.logs; strings.Contains(line, "at=error") {
			fmt.Fprintln(&lines, line)
		}
	}
	return lines.String()
}

// serveOthers asks as any client does until the attack ends, and counts; most is
// the most memory that was in use.
func serveOthers(t *testing.T, h *harness, ended <-chan struct{}) (served int, most int64) {
	t.Helper()
	for {
		select {
		case <-ended:
			return served, most
		default:
		}
		if served%100 == 0 {
			most = max(most, live())
		}
		c := h.dial(t)
		io.WriteString(c, get("/", "Range: bytes=0-9"))
		resp, body, err := answerOn(bufio.NewReader(c))
		c.Close() // not with the test: there are thousands
		if err != nil || resp.StatusCode != 206 || len(body) != 10 {
			t.Errorf("one of the others got %v, %v\n%s", resp, err, failed(h))
			<-ended
			return served, most
		}
		served++
	}
}
