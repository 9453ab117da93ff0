package router

import (
	"strings"
	"testing"
	"time"

	"niwa/router/route"
)

// expecting has an app that answers an expectation by itself, and a client that
// has one. The dyno has got the head, and as much of the body as the client sent
// with it.
func expecting(t *testing.T, timeouts Timeouts, sent string, fields ...string) (s *stage, client, dyno *side) {
	t.Helper()
	s = setStageWith(t, route.Routing{EndToEndContinue: true}, Config{Timeouts: timeouts})
	client = s.client(t)
	client.say(t, strings.TrimSuffix(post(append(fields, "Expect: 100-continue")...), "hello")+sent)
	dyno = s.dyno(t)
	holds(t, "the dyno", readHead(dyno.in), []string{"\r\nExpect: 100-continue\r\n", "\r\nContent-Length: 5\r\n"})
	dyno.hear(t, sent)
	return s, client, dyno
}

// continues has the dyno let the client send its body.
func continues(t *testing.T, client, dyno *side) {
	t.Helper()
	dyno.say(t, "HTTP/1.1 100 Continue\r\nX-Foo: of no concern\r\n\r\n")
	client.hear(t, "HTTP/1.1 100 Continue\r\n\r\n")
	client.say(t, "hello")
	dyno.hear(t, "hello")
}

// speak has both sides of a tunnel say something.
func speak(t *testing.T, client, dyno *side) {
	t.Helper()
	holds(t, "the client", readHead(client.in), []string{"HTTP/1.1 101 Switching Protocols\r\n", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n"})
	client.say(t, "ping")
	dyno.hear(t, "ping")
	dyno.say(t, "pong")
	client.hear(t, "pong")
	client.Close()
	if got := dyno.rest(t); got != "" {
		t.Errorf("the dyno then got %q", got)
	}
}

const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// TestVegurAnAppThatAnswersAnExpectation is the group continue, where it goes end
// to end.
func TestVegurAnAppThatAnswersAnExpectation(t *testing.T) {
	t.Parallel()
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket"}
	// closed is an answer that ends both connections.
	closed := func(t *testing.T, s *stage, client, dyno *side, status string) {
		t.Helper()
		holds(t, "the client", client.message(t, false), []string{"HTTP/1.1 " + status, "Connection: close\r\n", "!100 Continue"})
		client.rest(t)
		if got := dyno.rest(t); got != "" {
			t.Errorf("the dyno then got %q", got)
		}
		if line := s.line(t); !strings.Contains(line, " status="+status[:3]+" ") {
			t.Errorf("logged %s", line)
		}
	}
	for name, play := range map[string]func(t *testing.T){
		"back_and_forth": func(t *testing.T) {
			s, client, dyno := expecting(t, Timeouts{}, "")
			continues(t, client, dyno)
			dyno.say(t, answering())
			holds(t, "the client", client.message(t, false), []string{"HTTP/1.1 200 OK\r\n", "Connection: keep-alive\r\n"})
			if got := dyno.rest(t); got != "" {
				t.Errorf("the dyno then got %q", got)
			}
			client.say(t, get("/"))
			again := s.dyno(t)
			again.message(t, false)
			again.say(t, answering())
			client.message(t, false)
		},
		"body_timeout": func(t *testing.T) {
			s, client, dyno := expecting(t, Timeouts{}, "")
			client.say(t, "hello")
			dyno.hear(t, "hello")
			dyno.say(t, answering())
			closed(t, s, client, dyno, "200 OK")
		},
		"non_terminal": func(t *testing.T) {
			s, client, dyno := expecting(t, Timeouts{}, "")
			continues(t, client, dyno)
			dyno.say(t, "HTTP/1.1 100 Continue\r\n\r\n")
			holds(t, "the client", client.message(t, false), []string{"HTTP/1.1 502 Bad Gateway\r\n"})
			if got := dyno.rest(t); got != "" {
				t.Errorf("the dyno then got %q", got)
			}
			if line := s.line(t); !strings.HasPrefix(line, `at=error code=H17 desc="Poorly formatted HTTP response" `) || !strings.Contains(line, " status=502 ") {
				t.Errorf("logged %s", line)
			}
		},
		"continue_upgrade_httpbis": func(t *testing.T) {
			_, client, dyno := expecting(t, Timeouts{}, "", upgrade...)
			continues(t, client, dyno)
			dyno.say(t, switched)
			speak(t, client, dyno)
		},
		"upgrade_no_continue": func(t *testing.T) {
			_, client, dyno := expecting(t, Timeouts{}, "", upgrade...)
			dyno.say(t, switched)
			speak(t, client, dyno)
		},
		"terminal_no_continue_partial": func(t *testing.T) {
			s, client, dyno := expecting(t, Timeouts{}, "")
			dyno.say(t, answering())
			closed(t, s, client, dyno, "200 OK")
		},
		"terminal_no_continue_complete": func(t *testing.T) {
			s, client, dyno := expecting(t, Timeouts{}, "hello")
			dyno.say(t, answering())
			closed(t, s, client, dyno, "200 OK")
		},
		"and neither side makes a move": func(t *testing.T) {
			s, client, dyno := expecting(t, Timeouts{Idle: 100 * time.Millisecond}, "")
			holds(t, "the client", client.message(t, false), []string{"HTTP/1.1 503 Service Unavailable\r\n", "Connection: close\r\n"})
			client.rest(t)
			dyno.rest(t)
			if line := s.line(t); !strings.HasPrefix(line, `at=error code=H15 desc="Idle connection" `) {
				t.Errorf("logged %s", line)
			}
		},
		"and the client does not go on": func(t *testing.T) {
			s, client, dyno := expecting(t, Timeouts{Idle: 100 * time.Millisecond}, "")
			dyno.say(t, "HTTP/1.1 100 Continue\r\n\r\n")
			client.hear(t, "HTTP/1.1 100 Continue\r\n\r\n")
			if got := dyno.rest(t); got != "" {
				t.Errorf("the dyno then got %q", got)
			}
			client.rest(t)
			if line := s.line(t); !strings.Contains(line, " code=H28 ") && !strings.Contains(line, " code=H15 ") {
				t.Errorf("logged %s", line)
			}
		},
		"and other news comes first": func(t *testing.T) {
			_, client, dyno := expecting(t, Timeouts{}, "")
			dyno.say(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
			holds(t, "the client", readHead(client.in), []string{"HTTP/1.1 103 Early Hints\r\n", "Link: </a>\r\n"})
			continues(t, client, dyno)
			dyno.say(t, answering())
			holds(t, "the client", client.message(t, false), []string{"HTTP/1.1 200 OK\r\n", "Connection: keep-alive\r\n"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t)
		})
	}
}
