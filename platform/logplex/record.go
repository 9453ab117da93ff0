package logplex

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"niwa/platform"
)

// A record is one line of a file, for people to read as well:
//
//	CHECKSUM ID MICROSECONDS SOURCE DYNO TEXT
//
// The checksum is the CRC-32 of what follows its blank, in 8 hex digits. A
// record that was cut off, or overwritten, is told by it; the newline says
// where the next begins.

// appendRecord appends the record of a line, with its newline.
func appendRecord(b []byte, line platform.LogLine) []byte {
	start := len(b)
	b = append(b, "00000000 "...)
	b = strconv.AppendUint(b, line.ID, 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, line.Time.UnixMicro(), 10)
	b = append(b, ' ')
	b = append(b, line.Source...)
	b = append(b, ' ')
	b = append(b, line.Dyno...)
	b = append(b, ' ')
	b = append(b, line.Text...)
	copy(b[start:], fmt.Sprintf("%08x", crc32.ChecksumIEEE(b[start+9:])))
	return append(b, '\n')
}

// parseRecord reads a record without its newline. It returns false for
// anything that appendRecord did not write.
func parseRecord(b []byte) (line platform.LogLine, ok bool) {
	sum, rest, _ := bytes.Cut(b, []byte{' '})
	if len(sum) != 8 || string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(rest)) {
		return line, false
	}
	fields := bytes.SplitN(rest, []byte{' '}, 5)
	if len(fields) != 5 {
		return line, false
	}
	id, err := strconv.ParseUint(string(fields[0]), 10, 64)
	if err != nil {
		return line, false
	}
	micros, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return line, false
	}
	return platform.LogLine{
		ID:     id,
		Time:   time.UnixMicro(micros).UTC(),
		Source: string(fields[2]),
		Dyno:   string(fields[3]),
		Text:   string(fields[4]),
	}, true
}
