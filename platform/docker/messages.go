package docker

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// Follow reads what an engine says while it pulls, imports or builds, and
// gives it to line, line by line and without blank ones. It returns the error
// that the engine ends with, or one of reading.
func Follow(r io.Reader, line func(string)) error {
	var message struct {
		Stream, Status string
		ErrorDetail    struct{ Message string }
	}
	for d := json.NewDecoder(r); ; {
		message.Stream, message.Status = "", ""
		err := d.Decode(&message)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if message.ErrorDetail.Message != "" {
			return errors.New(message.ErrorDetail.Message)
		}
		for text := range strings.Lines(message.Stream + message.Status) {
			if text = strings.TrimRight(text, "\r\n"); strings.TrimSpace(text) != "" {
				line(text)
			}
		}
	}
}
