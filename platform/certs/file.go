package certs

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// purpose binds what is sealed to what it is: the key seals other things too.
const purpose = "niwa:certificates"

func sealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("the key file must hold 32 bytes: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (l *Live) save(keep contents) error {
	plain, err := json.Marshal(keep)
	if err != nil {
		return err
	}
	beside := renameio.WithTempDir(filepath.Dir(l.file))
	if err := renameio.WriteFile(l.file, l.seal.Seal(nil, nil, plain, []byte(purpose)), 0o600, beside); err != nil {
		return fmt.Errorf("keeping certificates for routers that run alone: %w", err)
	}
	return nil
}

func (l *Live) load() (keep contents, err error) {
	sealed, err := os.ReadFile(l.file)
	if err != nil {
		return keep, err
	}
	plain, err := l.seal.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return keep, errors.New(l.file + " is not what niwa wrote, or was sealed under another key")
	}
	return keep, json.Unmarshal(plain, &keep)
}
