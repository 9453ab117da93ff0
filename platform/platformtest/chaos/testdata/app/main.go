// Command app is what the tenants deploy: small, so that a build takes no
// time, and frank about which release and which process answers.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	args := append(os.Args, "", "")
	var err error
	switch args[1] {
	case "web":
		err = serve()
	case "wait":
		err = wait(args[2])
	case "fail":
		err = wait(args[2])
		if err == nil {
			os.Exit(1)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// wait lets as many milliseconds pass; no number, for ever.
func wait(ms string) error {
	if ms == "" {
		time.Sleep(math.MaxInt64)
	}
	n, err := strconv.Atoi(ms)
	time.Sleep(time.Duration(n) * time.Millisecond)
	return err
}

// serve answers each request with what this process is.
func serve() error {
	content, err := os.ReadFile("content")
	if err != nil {
		return err
	}
	env := map[string]string{}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	answer, err := json.Marshal(map[string]any{"content": string(content), "boot": rand.Text(), "dyno": os.Getenv("DYNO"), "env": env})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", ":"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go reply(conn, answer)
	}
}

func reply(conn net.Conn, answer []byte) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != ""; {
	}
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
}
