package listener

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// refusal is what a CONNECT is answered when it is not carried out.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

// connect reads a CONNECT request and answers it. After nil, what comes next
// is what the client says through the tunnel.
func (p *peeked) connect() error {
	err := p.readConnect()
	if r, ok := err.(*refusal); ok {
		fmt.Fprintf(p, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n",
			r.status, http.StatusText(r.status), len(r.message)+1, r.message)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(p, "HTTP/1.1 200 Connection Established\r\n\r\n")
	return err
}

// readConnect reads the head of a CONNECT request and judges it.
func (p *peeked) readConnect() error {
	var first string
	for read := 0; ; {
		line, err := p.r.ReadSlice('\n')
		if read += len(line); read > maxHead || err != nil && len(line) == maxHead {
			return &refusal{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("The head of a CONNECT must be shorter than %d bytes.", maxHead)}
		}
		if err != nil {
			return err
		}
		text := strings.TrimRight(string(line), "\r\n")
		switch {
		case first == "":
			first = text // never empty: it begins with CONNECT
		case text == "":
			return judge(first)
		}
	}
}

// judge decides on a CONNECT by its first line.
func judge(line string) error {
	host, err := parseConnect(line)
	if err != nil {
		return &refusal{http.StatusBadRequest, err.Error()}
	}
	if !ours(host) {
		return &refusal{http.StatusForbidden, fmt.Sprintf("niwa stands in for Heroku's hosts only, not for %q. Unset HTTP_PROXY for everything but the heroku command.", host)}
	}
	return nil
}

// parseConnect returns the host, in lower case, of "CONNECT host:port
// HTTP/1.1".
func parseConnect(line string) (string, error) {
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[0] != "CONNECT" || parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return "", fmt.Errorf("not a CONNECT request: %q", line)
	}
	host, port, err := net.SplitHostPort(parts[1])
	if err != nil || host == "" {
		return "", fmt.Errorf("CONNECT needs host:port, not %q", parts[1])
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("CONNECT to a port that is none: %q", port)
	}
	return strings.ToLower(strings.TrimSuffix(host, ".")), nil
}

// ours says whether a tunnel to the host may end here: where the CLI looks
// for Heroku, and this machine.
func ours(host string) bool {
	for _, domain := range []string{"heroku.com", "herokai.com", "localhost", "127.0.0.1"} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}
