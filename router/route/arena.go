package route

import (
	"encoding/binary"
	"sync/atomic"
)

const (
	firstChunk = 64 << 10
	chunkSize  = 2 << 20 // a huge page
	// A handle is the number of a chunk, and where in it a record begins, in
	// steps of 8 bytes.
	handleOffset = 18
	chunkCount   = 1 << (32 - handleOffset)

	headerSize = 16
	maxRecord  = 1<<24 - 1
	// maxPlace leaves room for as many versions.
	maxPlace = 1 << 39

	// untidy is the garbage, as a share of all, that is not worth moving
	// records for: one byte in 4.
	untidy = 4
	// moves is how many records are moved at most for one that is added. Three
	// would hold the garbage where it is.
	moves = 8
)

// record is an app as the table has it, of bytes that never change:
//
//	8 bytes   version << 24 | size of all of it
//	8 bytes   place
//	          body, as appendBody writes it
type record []byte

func (r record) version() int64 { return int64(binary.LittleEndian.Uint64(r) >> 24) }
func (r record) place() int64   { return int64(binary.LittleEndian.Uint64(r[8:])) }
func (r record) body() body     { return body(r[headerSize:]) }

// handle says where a record is. 0 is nowhere.
type handle uint32

// chunk is a piece of memory that fills up with records.
type chunk struct {
	*block
	used int // bytes
	dead int // bytes of them in records that were dropped
}

// arena holds records. One goroutine at a time writes, and any number read: a
// record is there before its handle is told, and a chunk whose last record was
// dropped or moved goes when nobody reads in it any more.
//
// The numbers of chunks are given out in turn, so that a reader which slept
// while its handle became another record's would have slept through 32 GB of
// changes.
type arena struct {
	chunks [chunkCount]atomic.Pointer[chunk]
	last   int // chunk that is being filled
	used   int
	dead   int
	victim *tidying

	loading bool // nobody reads yet
}

// tidying is a chunk whose records are on the move.
type tidying struct {
	number int
	offset int
}

// at is the record with that handle, and what must be kept alive while it is
// read; nil when it has moved.
func (a *arena) at(h handle) (record, *block) {
	c := a.chunks[h>>handleOffset].Load()
	if c == nil {
		return nil, nil
	}
	return c.record(int(h&(1<<handleOffset-1)) * 8), c.block
}

func (c *chunk) record(offset int) record {
	size := binary.LittleEndian.Uint64(c.bytes[offset:]) & maxRecord
	return record(c.bytes[offset : offset+int(size)])
}

// add adds a record. The body must not be longer than maxRecord, less the
// header.
func (a *arena) add(version, place int64, b body) handle {
	size := headerSize + len(b)
	c := a.chunks[a.last].Load()
	if c == nil || c.used+aligned(size) > len(c.bytes) {
		c = a.grow(size)
	}
	offset := c.used
	to := c.bytes[offset:]
	binary.LittleEndian.PutUint64(to, uint64(version)<<24|uint64(size))
	binary.LittleEndian.PutUint64(to[8:], uint64(place))
	copy(to[headerSize:], b)
	c.used += aligned(size)
	a.used += aligned(size)
	return handle(a.last<<handleOffset | offset/8)
}

// grow begins a new chunk. The first handle is never 0.
func (a *arena) grow(size int) *chunk {
	bytes := chunkSize
	if a.used == 0 {
		bytes = firstChunk
	}
	full := a.chunks[a.last].Load()
	for a.last++; a.chunks[a.last%chunkCount].Load() != nil || a.last%chunkCount == 0; a.last++ {
	}
	a.last %= chunkCount
	c := &chunk{block: allocate(max(bytes, aligned(size)))}
	if a.loading {
		c.preferHugePages() // nobody waits
	} else if full != nil {
		full.preferHugePages()
	}
	a.chunks[a.last].Store(c)
	return c
}

func aligned(size int) int { return (size + 7) &^ 7 }

// drop makes a record garbage, to which no handle leads any more.
func (a *arena) drop(h handle) {
	number := int(h >> handleOffset)
	c := a.chunks[number].Load()
	size := aligned(len(c.record(int(h&(1<<handleOffset-1)) * 8)))
	c.dead += size
	a.dead += size
	if c.dead == c.used && number != a.last {
		a.release(number)
	}
}

func (a *arena) release(number int) {
	c := a.chunks[number].Load()
	a.chunks[number].Store(nil)
	a.used -= c.used
	a.dead -= c.dead
	if a.victim != nil && a.victim.number == number {
		a.victim = nil
	}
}

// next is the next record to look at for who makes room: move it, if it is in
// use still, and drop the old. It is 0 while there is too little garbage.
func (a *arena) next() handle {
	if a.victim == nil {
		if a.dead*untidy < a.used || a.used <= chunkSize {
			return 0
		}
		if a.victim = a.emptiest(); a.victim == nil {
			return 0
		}
	}
	v := a.victim
	c := a.chunks[v.number].Load()
	h := handle(v.number<<handleOffset | v.offset/8)
	if v.offset += aligned(len(c.record(v.offset))); v.offset == c.used {
		a.victim = nil // its last record is looked at now
	}
	return h
}

// emptiest is the chunk with the most garbage, of those that are full.
func (a *arena) emptiest() *tidying {
	most, dead := 0, 0
	for i := range a.chunks {
		if c := a.chunks[i].Load(); c != nil && i != a.last && c.dead > dead {
			most, dead = i, c.dead
		}
	}
	if dead == 0 {
		return nil
	}
	return &tidying{number: most}
}
