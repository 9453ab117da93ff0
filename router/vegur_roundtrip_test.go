package router

import (
	"strings"
	"testing"
)

const (
	threeChunks = "3\r\nabc\r\n5\r\ndefgh\r\ne\r\nijklmnopqrstuv\r\n0\r\n\r\n"
	inChunks    = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
)

// TestVegurRoundtrips is the part of vegur_roundtrip_SUITE that is one exchange
// and what becomes of the two connections after it.
func TestVegurRoundtrips(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]play{
		"no_expect_continue": {
			request: post(), toDyno: []string{"\r\n\r\nhello"},
			answer: "HTTP/1.1 100 Continue\r\n\r\n" + answering(), toClient: []string{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"},
		},
		"http_1_0_continue": {
			request: old(post()), toDyno: []string{"\r\n\r\nhello"},
			answer: "HTTP/1.1 100 Continue\r\n\r\n" + answering(), toClient: []string{"HTTP/1.1 200 OK\r\n", "!100 Continue"}, ends: true,
		},
		"bypass": {
			request: post("Expect: 100-continue"), toDyno: []string{"!Expect", "Connection: close\r\n", "\r\n\r\nhello"},
			answer: answering(), toClient: []string{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", "Connection: keep-alive\r\n"},
		},
		"duplicate_identical_lengths_req": {
			request: post("Content-Length: 5"), toDyno: []string{"Content-Length: 5\r\n", "!Length: 5\r\nContent-Length", "\r\n\r\nhello"},
			answer: answering(), toClient: []string{"200 OK"},
		},
		"delete_hop_by_hop": {
			request:  get("/", "Connection: keep-alive", "TE: deflate", "TE: trailers", "Trailer: x", "keep-alive: timeout=2", "prOxy-Authorization: x", "proxy-AuthentiCation: 0"),
			toDyno:   []string{"!\r\nTe:", "!Keep-Alive:", "!Proxy-Authorization:", "\r\nTrailer: x\r\n", "\r\nProxy-Authentication: 0\r\n"},
			answer:   answering("Connection: keep-alive", "TE: deflate", "TE: trailers", "Trailer: x", "keep-alive: timeout=2", "prOxy-Authorization: x", "proxy-AuthentiCation: 0"),
			toClient: []string{"!\r\nTe:", "!Keep-Alive:", "!Proxy-Authorization:", "\r\nTrailer: x\r\n", "\r\nProxy-Authentication: 0\r\n"}, reuses: true,
		},
		"preserve_case": {
			request:  strings.Replace(post("cuSTom-hEAder: vALue", "ConneCtion: keep-alive"), "Content-Length", "cONtENT-lEnGTH", 1),
			toDyno:   []string{"Content-Length: 5\r\n", "!cONtENT", "Custom-Header: vALue\r\n", "\r\nConnection: "},
			answer:   strings.Replace(answering("cuSTom-hEAder: vALue", "ConneCtion: keep-alive"), "Content-Length", "cONtENT-lEnGTH", 1),
			toClient: []string{"Content-Length: 2\r\n", "!cONtENT", "Custom-Header: vALue\r\n", "\r\nConnection: "},
		},
		"advertise_1_1": {
			request: old(post()), toDyno: []string{"POST / HTTP/1.1\r\n", "!HTTP/1.0"},
			answer: old(answering()), toClient: []string{"HTTP/1.1 200 OK\r\n", "!HTTP/1.0"}, ends: true,
		},
		"conn_close_default": {
			request: old(post()), answer: answering(), toClient: []string{"Connection: close\r\n"}, ends: true,
		},
		"conn_keepalive_opt": {
			request: old(post("Connection: keep-alive")), answer: answering(), toClient: []string{"Connection: keep-alive\r\n"},
		},
		"chunked_to_1_0": {
			request: old(post("Connection: keep-alive")), answer: inChunks + "\r\n" + threeChunks,
			toClient: []string{"!chunked", "!Transfer-Encoding", "Connection: close\r\n", "\r\n\r\nabcdefghijklmnopqrstuv"}, ends: true,
		},
		"passthrough": {
			request: chunkedPost(threeChunks), toDyno: []string{"!Content-Length", "\r\n\r\n" + threeChunks},
			answer: inChunks + "Content-Length: 10\r\n\r\n" + threeChunks, toClient: []string{"!Content-Length", "\r\n\r\n" + threeChunks}, ends: true,
		},
		"trailers":           trailers(true, false),
		"trailers_no_header": trailers(false, false),
		"trailers_close":     trailers(true, true),
		"keepalive_chunked": {
			request: chunkedPost(threeChunks, "Connection: keep-alive"), toDyno: []string{"\r\n\r\n" + threeChunks},
			answer: inChunks + "Connection: keep-alive\r\n\r\n" + threeChunks, toClient: []string{"Connection: close\r\n", "\r\n\r\n" + threeChunks}, ends: true,
		},
		"chunks without a length": {
			request: strings.Replace(chunkedPost(threeChunks), "Content-Length: 10\r\n", "", 1), toDyno: []string{"\r\n\r\n" + threeChunks},
			answer: inChunks + "\r\n" + threeChunks, toClient: []string{"Connection: keep-alive\r\n", "\r\n\r\n" + threeChunks},
		},
		"weird_content_length": {
			request: post(), answer: strings.Replace(answering(), "Length: 2", "Length: 2 ", 1), toClient: []string{"Content-Length: 2\r\n", "\r\n\r\nok"},
		},
		"large_body_stream": {
			request: large("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n"), toDyno: []string{strings.Repeat("m", largeLength)},
			answer: large("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"), toClient: []string{strings.Repeat("m", largeLength), "Connection: keep-alive\r\n"},
		},
		"large_body_close": {
			request: large("POST / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"), toDyno: []string{strings.Repeat("m", largeLength)},
			answer: large("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"), toClient: []string{strings.Repeat("m", largeLength), "Connection: close\r\n"}, ends: true,
		},
		"large_body_close_delimited": {
			request: post(), answer: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("m", largeLength), hangsUp: true,
			toClient: []string{"Transfer-Encoding: chunked\r\n", "Connection: keep-alive\r\n", "\r\n0\r\n\r\n"},
		},
		"close-delimited, to HTTP/1.0": {
			request: old(post("Connection: keep-alive")), answer: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("m", largeLength), hangsUp: true,
			toClient: []string{"!Transfer-Encoding", "Connection: close\r\n", strings.Repeat("m", largeLength)}, ends: true,
		},
	} {
		t.Run(name, p.run)
	}
}

// TestVegurWithHerokusStrictness is what is otherwise where the router is to be
// no stricter than Heroku's: two cases that are at odds with RFC 9112 §6.1.
func TestVegurWithHerokusStrictness(t *testing.T) {
	t.Parallel()
	noHeader := trailers(false, false)
	noHeader.request = strings.Replace(noHeader.request, "Transfer-encoding", "Content-Length: 10\r\nTransfer-encoding", 1)
	for name, p := range map[string]play{
		"trailers_no_header": noHeader,
		"keepalive_chunked": {
			request: chunkedPost(threeChunks, "Connection: keep-alive"), toDyno: []string{"!Content-Length", "\r\n\r\n" + threeChunks},
			answer: inChunks + "Connection: keep-alive\r\n\r\n" + threeChunks, toClient: []string{"Connection: keep-alive\r\n", "\r\n\r\n" + threeChunks},
		},
	} {
		p.config.Strictness = Heroku
		t.Run(name, p.run)
	}
}

// old has a message say that it is HTTP/1.0.
func old(message string) string { return strings.Replace(message, "HTTP/1.1", "HTTP/1.0", 1) }

// trailers are fields behind the chunks both ways, named in Trailer or not.
func trailers(named, close bool) play {
	const last = "3\r\nabc\r\n0\r\nhead1:val1\r\nhead2: val2\r\n\r\n"
	fields, name := []string{"X: y"}, "!Trailer:"
	if named {
		fields, name = []string{"Trailer: head1, head2"}, "\r\nTrailer: head1, head2\r\n"
	}
	p := play{answer: inChunks + fields[0] + "\r\n\r\n" + last, ends: close}
	if close {
		fields = append(fields, "connection: close")
	}
	p.request = strings.Replace(chunkedPost(last, fields...), "Content-Length: 10\r\n", "", 1)
	p.toDyno = []string{name, "\r\n0\r\nHead1: val1\r\nHead2: val2\r\n\r\n"}
	p.toClient = append(p.toDyno, "200 OK")
	return p
}

// TestVegurAnswersWithoutABody is the group body_less.
func TestVegurAnswersWithoutABody(t *testing.T) {
	t.Parallel()
	const (
		kept   = "Connection: keep-alive\r\n"
		closed = "Connection: close\r\n"
		body   = "a body where none may be"
	)
	head := func(fields ...string) string { return strings.Replace(post(fields...), "POST", "HEAD", 1) }
	short := strings.Replace(get("/"), "GET", "HEAD", 1)
	for name, p := range map[string]play{
		"head_small_body_expect":   {request: head(), answer: "HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n", toClient: []string{"Content-Length: 43\r\n"}},
		"head_large_body_expect":   {request: head(), answer: "HTTP/1.1 200 OK\r\nContent-Length: 430000\r\n\r\n", toClient: []string{"Content-Length: 430000\r\n"}},
		"head_no_body_expect":      {request: head(), answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", toClient: []string{"Content-Length: 0\r\n"}},
		"head_chunked_expect":      {request: head(), answer: inChunks + "\r\n", toClient: []string{"Transfer-Encoding: chunked\r\n", kept}},
		"head_close_expect":        {request: head(), answer: "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", toClient: []string{kept, "!close", "!Content-Length"}},
		"head_close_expect_client": {request: head("Connection: close"), answer: "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", toClient: []string{closed, "!keep-alive"}, ends: true},
		"status_204":               {request: post(), answer: "HTTP/1.1 204 OK\r\nContent-Length: 24\r\n\r\n" + body, toClient: []string{"Content-Length: 24\r\n", kept}},
		"status_304":               {request: post(), answer: "HTTP/1.1 304 OK\r\nContent-Length: 1421093\r\n\r\n" + body, toClient: []string{"Content-Length: 1421093\r\n", kept}},
		"status_chunked_204":       {request: post(), answer: "HTTP/1.1 204 OK\r\ntransfer-encoding: chuNked\r\n\r\n", toClient: []string{"!Transfer-Encoding", kept}},
		"status_close_304":         {request: post(), answer: "HTTP/1.1 304 OK\r\nconnection:close\r\n\r\n" + body, toClient: []string{kept, "!close"}},
		"status_close_304_client":  {request: post("Connection: close"), answer: "HTTP/1.1 304 OK\r\nconnection:close\r\n\r\n" + body, toClient: []string{closed, "!keep-alive"}, ends: true},
		"valid_status_204":         {request: post(), answer: "HTTP/1.1 204 No Content\r\n\r\n", toClient: []string{"204 No Content\r\n", kept}},
		"valid_status_304":         {request: post(), answer: "HTTP/1.1 304 Not Modified\r\n\r\n", toClient: []string{"304 Not Modified\r\n", kept}},
		"valid_head":               {request: short, answer: "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", toClient: []string{"200 OK\r\n", kept}, reuses: true},
	} {
		p.bodiless = true
		t.Run(name, p.run)
	}
}

// TestVegurWhoKeepsItsConnection is the groups backend_close and
// backend_keepalive: the connection of a request with a body is the dyno's
// last, as all of vegur's are by default, and that of one without serves again.
func TestVegurWhoKeepsItsConnection(t *testing.T) {
	t.Parallel()
	const close, keep = "Connection: close", "Connection: keep-alive"
	for name, p := range map[string]play{
		"close_close_close":             {request: post(close), toDyno: []string{close}, answer: answering(close), toClient: []string{close}, ends: true},
		"close_keepalive_keepalive":     {request: post(keep), toDyno: []string{close}, answer: answering(keep), toClient: []string{keep}},
		"close_default_default":         {request: post(), toDyno: []string{close}, answer: answering(), toClient: []string{keep}},
		"close_close_keepalive":         {request: post(close), toDyno: []string{close}, answer: answering(keep), toClient: []string{close}, ends: true},
		"close_keepalive_close":         {request: post(keep), toDyno: []string{close}, answer: answering(close), toClient: []string{keep}},
		"keepalive_close_close":         {request: get("/", close), toDyno: []string{keep}, answer: answering(close), toClient: []string{close}, ends: true},
		"keepalive_keepalive_keepalive": {request: get("/", keep), toDyno: []string{keep}, answer: answering(keep), toClient: []string{keep}, reuses: true},
		"keepalive_default_default":     {request: get("/"), toDyno: []string{keep}, answer: answering(), toClient: []string{keep}, reuses: true},
		"keepalive_close_keepalive":     {request: get("/", close), toDyno: []string{keep}, answer: answering(keep), toClient: []string{close}, ends: true, reuses: true},
		"keepalive_keepalive_close":     {request: get("/", keep), toDyno: []string{keep}, answer: answering(close), toClient: []string{keep}},
		"keepalive_http_1_0":            {request: old(get("/", keep)), toDyno: []string{keep}, answer: answering(keep), toClient: []string{keep}, reuses: true},
		"keepalive_large_body": {request: get("/"), toDyno: []string{keep}, answer: large("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"),
			toClient: []string{strings.Repeat("m", largeLength)}, reuses: true},
	} {
		t.Run(name, p.run)
	}
}
