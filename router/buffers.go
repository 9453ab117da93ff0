package router

import (
	"sync"
	"unsafe"
)

const (
	bufferSize = 16 << 10 // what one read of a head takes at most
	largeSize  = 64 << 10 // and one of a body that does not end with that
)

// buffers lends out buffers of one size.
type buffers struct {
	size int
	pool sync.Pool // of *byte, the first of each: a slice would be an allocation
}

func (b *buffers) get() []byte {
	if first, ok := b.pool.Get().(*byte); ok {
		return unsafe.Slice(first, b.size)
	}
	return make([]byte, b.size)
}

// put takes a buffer back, unless it is one that has grown.
func (b *buffers) put(buf []byte) {
	if len(buf) == b.size {
		b.pool.Put(unsafe.SliceData(buf))
	}
}
