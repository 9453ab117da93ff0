package router

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestAStreamWithAFieldOfHTTP1IsReset whatever frames its header comes in, and the
// connection goes on: what both ends know of its compression is the same.
func TestAStreamWithAFieldOfHTTP1IsReset(t *testing.T) {
	t.Parallel()
	certified := certified(t)
	h := startTLS(t, serving(httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Say") == "indexed" {
			io.WriteString(w, "ok")
		}
	})), Timeouts{}, &tls.Config{Certificates: certified.TLS.Certificates})
	c := tls.Client(h.dial(t), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	io.WriteString(c, http2.ClientPreface)
	framer := http2.NewFramer(c, c)
	framer.WriteSettings()
	var section bytes.Buffer
	encoder := hpack.NewEncoder(&section)
	encode := func(fields ...string) []byte {
		section.Reset()
		for i := 0; i < len(fields); i += 2 {
			encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return bytes.Clone(section.Bytes())
	}
	request := []string{":method", "POST", ":scheme", "https", ":authority", "app.test", ":path", "/", "x-say", "indexed"}
	whole := func(stream uint32, block []byte) {
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: true})
	}
	inPieces := func(stream uint32, block []byte) {
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block[:1], EndStream: true})
		for i := 1; i < len(block); i++ {
			framer.WriteContinuation(stream, i == len(block)-1, block[i:i+1])
		}
	}
	padded := func(stream uint32, block []byte) {
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: true,
			PadLength: 100, Priority: http2.PriorityParam{Weight: 5}})
	}
	stream := uint32(1)
	for name, c := range map[string]struct {
		fields  []string
		send    func(stream uint32, block []byte)
		reset   bool
		trailer bool
	}{
		"Connection":                  {[]string{"connection", "keep-alive"}, whole, true, false},
		"Keep-Alive":                  {[]string{"keep-alive", "timeout=5"}, whole, true, false},
		"Proxy-Connection":            {[]string{"proxy-connection", "close"}, whole, true, false},
		"Transfer-Encoding":           {[]string{"transfer-encoding", "chunked"}, whole, true, false},
		"Upgrade":                     {[]string{"upgrade", "websocket"}, whole, true, false},
		"TE":                          {[]string{"te", "gzip"}, whole, true, false},
		"TE in pieces":                {[]string{"te", "gzip"}, inPieces, true, false},
		"TE among padding":            {[]string{"te", "trailers, gzip", "x-new", "another"}, padded, true, false},
		"Connection in a trailer":     {[]string{"connection", "close"}, whole, true, true},
		"TE that is trailers":         {[]string{"te", "trailers"}, whole, false, false},
		"nothing of it, in pieces":    {[]string{"x-foo", "connection"}, inPieces, false, false},
		"nothing of it, with padding": {[]string{"x-foo", "upgrade"}, padded, false, false},
		"a trailer that is one":       {[]string{"x-foo", "bar"}, whole, false, true},
	} {
		if c.trailer {
			framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: encode(request...), EndHeaders: true})
			c.send(stream, encode(c.fields...))
		} else {
			c.send(stream, encode(append(request, c.fields...)...))
		}
		if got := endOf(t, framer, stream); (got == http2.ErrCodeProtocol) != c.reset {
			t.Errorf("%s: stream %d ends with %v", name, stream, got)
		}
		stream += 2
	}
	if n := len(h.logs); n > 5 { // four as they should, and one whose trailer came late
		t.Errorf("%d requests went on", n)
	}
}

// endOf reads until a stream ends, and how.
func endOf(t *testing.T, framer *http2.Framer, stream uint32) http2.ErrCode {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				framer.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			t.Fatalf("the connection ends with %v", f.ErrCode)
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return f.ErrCode
			}
		case *http2.DataFrame:
			if f.StreamID == stream && f.StreamEnded() {
				if string(f.Data()) != "ok" && len(f.Data()) > 0 {
					t.Errorf("stream %d got %q", stream, f.Data())
				}
				return http2.ErrCodeNo
			}
		case *http2.HeadersFrame:
			if f.StreamID == stream && f.StreamEnded() {
				return http2.ErrCodeNo
			}
		}
	}
	t.Fatal("timed out")
	return 0
}

// FuzzSections has frames of any bytes looked through: each stays what it was, but
// for its length and what may stand at the end of its section.
func FuzzSections(f *testing.F) {
	f.Add([]byte("\x82\x86\x84"), byte(headersFrame), byte(endHeaders))
	f.Add([]byte("\x05\x00\x00\x00\x00\x10\x00\x02te\x04gzip\x00\x00\x00\x00\x00"), byte(headersFrame), byte(endHeaders|padded|prioritized))
	f.Add([]byte("\x00\x0aconnection\x00"), byte(continuationFrame), byte(endHeaders))
	f.Fuzz(func(t *testing.T, payload []byte, kind, flags byte) {
		if len(payload) > bufferSize {
			return
		}
		frame := append([]byte{0, 0, 0, kind, flags, 0, 0, 0, 1}, payload...)
		putLength(frame, len(payload))
		s := newSections()
		for range 2 { // the second is read with what the first left behind
			got := s.check(bytes.Clone(frame))
			if length := int(got[0])<<16 | int(got[1])<<8 | int(got[2]); length != len(got)-frameHeader || length > bufferSize {
				t.Fatalf("%q says that it has %d", got, length)
			}
			without := bytes.Replace(got[frameHeader:], []byte(unnameable), nil, 1)
			if same := bytes.Replace(payload, []byte(unnameable), nil, 1); !bytes.Equal(got[frameHeader:], payload) && !bytes.Equal(without, payload) && !bytes.Equal(without, same) {
				t.Fatalf("%q became %q", payload, got[frameHeader:])
			}
		}
	})
}
