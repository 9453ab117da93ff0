package router

import "sync"

// bufferSize is what one read of a head or of a piece of a body takes at most.
const bufferSize = 16 << 10

// buffers lends out buffers of one size.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return new([bufferSize]byte)[:]
}

// put takes a buffer back, unless it is one that has grown.
func (b *buffers) put(buf []byte) {
	if len(buf) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(buf))
	}
}
