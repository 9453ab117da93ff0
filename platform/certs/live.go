package certs

import (
	"crypto/cipher"
	"crypto/tls"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
)

// Entry is a certificate and the domains it is shown for. A domain may begin
// with "*." to stand for every name that no other domain is.
type Entry struct {
	Pair
	Domains []string
}

// Set says which certificate is whose. It never changes.
type Set struct {
	domains    map[string]*Certificate
	challenges map[string]*tls.Certificate // of TLS-ALPN-01, by domain
	keep       contents
}

// Lookup finds the certificate for a server name as a client sends it: that of
// the exact domain, or else that of the wildcard one label up, further than
// which no certificate reaches.
func (s *Set) Lookup(name string) (*tls.Certificate, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	c := s.domains[name]
	if c == nil {
		_, parent, _ := strings.Cut(name, ".")
		c = s.domains["*."+parent]
	}
	if c == nil {
		return nil, false
	}
	return c.tls, true
}

// contents is what a Set is made of, and kept as.
type contents struct {
	Entries    []Entry
	Challenges map[string]Pair
}

// build makes a Set. What was parsed for the last one is taken from there, so
// that one change among thousands costs one key. A Pair that is no good is left
// out: it was checked, and so the file has another's hand in it.
func build(keep contents, last *Set) *Set {
	known := map[Pair]*Certificate{}
	for _, c := range last.domains {
		known[c.Pair] = c
	}
	s := &Set{domains: map[string]*Certificate{}, challenges: map[string]*tls.Certificate{}, keep: keep}
	for _, e := range keep.Entries {
		c := known[e.Pair]
		if c == nil {
			var err error
			if c, err = parse(e.Pair); err != nil {
				continue
			}
		}
		for _, domain := range e.Domains {
			s.domains[domain] = c
		}
	}
	for domain, p := range keep.Challenges {
		if c, err := parse(p); err == nil {
			s.challenges[domain] = c.tls
		}
	}
	return s
}

// Live is the Set in use. Its methods may be called at the same time.
type Live struct {
	set  atomic.Pointer[Set]
	file string
	seal cipher.AEAD
	log  *slog.Logger // nil where the file is ours to write

	mu   sync.Mutex  // held while the set is changed
	kept bool        // the file has the set
	seen os.FileInfo // of the file that was read last
}

// Open makes the Live of a platform, empty, which keeps what it is given in a
// file sealed under key, 32 bytes.
func Open(file string, key []byte) (*Live, error) {
	seal, err := sealer(key)
	if err != nil {
		return nil, err
	}
	l := &Live{file: file, seal: seal}
	l.set.Store(build(contents{}, &Set{}))
	return l, nil
}

// Follow makes the Live of a router that runs alone, which is as new as the
// file is at each handshake. A file that cannot be read is told to log, and
// the last good one stays in use.
func Follow(file string, key []byte, log *slog.Logger) (*Live, error) {
	l, err := Open(file, key)
	if err != nil {
		return nil, err
	}
	l.log = log
	return l, nil
}

// Set is the Set of the moment.
func (l *Live) Set() *Set {
	if l.log != nil {
		l.refresh()
	}
	return l.set.Load()
}

// Swap has these certificates served from the next handshake on, and no others.
// When the file cannot be written, they are served by this process alone.
func (l *Live) Swap(entries []Entry) error {
	return l.change(func(keep *contents) { keep.Entries = entries })
}

// Challenge has a client that asks for it (RFC 8737) shown this certificate for
// a domain; an empty Pair ends that.
func (l *Live) Challenge(domain string, p Pair) error {
	return l.change(func(keep *contents) {
		all := map[string]Pair{}
		for d, q := range keep.Challenges {
			if d != domain {
				all[d] = q
			}
		}
		if p != (Pair{}) {
			all[domain] = p
		}
		keep.Challenges = all
	})
}

// change keeps the new contents before they are served, so that a router that
// runs alone is never behind what was answered.
func (l *Live) change(f func(*contents)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.set.Load()
	keep := last.keep
	f(&keep)
	if l.kept && reflect.DeepEqual(keep, last.keep) {
		return nil
	}
	err := l.save(keep)
	l.kept = err == nil
	l.set.Store(build(keep, last))
	return err
}

// refresh reads the file when it is another than the one that was read last.
func (l *Live) refresh() {
	info, err := os.Stat(l.file)
	if err != nil {
		return // there is none yet, or it cannot be had now
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen != nil && os.SameFile(l.seen, info) && l.seen.ModTime().Equal(info.ModTime()) {
		return
	}
	l.seen = info
	keep, err := l.load()
	if err != nil {
		l.log.Warn("the certificates of apps cannot be read; the last good ones stay in use", "error", err)
		return
	}
	l.set.Store(build(keep, l.set.Load()))
}
