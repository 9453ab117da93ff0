package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	redisproto "github.com/alicebob/miniredis/v2/server"

	"niwa/addons"
	"niwa/addons/engine"
)

// embedded is a miniredis inside niwa. It listens here rather than in the
// library, which knows neither a connection limit nor hostile clients.
type embedded struct {
	mini      *miniredis.Miniredis
	listeners []net.Listener
	tls       *tls.Config
	log       *slog.Logger
	serving   sync.WaitGroup

	mu      sync.Mutex
	current record
	conns   map[net.Conn]bool
	peers   map[*redisproto.Peer]*session
}

// session is what is known of a connection once it has sent a command.
type session struct {
	readOnly bool
	busy     bool // a command of it is being carried out
}

func (p *Provider) startEmbedded(r record) (server, error) {
	if err := p.Sweep(context.Background(), taskOf(r.ID)); err != nil { // it may have been a daemon
		return nil, err
	}
	if err := p.CheckPort(r.Port); err != nil {
		return nil, err
	}
	leaf, err := p.CA.Leaf(p.Names()...)
	if err != nil {
		return nil, err
	}
	s := &embedded{
		mini:  miniredis.NewMiniRedis(),
		tls:   &tls.Config{Certificates: []tls.Certificate{*leaf}, MinVersion: tls.VersionTLS12},
		log:   p.Log,
		conns: map[net.Conn]bool{},
		peers: map[*redisproto.Peer]*session{},
	}
	for _, host := range p.Hosts() {
		l, err := net.Listen("tcp", r.addr(host))
		if err != nil {
			return nil, errors.Join(err, s.closeListeners())
		}
		s.listeners = append(s.listeners, l)
	}
	s.mini.ClockTTL(true)
	// The library starts without a listener when it is dialled.
	first, err := s.mini.Dial()
	if err != nil {
		return nil, errors.Join(err, s.closeListeners())
	}
	s.mini.Server().SetPreHook(s.hook)
	s.logins(r)
	for _, l := range s.listeners {
		s.serving.Go(func() { s.accept(l) })
	}
	return s, first.Close()
}

func (s *embedded) closeListeners() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

func (s *embedded) engine() engine.Mode { return engine.Embedded }

func (s *embedded) apply(_ context.Context, r record) error {
	s.logins(r)
	return nil
}

func (s *embedded) logins(r record) {
	s.mu.Lock()
	s.current = r
	s.mu.Unlock()
	s.mini.RequireUserAuth(addons.Default, r.Credentials[addons.Default])
	s.mini.RequireUserAuth(readOnly, r.Credentials[readOnly]) // an empty password takes the user away
}

// disconnect ends every connection: which is whose is known to the library
// alone.
func (s *embedded) disconnect(context.Context, string) error {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	var closing sync.WaitGroup
	for _, conn := range conns {
		closing.Go(func() { _ = conn.Close() }) // its reader sees the error
	}
	closing.Wait()
	return nil
}

func (s *embedded) info(_ context.Context, r record) (version string, rows []addons.Row, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "miniredis", []addons.Row{
		engine.Row("Timeout", "none"),
		engine.Row("Maxmemory", "unlimited"),
		engine.Row("Connections", engine.Of(len(s.conns), r.Plan.Connections)),
		engine.Row("Persistence", "None: data are lost when niwa stops"),
		engine.Row("Engine", "embedded, miniredis"),
	}, nil
}

func (s *embedded) resetStats(context.Context) error { return nil } // it keeps none

func (s *embedded) stop(ctx context.Context) error {
	err := s.closeListeners()
	_ = s.disconnect(ctx, "")
	s.mini.Close()
	s.serving.Wait()
	return err
}

func (s *embedded) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no more files can be opened, most likely
			time.Sleep(100 * time.Millisecond)
			continue
		}
		s.serving.Go(func() { s.serve(conn) })
	}
}

// serve hands a connection to the library, unless there are as many as the
// plan allows.
func (s *embedded) serve(raw net.Conn) {
	secure := tls.Server(raw, s.tls)
	conn := &guarded{Conn: secure}
	conn.closed = func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}
	s.mu.Lock()
	limit := s.current.Plan.Connections
	full := limit > 0 && len(s.conns) >= limit
	if !full {
		s.conns[conn] = true
	}
	s.mu.Unlock()
	if full {
		refuse(secure)
		return
	}
	s.mini.Server().ServeConn(conn)
}

// refuse tells a client that there are too many. What the client has sent
// already is read, because a reset would take the answer from it.
func refuse(conn *tls.Conn) {
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(2*time.Second)) != nil {
		return
	}
	if _, err := conn.Write([]byte("-ERR max number of clients reached\r\n")); err == nil && conn.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, conn) // until the client goes, or the deadline
	}
}

// hook sees every command before the library does. It keeps the read-only
// user from writing, and a command that panics from ending niwa: it has the
// library carry the command out within its own call.
func (s *embedded) hook(peer *redisproto.Peer, command string, args ...string) (done bool) {
	session := s.session(peer)
	if session == nil || session.busy {
		return false // a command that a script issues, or the inner call
	}
	s.note(session, command, args)
	if session.readOnly && !s.mayRead(command) {
		peer.WriteError(fmt.Sprintf("NOPERM User %s has no permissions to run the '%s' command", readOnly, strings.ToLower(command)))
		return true
	}
	defer func() {
		session.busy = false
		if failure := recover(); failure != nil {
			s.log.Error("the embedded Redis failed at a command", "command", command, "error", failure)
			peer.WriteError("ERR the embedded Redis failed at this command")
			done = true
		}
	}()
	session.busy = true
	s.mini.Server().Dispatch(peer, append([]string{command}, args...))
	return true
}

// session finds what is known of a connection. It is nil for one that the
// library made up for a script: the script itself was allowed to run.
func (s *embedded) session(peer *redisproto.Peer) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.peers[peer]
	if known == nil && peer.Ctx == nil {
		known = &session{}
		s.peers[peer] = known
		peer.OnDisconnect(func() { s.forget(peer) })
	}
	return known
}

func (s *embedded) forget(peer *redisproto.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, peer)
}

// note follows who a connection logs in as. Whoever only tries to be the
// read-only user is taken for it at once, so that no change of passwords
// meanwhile can make a writer of it.
func (s *embedded) note(session *session, command string, args []string) {
	user, password, ok := loginOf(command, args)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch user {
	case readOnly:
		session.readOnly = true
	case addons.Default:
		if password == s.current.Credentials[addons.Default] {
			session.readOnly = false
		}
	}
}

// loginOf reads AUTH [user] password and HELLO version AUTH user password.
func loginOf(command string, args []string) (user, password string, ok bool) {
	switch {
	case command == "AUTH" && len(args) == 1:
		return addons.Default, args[0], true
	case command == "AUTH" && len(args) == 2:
		return args[0], args[1], true
	case command == "HELLO":
		for i := 1; i+2 < len(args); i++ {
			if strings.EqualFold(args[i], "AUTH") {
				return args[i+1], args[i+2], true
			}
		}
	}
	return "", "", false
}

func (s *embedded) mayRead(command string) bool {
	switch command {
	case "AUTH", "HELLO", "PING", "ECHO", "QUIT", "SELECT", "CLIENT", "COMMAND", "INFO",
		"MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH",
		"SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE":
		return true
	case "DUMP", "KEYS", "EVAL_RO", "EVALSHA_RO": // as on the native engine
		return false
	}
	return s.mini.IsReadOnlyCommand(command)
}
