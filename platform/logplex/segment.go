package logplex

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"niwa/platform"
)

// segments are the files of one log, named by the id of their first line. The
// newest is appended to until it holds Keep lines; the one before it stays,
// older ones go, so that between them at least Keep lines are there.
//
// Files are not synced: the operating system holds what was written when
// niwa dies, and a machine that dies may lose its last seconds.
type segments struct {
	dir   string // made at the first append; empty to keep nothing
	file  *os.File
	size  int64 // bytes of whole records in file
	count int   // lines in file
	torn  bool  // file may end within a record
}

// load reads the last Keep lines and opens the newest file.
func (s *segments) load() ([]platform.LogLine, error) {
	names, err := s.names()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var lines []platform.LogLine
	for _, name := range names {
		if err := s.read(name, &lines); err != nil {
			return lines, err
		}
	}
	if s.file, err = os.OpenFile(names[len(names)-1], os.O_WRONLY|os.O_APPEND, 0); err == nil {
		s.size, err = s.file.Seek(0, io.SeekEnd)
	}
	return lines[max(0, len(lines)-Keep):], err
}

// read appends the whole records of a file to lines, and skips the rest.
func (s *segments) read(name string, lines *[]platform.LogLine) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()

	s.count = 0
	var last uint64
	if n := len(*lines); n > 0 {
		last = (*lines)[n-1].ID
	}
	r := bufio.NewReaderSize(file, 64<<10) // longer than any record
	for {
		record, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if line, ok := parseRecord(bytes.TrimSuffix(record, []byte{'\n'})); ok && line.ID > last {
			*lines = append(*lines, line)
			last = line.ID
			s.count++
		}
		if err == io.EOF {
			s.torn = len(record) > 0
			return nil
		}
	}
}

// append writes lines, at least one, to the newest file.
func (s *segments) append(lines []platform.LogLine) error {
	if s.dir == "" {
		return errors.New("its name is not one of an app")
	}
	if s.file == nil || s.count >= Keep {
		if err := s.rotate(lines[0].ID); err != nil {
			return err
		}
	}
	var b []byte
	if s.torn {
		b = append(b, '\n')
	}
	for _, line := range lines {
		b = appendRecord(b, line)
	}
	if _, err := s.file.Write(b); err != nil {
		// What fitted goes, so that trying again does not fill the disk.
		s.torn = s.torn || s.file.Truncate(s.size) != nil
		return err
	}
	s.torn, s.size = false, s.size+int64(len(b))
	s.count += len(lines)
	return nil
}

// rotate begins a file whose first line has the id, and removes all but the
// one before it.
func (s *segments) rotate(id uint64) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(s.dir, segmentName(id))
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := s.close(); err != nil {
		file.Close()
		return err
	}
	s.file, s.size, s.count, s.torn = file, 0, 0, false

	names, err := s.names()
	if err != nil {
		return err
	}
	for _, old := range names[:max(0, len(names)-2)] {
		if err := os.Remove(old); err != nil {
			return err
		}
	}
	return nil
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d.log", first) }

// names lists the files, oldest first.
func (s *segments) names() ([]string, error) {
	if s.dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && filepath.Ext(e.Name()) == ".log" {
			names = append(names, filepath.Join(s.dir, e.Name()))
		}
	}
	slices.Sort(names)
	return names, err
}

func (s *segments) close() error {
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Close()
}
