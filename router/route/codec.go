package route

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// body is an entry in bytes, in memory as in a file: the hosts first, by which
// it is found, then what App has. A list has its length before it, and so has
// a string; a host's and an id's is one byte, all others are varints.
type body []byte

var errBody = errors.New("it is not an entry of this version of niwa")

// packed is in place of the length of an id that is a UUID: 16 bytes follow.
const packed = 0xff

// switches are the bits of a byte.
const (
	legacy = 1 << iota
	affinity
	endToEndContinue
	noKeepAlive
)

// encode writes an entry of which the hosts are keys already.
func encode(hosts []string, app *App) (body, error) {
	state, ok := app.State.code()
	if !ok {
		return nil, fmt.Errorf("app %q has the unknown state %q", app.Name, app.State)
	}
	b := binary.AppendUvarint(nil, uint64(len(hosts)))
	for _, h := range hosts {
		b = append(append(b, byte(len(h))), h...)
	}
	r := &app.Routing
	if len(app.ID) >= packed {
		return nil, fmt.Errorf("the id of app %q has %d bytes", app.Name, len(app.ID))
	}
	b = appendAll(appendID(b, app.ID), app.Name, app.ErrorPageURL, app.MaintenancePageURL, r.Policy)
	b = append(b, state, bit(r.Legacy, legacy)|bit(r.Affinity, affinity)|bit(r.EndToEndContinue, endToEndContinue)|bit(r.NoKeepAlive, noKeepAlive))
	b = binary.AppendUvarint(b, uint64(len(app.Dynos)))
	for _, d := range app.Dynos {
		b = appendAll(b, d.Name, d.Addr)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Weights)))
	for _, name := range slices.Sorted(maps.Keys(r.Weights)) {
		b = binary.AppendVarint(appendAll(b, name), int64(r.Weights[name]))
	}
	if len(b) > maxRecord-headerSize {
		return nil, fmt.Errorf("the routes of app %q take %d bytes, more than the table has for one", app.Name, len(b))
	}
	return b, nil
}

func bit(set bool, is byte) byte {
	if set {
		return is
	}
	return 0
}

func appendID(b []byte, id string) []byte {
	if is, err := uuid.Parse(id); err == nil && is.String() == id {
		return append(append(b, packed), is[:]...)
	}
	return append(append(b, byte(len(id))), id...)
}

func appendAll(b []byte, all ...string) []byte {
	for _, s := range all {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

// lists says whether the entry has a host, which for a wildcard is what
// follows "*.". Each request asks.
func (b body) lists(host string, wild bool) bool {
	n, at := binary.Uvarint(b)
	for ; n > 0; n-- {
		listed := b[at+1 : at+1+int(b[at])]
		at += 1 + len(listed)
		if wild != (listed[0] == '*') {
			continue
		}
		if wild {
			listed = listed[2:]
		}
		if string(listed) == host {
			return true
		}
	}
	return false
}

// hosts and id are those of a body that decode has read.
func (b body) hosts() []string {
	r := reader{rest: string(b)}
	return r.hosts()
}

func (b body) id() string {
	r := reader{rest: string(b)}
	r.skipHosts()
	return r.id()
}

// isOf says whether the entry is of the app with an id, which is as appendID
// writes it.
func (b body) isOf(id []byte) bool {
	n, at := binary.Uvarint(b)
	for ; n > 0; n-- {
		at += 1 + int(b[at])
	}
	return bytes.HasPrefix(b[at:], id)
}

// app is the app of a body that decode has read.
func (b body) app() App {
	r := reader{rest: string(b)} // which its strings share
	r.skipHosts()
	return r.app()
}

// decode reads what encode wrote.
func decode(b body) (hosts []string, app App, err error) {
	r := reader{rest: string(b)}
	hosts = r.hosts()
	app = r.app()
	if r.bad || r.rest != "" || !b.isOf(appendID(nil, app.ID)) {
		return nil, App{}, errBody
	}
	for i, h := range hosts {
		if key, ok := hostKey(h); !ok || key != h || i > 0 && h <= hosts[i-1] {
			return nil, App{}, fmt.Errorf("%w: app %q has the host %q", errBody, app.Name, h)
		}
	}
	return hosts, app, nil
}

// reader reads a body. Once it is bad, what it reads means nothing.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) app() (a App) {
	a.ID, a.Name = r.id(), r.string()
	a.ErrorPageURL, a.MaintenancePageURL = r.string(), r.string()
	a.Routing.Policy = r.string()
	a.State = r.state()
	set := r.byte()
	a.Routing.Legacy, a.Routing.Affinity = set&legacy != 0, set&affinity != 0
	a.Routing.EndToEndContinue, a.Routing.NoKeepAlive = set&endToEndContinue != 0, set&noKeepAlive != 0
	for n := r.number(); n > 0 && !r.bad; n-- {
		a.Dynos = append(a.Dynos, Dyno{Name: r.string(), Addr: r.string()})
	}
	for n := r.number(); n > 0 && !r.bad; n-- {
		if a.Routing.Weights == nil {
			a.Routing.Weights = make(map[string]int)
		}
		name := r.string()
		a.Routing.Weights[name] = int(r.signed())
	}
	return a
}

func (r *reader) state() State {
	all := states()
	code := int(r.byte())
	if code >= len(all) {
		r.bad = true
		return ""
	}
	return all[code]
}

func (r *reader) byte() byte {
	if r.rest == "" {
		r.bad = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// varint is a number before zigzag is undone.
func (r *reader) varint() (n uint64) {
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		if n |= uint64(b&0x7f) << shift; b < 0x80 {
			return n
		}
	}
	r.bad = true
	return 0
}

func (r *reader) signed() int64 {
	n := r.varint()
	return int64(n>>1) ^ -int64(n&1)
}

// number is a length; of what follows, each takes a byte at least.
func (r *reader) number() int {
	n := r.varint()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) string() string { return r.take(r.number()) }

func (r *reader) take(n int) string {
	if n > len(r.rest) {
		r.bad = true
		n = 0
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) id() string {
	n := r.byte()
	if n != packed {
		return r.take(int(n))
	}
	is, err := uuid.FromBytes([]byte(r.take(16)))
	r.bad = r.bad || err != nil
	return is.String()
}

func (r *reader) hosts() (all []string) {
	for n := r.number(); n > 0 && !r.bad; n-- {
		all = append(all, r.take(int(r.byte())))
	}
	return all
}

func (r *reader) skipHosts() {
	for n := r.number(); n > 0 && !r.bad; n-- {
		r.take(int(r.byte()))
	}
}

// hostKey is what a listed host is found under: its host name, and for
// "*.example.com" that with the star left in.
func hostKey(listed string) (string, bool) {
	rest, wild := strings.CutPrefix(listed, "*.")
	host, ok := Host(rest)
	if wild {
		host = "*." + host
	}
	return host, ok
}

// hostKeys are the keys of the hosts that can be some, each once and in order.
func hostKeys(listed []string) []string {
	var keys []string
	for _, host := range listed {
		if key, ok := hostKey(host); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
