package escape

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// network are attempts on what listens.
func network() []try {
	return []try{
		{"ask another app's dyno, past the router", func(t Targets) (string, error) { return each([]string{t.Dyno}, answers) }},
		{"take the port of another app's dyno", func(t Targets) (string, error) { return each([]string{t.Dyno}, take) }},
		{"use the API without a token", func(t Targets) (string, error) { return each(t.niwas(), api) }},
		{"use another port of niwa's without a secret", func(t Targets) (string, error) { return each(t.niwas(), guess) }},
		{"connect to niwa's own sockets", func(t Targets) (string, error) { return each(t.Sockets, connect) }},
		{"use the Docker engine, or what is below it", func(Targets) (string, error) { return each(engines(), connect) }},
		{"reach another program's abstract socket", func(t Targets) (string, error) { return each([]string{t.Abstract}, connect) }},
		{"listen to the packets of others", packets},
	}
}

// reach is how long it may take to reach something on this machine.
const reach = time.Second

// answers makes a request.
func answers(addr string) error {
	client := http.Client{Timeout: reach}
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		return unwrap(err)
	}
	return resp.Body.Close()
}

// unwrap leaves out the addresses.
func unwrap(err error) error {
	var op *net.OpError
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return errors.New("no answer")
	}
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// take listens where somebody does already, and on that port of every address.
// It has succeeded when what is meant for the other comes here.
func take(addr string) (err error) {
	_, port, _ := net.SplitHostPort(addr)
	for _, at := range []string{addr, "0.0.0.0:" + port, "[::]:" + port} {
		ln, listenErr := net.Listen("tcp", at)
		if listenErr != nil {
			err = unwrap(listenErr)
			continue
		}
		err = intercepts(ln, addr)
		ln.Close()
		if err == nil {
			return nil
		}
	}
	return err
}

func intercepts(ln net.Listener, addr string) error {
	go func() {
		if c, err := net.DialTimeout("tcp", addr, reach); err == nil {
			c.Close()
		}
	}()
	if t, ok := ln.(*net.TCPListener); ok {
		t.SetDeadline(time.Now().Add(reach))
	}
	c, err := ln.Accept()
	if err != nil {
		return errors.New("nobody comes")
	}
	return c.Close()
}

// niwas are the places where niwa's ports may answer: here, and where
// containers find their machine.
func (t Targets) niwas() []string {
	hosts := []string{"127.0.0.1"}
	if gateway := gateway(); gateway != "" {
		hosts = append(hosts, gateway)
	}
	var addrs []string
	for _, host := range hosts {
		for _, port := range t.Ports {
			addrs = append(addrs, net.JoinHostPort(host, strconv.Itoa(port)))
		}
	}
	return addrs
}

// gateway is the default route's, from Linux's table of routes: in
// hexadecimal, the last byte first.
func gateway() string {
	table, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[1] != "00000000" {
			continue
		}
		if n, err := strconv.ParseUint(f[2], 16, 32); err == nil {
			return net.IPv4(byte(n), byte(n>>8), byte(n>>16), byte(n>>24)).String()
		}
	}
	return ""
}

// api asks for the apps, with what is no token.
func api(addr string) (refused error) {
	client := http.Client{Timeout: reach}
	for _, token := range []string{"", "Bearer null", "Basic Og=="} {
		req := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: addr, Path: "/apps"}, Header: http.Header{
			"Accept": {"application/vnd.heroku+json; version=3"}, "Authorization": {token},
		}}
		resp, err := client.Do(req)
		if err != nil {
			return unwrap(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		refused = fmt.Errorf("status %d", resp.StatusCode)
	}
	return refused
}

// guess says a wrong secret, and succeeds when something is said in return
// that is no refusal.
func guess(addr string) error {
	raw, err := net.DialTimeout("tcp", addr, reach)
	if err != nil {
		return unwrap(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(reach))
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if _, err := io.WriteString(c, "guessed\r\n"); err != nil {
		return errors.New("it speaks no TLS to strangers")
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "HTTP/1.1 4") {
		return errors.New("refused")
	}
	return nil
}

func engines() []string {
	return []string{
		"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/var/run/docker/containerd/containerd.sock",
		"/run/podman/podman.sock", "/run/crio/crio.sock", "127.0.0.1:2375", "127.0.0.1:2376",
	}
}

func connect(addr string) error {
	kind := "unix"
	if addr[0] != '/' && addr[0] != '@' {
		kind = "tcp"
	}
	c, err := net.DialTimeout(kind, addr, reach)
	if err != nil {
		return unwrap(err)
	}
	return c.Close()
}
