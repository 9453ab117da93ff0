package router

import (
	"fmt"
	"strings"
	"testing"
)

// upTo is a message up to a place in it, that included.
func upTo(message, place string) string {
	return message[:strings.Index(message, place)+len(place)]
}

// earlyEnd is a last chunk with more chunks behind it.
const earlyEnd = "0\r\n5\r\ndefgh\r\ne\r\nijklmnopqrstuv\r\n0\r\n\r\n"

// TestVegurClientsThatBreakTheirChunks get a 400, and the dyno nothing that
// could be a whole body.
func TestVegurClientsThatBreakTheirChunks(t *testing.T) {
	t.Parallel()
	for name, pieces := range map[string][]string{
		"passthrough_early_0length":          {"3\r\nabc\r\n" + earlyEnd},
		"passthrough_partial_early_0length2": {"3\r\nabc\r\n", earlyEnd},
		"trailers_client_err":                {"3\r\nabc\r\n0\r\ntrailer is invalid\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setStage(t, Timeouts{})
			client := s.client(t)
			client.say(t, chunkedPost(pieces[0]))
			dyno := s.dyno(t)
			readHead(dyno.in)
			dyno.hear(t, "3\r\nabc\r\n")
			client.say(t, strings.Join(pieces[1:], ""))
			if got := client.rest(t); !strings.HasPrefix(got, "HTTP/1.1 400 Bad Request\r\n") {
				t.Errorf("the client got %q", got)
			}
			if got := dyno.rest(t); got != "" {
				t.Errorf("the dyno then got %q", got)
			}
		})
	}
}

// TestVegurAnAnswerThatBeganBeforeTheClientBrokeItsChunksIsCut is what becomes
// of passthrough_partial_early_0length1.
func TestVegurAnAnswerThatBeganBeforeTheClientBrokeItsChunksIsCut(t *testing.T) {
	t.Parallel()
	s := setStage(t, Timeouts{})
	client := s.client(t)
	client.say(t, chunkedPost("3\r\nabc\r\n"))
	dyno := s.dyno(t)
	readHead(dyno.in)
	dyno.hear(t, "3\r\nabc\r\n")
	dyno.say(t, inChunks+"\r\n3\r\nabc\r\n")
	if head := readHead(client.in); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Fatalf("the client got %q", head)
	}
	client.hear(t, "3\r\nabc\r\n")
	client.say(t, earlyEnd)
	if got := client.rest(t); got != "" {
		t.Errorf("the client then got %q", got)
	}
	if got := dyno.rest(t); strings.Contains(got, "defgh") {
		t.Errorf("the dyno then got %q", got)
	}
}

// TestVegurDynosThatBreakTheirChunks have an answer cut that has its status
// already, and are to blame.
func TestVegurDynosThatBreakTheirChunks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		chunks  string
		hangsUp bool
	}{
		"passthrough_partial_early_0length3": {chunks: "3\r\nabc\r\n" + earlyEnd},
		"bad_chunk":                          {chunks: strings.Replace(threeChunks, "uv\r\n", "uvkjalnfksl\r\n", 1)},
		"trailers_serv_err":                  {chunks: "3\r\nabc\r\n0\r\ntrailer is invalid\r\n\r\n"},
		"interrupted_server":                 {chunks: upTo(threeChunks, "defg"), hangsUp: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setStage(t, Timeouts{})
			client := s.client(t)
			client.say(t, post())
			dyno := s.dyno(t)
			dyno.message(t, false)
			dyno.say(t, inChunks+"\r\n"+c.chunks)
			if c.hangsUp {
				dyno.Close()
			}
			got := client.rest(t)
			if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "\r\n\r\n3\r\nabc\r\n") || strings.HasSuffix(got, "0\r\n\r\n") || strings.Count(got, "HTTP/1.1 ") != 1 {
				t.Errorf("the client got %q", got)
			}
			if line := s.line(t); !strings.HasPrefix(line, "sock=backend at=error code=H18 ") {
				t.Errorf("logged %s", line)
			}
			if !c.hangsUp {
				dyno.rest(t)
			}
		})
	}
}

