package router

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

const (
	frameHeader   = 9
	settingsFrame = 0x4
	settingsAck   = 0x1
	maxSettings   = 6 * 64 // bytes; there are not that many to say
)

// frames is a connection of HTTP/2 on its way to net/http, which takes exception
// to a SETTINGS frame that says the same thing twice, where all it says is to be
// taken in its order (RFC 9113 §6.5.3): here the last of them is left. Of its
// sections see there.
type frames struct {
	net.Conn
	tls      tls.ConnectionState
	in       *bufio.Reader
	ready    []byte // to be read before what is next in in
	through  int    // bytes of a frame, or of the preface, that are passed on as they are
	leave    func() // called once it is closed
	sections *sections
	left     sync.Once
}

func newFrames(c *tls.Conn, leave func()) *frames {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	return &frames{
		Conn: c, tls: c.ConnectionState(), in: bufio.NewReaderSize(c, bufferSize), through: len(preface), leave: leave,
		sections: newSections(),
	}
}

// Close closes the connection.
func (f *frames) Close() error {
	defer f.left.Do(f.leave)
	return f.Conn.Close()
}

func (f *frames) Read(p []byte) (int, error) {
	if len(f.ready) == 0 && f.through == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if len(f.ready) > 0 {
		n := copy(p, f.ready)
		f.ready = f.ready[n:]
		return n, nil
	}
	n, err := f.in.Read(p[:min(len(p), f.through)])
	f.through -= n
	return n, err
}

// next reads the header of the next frame and, of one that is looked into, all of it. A
// connection that ends within a frame ends there for net/http, too.
func (f *frames) next() error {
	head := make([]byte, frameHeader, 64)
	n, err := io.ReadFull(f.in, head)
	f.ready = head[:n]
	if err != nil {
		return endWithin(n, err)
	}
	length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	var instead func(frame []byte) []byte
	switch {
	case head[3] == settingsFrame && head[4]&settingsAck == 0 && length <= maxSettings && length%6 == 0:
		instead = onlyLast
	case (head[3] == headersFrame || head[3] == continuationFrame) && length <= bufferSize:
		instead = f.sections.check
	default:
		f.through = length
		return nil
	}
	head = append(head, make([]byte, length)...)
	n, err = io.ReadFull(f.in, head[frameHeader:])
	if f.ready = head[:frameHeader+n]; err != nil {
		return endWithin(frameHeader+n, err)
	}
	f.ready = instead(head)
	return nil
}

// endWithin is the error of what ends within a frame: none, as long as there is
// something to be read before it.
func endWithin(n int, err error) error {
	if n > 0 {
		return nil
	}
	return err
}

// onlyLast leaves out of a SETTINGS frame what it says anew later. What may not
// be said at all stays, to be refused.
func onlyLast(frame []byte) []byte {
	kept := frame[:frameHeader]
	for payload := frame[frameHeader:]; len(payload) > 0; payload = payload[6:] {
		if !valid(payload) || !saidAgain(payload) {
			kept = append(kept, payload[:6]...)
		}
	}
	putLength(kept, len(kept)-frameHeader)
	return kept
}

func saidAgain(payload []byte) bool {
	id := binary.BigEndian.Uint16(payload)
	for rest := payload[6:]; len(rest) > 0; rest = rest[6:] {
		if binary.BigEndian.Uint16(rest) == id {
			return true
		}
	}
	return false
}

// valid is whether a setting has a value that it may have (RFC 9113 §6.5.2).
func valid(setting []byte) bool {
	value := binary.BigEndian.Uint32(setting[2:])
	switch binary.BigEndian.Uint16(setting) {
	case 0x2: // ENABLE_PUSH
		return value <= 1
	case 0x4: // INITIAL_WINDOW_SIZE
		return value <= 1<<31-1
	case 0x5: // MAX_FRAME_SIZE
		return value >= 1<<14 && value < 1<<24
	}
	return true
}
