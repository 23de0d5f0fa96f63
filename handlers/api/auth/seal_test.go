package auth

import (
	"bytes"
	"strings"
	"testing"
)

func TestSealer(t *testing.T) {
	sealer := func(c Config, purpose string) *Sealer {
		s, err := NewSealer(c, purpose)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	data, row := []byte("https://s3.example.com/?X-Amz-Signature=abc"), []byte("row 1")
	s := sealer(testConfig(), "tests")
	sealed := s.Seal(data, row)
	if got, err := s.Open(sealed, row); err != nil || !bytes.Equal(got, data) || bytes.Contains(sealed, []byte("X-Amz")) {
		t.Errorf("%q, %v", got, err)
	}
	if bytes.Equal(sealed, s.Seal(data, row)) {
		t.Error("the same twice")
	}
	other := testConfig()
	other.CapabilitySecret = strings.Repeat("x", minSecret)
	damaged := bytes.Clone(sealed)
	damaged[len(damaged)-1]++
	for name, open := range map[string]func() ([]byte, error){
		"other row":     func() ([]byte, error) { return s.Open(sealed, []byte("row 2")) },
		"other purpose": func() ([]byte, error) { return sealer(testConfig(), "else").Open(sealed, row) },
		"other secret":  func() ([]byte, error) { return sealer(other, "tests").Open(sealed, row) },
		"damaged":       func() ([]byte, error) { return s.Open(damaged, row) },
		"empty":         func() ([]byte, error) { return s.Open(nil, row) },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s: opened as %q", name, got)
		}
	}
}
