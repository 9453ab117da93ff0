package route

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A file is magic, frames with all apps, an empty frame, and a frame for each
// change since. A frame has before it
//
//	4 bytes   length
//	4 bytes   length, each bit the other way round
//	4 bytes   CRC-32C of what it holds
//
// Up to the empty frame a file was on disk before it got its name, and whatever
// is wrong there is corruption. Behind it changes are appended, and a crash can
// leave a piece of the last one, or zeros: that is dropped. Length and inverse
// tell such an end from a length that was damaged.
const (
	magic       = "niwa routes 1\n"
	frameHeader = 12
)

func appendFrame(to []byte, c Changes) []byte {
	to = binary.LittleEndian.AppendUint32(to, uint32(len(c)))
	to = binary.LittleEndian.AppendUint32(to, ^uint32(len(c)))
	to = binary.LittleEndian.AppendUint32(to, sum(c))
	return append(to, c...)
}

func sum(c Changes) uint32 { return crc32.Checksum(c, crc32.MakeTable(crc32.Castagnoli)) }

// extent is what a file has: so many bytes of the table, and so many that are
// good in all.
type extent struct{ base, good int64 }

// readFrames reads a file of that size, of which it has each frame used.
func readFrames(from io.Reader, size int64, use func(Changes) error) (e extent, err error) {
	in := bufio.NewReaderSize(from, 1<<20)
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(in, begin); err != nil || string(begin) != magic {
		return e, fmt.Errorf("%w: it is no table of this version of niwa", ErrCorrupt)
	}
	e.good = int64(len(magic))
	for {
		c, err := readFrame(in, size-e.good)
		switch {
		case err == errEnd && e.base > 0:
			return e, nil
		case err == errEnd:
			return e, fmt.Errorf("%w: its end is missing", ErrCorrupt)
		case err != nil:
			return e, err
		}
		if err := use(c); err != nil {
			return e, err
		}
		e.good += frameHeader + int64(len(c))
		if len(c) == 0 {
			e.base = e.good
		}
	}
}

// errEnd is the end of a file, or what a crash left of the last frame.
var errEnd = errors.New("the end of the table")

// readFrame reads a frame of a file that has so many bytes left.
func readFrame(in *bufio.Reader, left int64) (Changes, error) {
	if left < frameHeader {
		return nil, errEnd
	}
	var header [frameHeader]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(header[:])
	if binary.LittleEndian.Uint32(header[4:]) != ^size {
		return nil, zeros(in, "a length")
	}
	if int64(size) > left-frameHeader {
		return nil, errEnd
	}
	c := make(Changes, size)
	if _, err := io.ReadFull(in, c); err != nil {
		return nil, err
	}
	if sum(c) != binary.LittleEndian.Uint32(header[8:]) {
		return nil, zeros(in, "a checksum")
	}
	return c, nil
}

// zeros is errEnd when what is left are zeros, as after the crash of a machine.
func zeros(in *bufio.Reader, what string) error {
	for {
		b, err := in.ReadByte()
		if err == io.EOF {
			return errEnd
		}
		if err != nil {
			return err
		}
		if b != 0 {
			return fmt.Errorf("%w: %s is wrong", ErrCorrupt, what)
		}
	}
}