// TestVegurChunksWithoutTheirLastLineAreWaitedFor is passthrough_short_crlf.
func TestVegurChunksWithoutTheirLastLineAreWaitedFor(t *testing.T) {
	t.Parallel()
	s := setStage(t, Timeouts{})
	short := strings.TrimSuffix(threeChunks, "\r\n")
	client := s.client(t)
	client.say(t, chunkedPost(short))
	dyno := s.dyno(t)
	readHead(dyno.in)
	dyno.hear(t, upTo(threeChunks, "uv\r\n"))
	dyno.say(t, inChunks+"\r\n"+short)
	readHead(client.in)
	client.hear(t, upTo(threeChunks, "uv\r\n"))
	client.Close()
	if got := dyno.rest(t); strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("the dyno then got %q", got)
	}
	if line := s.line(t); !strings.Contains(line, " code=H27 ") {
		t.Errorf("logged %s", line)
	}
}

// TestVegurAClientThatLeavesWithinAChunkTakesTheDynosConnectionWithIt is
// interrupted_client.
func TestVegurAClientThatLeavesWithinAChunkTakesTheDynosConnectionWithIt(t *testing.T) {
	t.Parallel()
	s := setStage(t, Timeouts{})
	client := s.client(t)
	client.say(t, chunkedPost(upTo(threeChunks, "defg")))
	dyno := s.dyno(t)
	readHead(dyno.in)
	dyno.hear(t, upTo(threeChunks, "defg"))
	client.Close()
	if got := dyno.rest(t); got != "" {
		t.Errorf("the dyno then got %q", got)
	}
	if line := s.line(t); !strings.HasPrefix(line, "sock=client at=warning code=H27 ") {
		t.Errorf("logged %s", line)
	}
}

// TestVegurDynosThatAnswerAndCloseWithinAnUpload are heard to the end, while the
// client goes on sending.
func TestVegurDynosThatAnswerAndCloseWithinAnUpload(t *testing.T) {
	t.Parallel()
	rest := func(n int) string { return "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("m", n) }
	const counted = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 16000\r\n\r\n"
	const inPieces = "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
	const none = "HTTP/1.1 304 OK\r\nconnection: close\r\n\r\n"
	for name, c := range map[string]struct {
		head, piece, answer, want string
	}{
		"large_body_request_response_interrupt":             {counted, strings.Repeat("a", 1000), none, "HTTP/1.1 304 OK\r\n"},
		"large_chunked_request_response_interrupt":          {inPieces, "3\r\nabc\r\n5\r\ndefgh\r\n", none, "HTTP/1.1 304 OK\r\n"},
		"large_close_request_response_interrupt":            {counted, strings.Repeat("a", 1000), rest(30_000), "HTTP/1.1 200 OK\r\n"},
		"large_close_request_response_interrupt_undetected": {counted, strings.Repeat("a", 1000), rest(80_000), "HTTP/1.1 200 OK\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setStage(t, Timeouts{})
			client := s.client(t)
			client.say(t, c.head+c.piece)
			dyno := s.dyno(t)
			readHead(dyno.in)
			dyno.hear(t, c.piece)
			dyno.say(t, c.answer)
			dyno.Close()
			for range 5 { // also after the answer
				if _, err := fmt.Fprint(client, c.piece); err != nil {
					break
				}
			}
			got := client.message(t, strings.Contains(c.want, "304"))
			holds(t, "the client", got, []string{c.want, "Connection: close\r\n"})
			_, body, _ := strings.Cut(got, "\r\n\r\n")
			if n, of := strings.Count(body, "m"), strings.Count(c.answer, "m"); n != of {
				t.Errorf("the client got %d bytes of %d", n, of)
			}
			client.rest(t)
		})
	}
}

// TestVegurUpgradesWithABody has a client send its body first and then speak the
// other protocol, until either side ends it for both.
func TestVegurUpgradesWithABody(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"keepalive_upgrade_close_server", "keepalive_upgrade_close_client"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			s := setStage(t, Timeouts{})
			client := s.client(t)
			client.say(t, get("/", "Content-Length: 5", "Expect: 100-continue", "Upgrade: websocket", "Connection: Upgrade"))
			client.hear(t, "HTTP/1.1 100 Continue\r\n\r\n")
			client.say(t, "hello")
			dyno := s.dyno(t)
			holds(t, "the dyno", dyno.message(t, false), []string{"Connection: Upgrade\r\n", "Upgrade: websocket\r\n", "!Expect", "\r\n\r\nhello"})
			dyno.say(t, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			if head := readHead(client.in); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
				t.Fatalf("the client got %q", head)
			}
			client.say(t, "ping")
			dyno.hear(t, "ping")
			dyno.say(t, "pong")
			client.hear(t, "pong")
			one, other := client, dyno
			if who == "keepalive_upgrade_close_server" {
				one, other = dyno, client
			}
			one.Close()
			if got := other.rest(t); got != "" {
				t.Errorf("the other side then got %q", got)
			}
		})
	}
}
