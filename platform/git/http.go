package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
)

var appName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// advertise answers the first request of every fetch and push: which refs
// there are.
func (s *Server) advertise(c *fiber.Ctx) error {
	service := strings.Clone(c.Query("service"))
	if service != "git-upload-pack" && service != "git-receive-pack" {
		return s.dumb(c)
	}
	app, dir, err := s.find(c)
	if err != nil {
		return s.refuse(c, err)
	}
	protocol := ""
	if service == "git-upload-pack" {
		protocol = gitProtocol(c)
	}
	p, err := s.start(app, protocol, nil, strings.TrimPrefix(service, "git-"), "--stateless-rpc", "--advertise-refs", dir)
	if err != nil {
		return s.refuse(c, err)
	}
	p.stdin.Close()
	if !p.out.speaks() {
		<-p.ended
		return s.refuse(c, fmt.Errorf("%s has nothing to say of %s: %w", service, dir, p.err))
	}
	// Protocol version 2 has no such line.
	// Source: https://git-scm.com/docs/protocol-v2#_http_transport
	head := ""
	if !strings.Contains(":"+protocol+":", ":version=2:") {
		line := "# service=" + service + "\n"
		head = fmt.Sprintf("%04x%s0000", len(line)+4, line)
	}
	return s.answer(c, p, "application/x-"+service+"-advertisement", head)
}

func (s *Server) uploadPack(c *fiber.Ctx) error {
	return s.rpc(c, "git-upload-pack", maxFetch, func(app platform.App, dir string) (*process, error) {
		return s.start(app, gitProtocol(c), nil, "upload-pack", "--stateless-rpc", dir)
	})
}

func (s *Server) receivePack(c *fiber.Ctx) error {
	return s.rpc(c, "git-receive-pack", maxDrain, func(app platform.App, dir string) (*process, error) {
		hook, err := newHook()
		if err != nil {
			return nil, err
		}
		return s.start(app, "", hook, "receive-pack", "--stateless-rpc", dir)
	})
}

// rpc has a git answer the body of a request, of which it gets at most limit
// bytes. The body is read here, to its end: once a handler has returned,
// fasthttp may give the connection's buffers to another.
func (s *Server) rpc(c *fiber.Ctx, service string, limit int64, start func(app platform.App, dir string) (*process, error)) error {
	sent := &request{r: c.Context().RequestBodyStream(), conn: c.Context().Conn()}
	defer func() {
		io.Copy(io.Discard, io.LimitReader(sent, maxDrain)) // so that the client gets to read the answer
		if sent.err != io.EOF {
			c.Context().SetConnectionClose()
		}
	}()
	body, err := decoded(c, sent, service)
	if err != nil {
		return s.refuse(c, err)
	}
	app, dir, err := s.find(c)
	if err != nil {
		return s.refuse(c, err)
	}
	p, err := start(app, dir)
	if err != nil {
		return s.refuse(c, err)
	}
	if err := feed(p.stdin, io.LimitReader(body, limit)); err != nil {
		p.cancel()
		p.out.drop()
		<-p.ended
		return s.refuse(c, fiber.NewError(fiber.StatusBadRequest, "The request broke off."))
	}
	if !p.out.speaks() {
		if <-p.ended; p.err != nil {
			return s.refuse(c, fiber.NewError(fiber.StatusBadRequest, "The request is not one that git understands."))
		}
	}
	return s.answer(c, p, "application/x-"+service+"-result", "")
}

// answer streams what a git says, each part as it comes.
func (s *Server) answer(c *fiber.Ctx, p *process, contentType, head string) error {
	noCache(c)
	c.Set(fiber.HeaderContentType, contentType)
	conn := c.Context().Conn()
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		out := flusher{w: w, conn: conn}
		if _, err := io.WriteString(out, head); err != nil {
			p.out.drop()
			return
		}
		p.out.stream(out) // when it fails the client has gone, and git goes on
		conn.SetWriteDeadline(time.Time{})
	})
	return nil
}

// find returns the app that a request names, and its repository.
func (s *Server) find(c *fiber.Ctx) (platform.App, string, error) {
	name := strings.Clone(c.Params("app"))
	if !appName.MatchString(name) {
		return platform.App{}, "", platform.Missing("app")
	}
	app, err := s.App(c.Context(), name)
	if err != nil {
		return app, "", err
	}
	dir, err := s.open(context.WithoutCancel(c.Context()), app)
	return app, dir, err
}

// gitProtocol is the version of the protocol that the client would like.
func gitProtocol(c *fiber.Ctx) string {
	protocol := strings.Clone(c.Get("Git-Protocol"))
	if len(protocol) > 100 || strings.Trim(protocol, "abcdefghijklmnopqrstuvwxyz0123456789=:.-") != "" {
		return ""
	}
	return protocol
}

// dumb answers what only clients older than smart HTTP ask.
func (s *Server) dumb(c *fiber.Ctx) error {
	return s.refuse(c, fiber.NewError(fiber.StatusForbidden, "This address speaks git's smart HTTP only: use git 1.6.6 or newer."))
}

// refuse tells the client of an error; git prints it as a remote: line.
func (s *Server) refuse(c *fiber.Ctx, err error) error {
	status, message := fiber.StatusInternalServerError, "An internal error occurred; niwa's own log says more."
	var told *platform.Error
	var wrong *fiber.Error
	switch {
	case errors.As(err, &told):
		status, message = statusOf(told.ID), told.Message
	case errors.As(err, &wrong):
		status, message = wrong.Code, wrong.Message
	case errors.Is(err, syscall.ENOSPC):
		status, message = fiber.StatusServiceUnavailable, "The disk that holds niwa's data is full; free some space and try again."
	default:
		s.Log.Error("git request failed", "path", strings.Clone(c.Path()), "error", err)
	}
	noCache(c)
	c.Set(fiber.HeaderContentType, "text/plain; charset=utf-8")
	return c.Status(status).SendString(message + "\n")
}

func statusOf(id string) int {
	switch id {
	case platform.NotFound:
		return fiber.StatusNotFound
	case platform.Unauthorized:
		return fiber.StatusUnauthorized
	case platform.Unavailable:
		return fiber.StatusServiceUnavailable
	}
	return fiber.StatusForbidden
}

// noCache keeps proxies from answering for a repository that changes.
func noCache(c *fiber.Ctx) {
	c.Set(fiber.HeaderCacheControl, "no-cache, max-age=0, must-revalidate")
	c.Set(fiber.HeaderPragma, "no-cache")
	c.Set(fiber.HeaderExpires, "Fri, 01 Jan 1980 00:00:00 GMT")
}
