package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// Sealer encrypts what is kept in the database and is as good as a credential: presigned URLs and capabilities.
type Sealer struct {
	aead cipher.AEAD
}

// NewSealer returns a sealer for one purpose. What it sealed cannot be opened with another secret.
func NewSealer(c Config, purpose string) (*Sealer, error) {
	key, err := c.deriveKey(purpose)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing the cipher for %s: %w", purpose, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("preparing the cipher for %s: %w", purpose, err)
	}
	return &Sealer{aead: aead}, nil
}

// Seal encrypts data. It can be opened with the same context only.
func (s *Sealer) Seal(data, context []byte) []byte { return s.aead.Seal(nil, nil, data, context) } //nolint:gosec // the nonce is random: this AEAD makes it itself

// Open decrypts what Seal returned.
func (s *Sealer) Open(sealed, context []byte) ([]byte, error) {
	data, err := s.aead.Open(nil, nil, sealed, context)
	if err != nil {
		return nil, errors.New("the data was sealed with another secret, or is damaged")
	}
	return data, nil
}
