package router

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"niwa/router/route"
)

// naming are dynos that answer with their names and the cookies they see. Those
// asked for /hold answer when it is over.
func naming(t *testing.T, n int) (app route.App, held chan string, release chan struct{}) {
	t.Helper()
	held, release = make(chan string, 10), make(chan struct{})
	for i := range n {
		name := fmt.Sprintf("web.%d", i+1)
		app.Dynos = append(app.Dynos, httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hold" {
				held <- name
				<-release
			}
			fmt.Fprint(w, strings.Join(append([]string{name}, r.Header["Cookie"]...), " "))
		}))
	}
	return serving(app.Dynos...), held, release
}

// share asks n times and counts who answers.
func (h *harness) share(t *testing.T, n int, more ...string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for range n {
		_, body, err := h.ask(t, get("/", append(more, "Connection: close")...))
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(body, " ")
		counts[name]++
	}
	return counts
}

func TestThePolicyAndTheWeightsChangeWhileRequestsAreInFlight(t *testing.T) {
	t.Parallel()
	app, held, release := naming(t, 2)
	app.Routing.Weights = map[string]int{"web.2": 0}
	h := start(t, app, Timeouts{})
	for range 3 {
		io.WriteString(h.dial(t), get("/hold"))
		if name := <-held; name != "web.1" {
			t.Errorf("%s, whose weight is 0, has a request", name)
		}
	}
	app.Routing = route.Routing{Policy: "least-outstanding"}
	h.swap(t, app)
	if diff := gocmp.Diff([]Load{{"web.1", 3, 1, false}, {"web.2", 0, 1, false}}, h.Loads("id-of-app")); diff != "" {
		t.Error(diff)
	}
	if diff := gocmp.Diff(map[string]int{"web.2": 20}, h.share(t, 20)); diff != "" {
		t.Errorf("least outstanding: %s", diff)
	}
	app.Routing = route.Routing{Policy: "round-robin", Weights: map[string]int{"web.1": 4}}
	h.swap(t, app)
	if diff := gocmp.Diff(map[string]int{"web.1": 40, "web.2": 10}, h.share(t, 50)); diff != "" {
		t.Errorf("round robin: %s", diff)
	}
	if diff := gocmp.Diff([]Load{{"web.1", 3, 4, false}, {"web.2", 0, 1, false}}, h.Loads("id-of-app")); diff != "" {
		t.Error(diff)
	}
	close(release)
}

func TestDynosOfWeight0ShareTheRequestsThatNobodyElseCanHave(t *testing.T) {
	t.Parallel()
	app, _, _ := naming(t, 3)
	app.Dynos[2].Addr = refusing(t).Addr
	app.Routing = route.Routing{Policy: "round-robin", Weights: map[string]int{"web.1": 0, "web.2": 0, "web.3": 5}}
	h := start(t, app, Timeouts{})
	if diff := gocmp.Diff(map[string]int{"web.1": 10, "web.2": 10}, h.share(t, 20)); diff != "" {
		t.Error(diff)
	}
	if loads := h.Loads("id-of-app"); !loads[2].Quarantined {
		t.Errorf("web.3 refuses and is not left out: %+v", loads)
	}
}

func TestAPolicyThatTheRouterDoesNotKnowIsRandom(t *testing.T) {
	t.Parallel()
	app, _, _ := naming(t, 2)
	app.Routing.Policy = "fastest"
	if counts := start(t, app, Timeouts{}).share(t, 60); counts["web.1"] == 0 || counts["web.2"] == 0 {
		t.Errorf("got %v", counts)
	}
}

