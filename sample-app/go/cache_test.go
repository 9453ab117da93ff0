package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestEntryOpensOnlyWhereItWasSealed(t *testing.T) {
	key := []byte("a key")
	user := User{ID: 7, Name: "Ada Lovelace", Email: "ada@example.com", Version: 3, CreatedAt: time.Unix(1, 0).UTC()}
	entry, err := seal(key, user)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open(key, 7, entry); err != nil || got != user {
		t.Errorf("open = %+v, %v; want %+v", got, err, user)
	}
	for name, refused := range map[string]struct {
		key   string
		id    int64
		entry []byte
	}{
		"under another key":  {"another", 7, entry},
		"for another user":   {"a key", 8, entry},
		"with another name":  {"a key", 7, bytes.Replace(entry, []byte("Ada"), []byte("Eve"), 1)},
		"cut short":          {"a key", 7, entry[:len(entry)-1]},
		"as a mark":          {"a key", 7, []byte("3 ")},
		"empty":              {"a key", 7, nil},
		"as rubbish":         {"a key", 7, []byte(strings.Repeat(" ", 100))},
		"without the sealer": {"a key", 7, []byte(`3  {"id":7}`)},
	} {
		if got, err := open([]byte(refused.key), refused.id, refused.entry); err == nil {
			t.Errorf("an entry %s opens as %+v", name, got)
		}
	}
}

func TestKeyIsTrustedOnlyWhileItIsFresh(t *testing.T) {
	k := &keys{}
	if _, ok := k.Current(); ok {
		t.Error("no key is trusted")
	}
	asked := time.Now()
	k.set([]byte("new"), asked)
	k.set([]byte("old"), asked.Add(-time.Millisecond))
	if key, ok := k.Current(); !ok || string(key) != "new" {
		t.Errorf("the key is %q, trusted: %v", key, ok)
	}
	k.Distrust()
	k.set([]byte("asked before"), asked)
	if _, ok := k.Current(); ok {
		t.Error("a key that was asked for before it was distrusted is trusted")
	}
	k.set([]byte("stale"), time.Now().Add(time.Nanosecond))
	k.asOf = time.Now().Add(-keyTrust)
	if _, ok := k.Current(); ok {
		t.Error("a stale key is trusted")
	}
}
