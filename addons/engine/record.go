package engine

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/google/uuid"
)

// Save writes v as JSON, whole or not at all, for niwa's own user alone:
// records hold passwords.
func Save(file string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(file, append(data, '\n'), 0o600)
}

// WriteFile writes a file, whole or not at all. What is left when niwa is
// killed meanwhile is in the same directory, for Clean.
func WriteFile(file string, data []byte, perm os.FileMode) error {
	return renameio.WriteFile(file, data, perm, renameio.WithTempDir(filepath.Dir(file)))
}

// Clean removes what WriteFile had not finished in a directory.
func Clean(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), ".") {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// Load reads what Save wrote; the error is fs.ErrNotExist when there is none.
func Load(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", file, err)
	}
	return nil
}

// CheckID refuses what is not a uuid: ids become names of files and databases.
func CheckID(id string) error {
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return fmt.Errorf("%q is not the uuid of an add-on", id)
	}
	return nil
}

// Name is a name like Heroku's random ones, always the same for the same
// parts: the prefix and 14 letters and digits.
func Name(prefix string, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "/")))
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:14]
}

// Password makes a secret of 64 hexadecimal digits.
func Password() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}