func TestAClientIsKeptWithADyno(t *testing.T) {
	t.Parallel()
	app, _, _ := naming(t, 3)
	app.Routing.Affinity = true
	h := start(t, app, Timeouts{})
	resp, name, err := h.ask(t, get("/"))
	if err != nil {
		t.Fatal(err)
	}
	cookie := resp.Header.Get("Set-Cookie")
	if !regexp.MustCompile(`^heroku-session-affinity=[A-Za-z0-9_-]{22}; Max-Age=86400; Path=/; HttpOnly$`).MatchString(cookie) {
		t.Fatalf("got the cookie %q", cookie)
	}
	brought, _, _ := strings.Cut(cookie, ";")
	for range 20 {
		resp, body, err := h.ask(t, get("/", "Cookie: a=1; "+brought, "Cookie: b=2"))
		if err != nil || !strings.HasPrefix(body, name+" ") || !strings.Contains(body, brought) || resp.Header.Get("Set-Cookie") != "" {
			t.Fatalf("%s had the client; now %q answers, with %v, %v", name, body, resp.Header, err)
		}
	}
	if counts := h.share(t, 60, "Cookie: heroku-session-affinity=AAAAAAAAAAAAAAAAAAAAAA"); len(counts) != 3 {
		t.Errorf("with a cookie that was made up all requests go to %v", counts)
	}

	var n int
	fmt.Sscanf(name, "web.%d", &n)
	app.Routing.Weights = map[string]int{name: 0}
	h.swap(t, app)
	if counts := h.share(t, 20, "Cookie: "+brought); counts[name] > 0 {
		t.Errorf("it is to get no requests and has clients kept with it: %v", counts)
	}
	app.Routing.Weights, app.Dynos[n-1].Addr = nil, refusing(t).Addr
	h.swap(t, app)
	resp, body, err := h.ask(t, get("/", "Cookie: "+brought))
	if err != nil || resp.StatusCode != 200 || strings.HasPrefix(body, name) || resp.Header.Get("Set-Cookie") == "" {
		t.Errorf("when the dyno takes no connection the client gets %q, %v, %v", body, resp.Header, err)
	}
	again, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
	other, _, _ := strings.Cut(body, " ")
	if diff := gocmp.Diff(map[string]int{other: 20}, h.share(t, 20, "Cookie: "+again)); diff != "" {
		t.Errorf("with its new dyno: %s", diff)
	}
}

func TestTheCookieOfAffinityIsForAnswersOfDynosAlone(t *testing.T) {
	t.Parallel()
	app, _, _ := naming(t, 1)
	app.State, app.Routing.Affinity = route.Maintenance, true
	h := start(t, app, Timeouts{})
	if resp, _, err := h.ask(t, get("/")); err != nil || resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("maintenance: %v, %v", resp.Header, err)
	}
	early := serving(says(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	early.Routing.Affinity = true
	h.swap(t, early)
	in := bufio.NewReader(h.dial(t))
	c := h.dial(t)
	io.WriteString(c, get("/"))
	in.Reset(c)
	if head := readHead(in); strings.Contains(head, "Set-Cookie") {
		t.Errorf("before the answer: %s", head)
	}
	if head := readHead(in); strings.Count(head, "Set-Cookie: heroku-session-affinity=") != 1 {
		t.Errorf("the answer: %s", head)
	}
	socket := serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	}))
	socket.Routing.Affinity = true
	h.swap(t, socket)
	resp, _, err := h.ask(t, get("/", "Connection: Upgrade", "Upgrade: websocket"))
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Set-Cookie") == "" {
		t.Errorf("a WebSocket begins with %v, %v", cmp.Or(resp, &http.Response{}).Header, err)
	}
}

func TestTheCookieOfAffinityIsSecureWhereTheClientIs(t *testing.T) {
	t.Parallel()
	app, _, _ := naming(t, 1)
	app.Routing.Affinity = true
	s := certified(t)
	h := startTLS(t, app, Timeouts{}, &tls.Config{Certificates: s.TLS.Certificates})
	for _, proto := range []string{"http/1.1", "h2"} {
		transport := s.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.ServerName = "example.com"
		transport.ForceAttemptHTTP2 = proto == "h2"
		if proto != "h2" {
			transport.TLSClientConfig.NextProtos = []string{proto}
		}
		req, err := http.NewRequest("GET", "https://"+h.addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "app.test"
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Set-Cookie"); !strings.HasSuffix(got, "; HttpOnly; Secure") {
			t.Errorf("%s: got %q", proto, got)
		}
		transport.CloseIdleConnections()
	}
}

func TestWithoutKeepAliveEachRequestHasAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 10)
	app := serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		for {
			head := readHead(in)
			if head == "" {
				close(heads)
				return
			}
			heads <- head
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}))
	app.Routing.NoKeepAlive = true
	h := start(t, app, Timeouts{})
	if resp, _, err := h.ask(t, get("/")); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if head := <-heads; !strings.Contains(head, "\r\nConnection: close\r\n") {
		t.Errorf("the dyno is told %s", head)
	}
	if head, more := <-heads; more {
		t.Errorf("the connection goes on with %s", head)
	}
}
