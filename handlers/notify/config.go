package notify

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// The bounds that Standard Webhooks sets for a symmetric secret, in bytes.
const (
	minSecret = 24
	maxSecret = 64
)

const secretPrefix = "whsec_"

// Config says who is told. Its URL may hold a token, so neither it nor the secret is ever part of an error.
type Config struct {
	URL     string        `help:"Where outcomes are POSTed, signed as Standard Webhooks; empty for nowhere."`
	Secret  string        `help:"Key of the signature: whsec_ and base64 of 24 to 64 bytes."`
	Timeout time.Duration `help:"Longest that the receiver may take to answer." default:"20s"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	if c.URL == "" {
		return nil
	}
	var errs []error
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, errors.New("webhook url is not an http or https URL"))
	}
	encoded, prefixed := strings.CutPrefix(c.Secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !prefixed || err != nil || len(key) < minSecret || len(key) > maxSecret {
		errs = append(errs, fmt.Errorf("webhook secret is not %s followed by the base64 of %d to %d bytes", secretPrefix, minSecret, maxSecret))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("webhook timeout: %s is not positive", c.Timeout))
	}
	return errors.Join(errs...)
}
