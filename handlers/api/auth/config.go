package auth

import (
	"cmp"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	minSecret = 32 // bytes: HS256 wants a key as long as its hash (RFC 7518, 3.2)
	keySize   = 32 // bytes of a derived key
)

// Config is whom the API believes.
type Config struct {
	JWTSecret          string        `help:"Secret of at least 32 bytes that bearer tokens are signed with (HS256, HS384, HS512); empty for none."`
	JWKSURL            string        `name:"jwks-url" help:"URL of the JWK set with the keys that bearer tokens are signed with; empty for none."`
	JWTAlgorithms      []string      `help:"Algorithms that bearer tokens may be signed with. HS… is the secret's, the others are the JWK set's." default:"HS256,RS256,PS256,ES256,EdDSA"`
	JWTIssuer          string        `help:"Issuer that tokens must name; empty for any."`
	JWTAudience        string        `help:"Audience that tokens must name; empty for any."`
	JWTTenantClaim     string        `help:"Claim that names the tenant." default:"tenant"`
	JWKSRefresh        time.Duration `name:"jwks-refresh" help:"How often the JWK set is fetched. A key that is not in it is looked for at once." default:"1h"`
	JWKSTimeout        time.Duration `name:"jwks-timeout" help:"How long fetching it may take, at start too." default:"5s"`
	APIKeyCache        time.Duration `name:"api-key-cache" help:"How long what the database says of an API key is believed: a revoked key is good for so long." default:"10s"`
	CapabilitySecret   string        `help:"Secret of at least 32 bytes for the tokens of single uploads; empty: it is derived from the jwt-secret. A new one ends those that are out."`
	CapabilityLifetime time.Duration `help:"How long the token of a single upload is good, if the upload does not live longer." default:"12h"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	for name, secret := range map[string]string{"jwt-secret": c.JWTSecret, "capability-secret": c.CapabilitySecret} {
		if secret != "" && len(secret) < minSecret {
			wrong("%s: %d bytes are fewer than %d", name, len(secret), minSecret)
		}
	}
	if c.JWTSecret == "" && c.CapabilitySecret == "" {
		wrong("jwt-secret and capability-secret: one of them is needed")
	}
	if u, err := url.Parse(c.JWKSURL); c.JWKSURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		wrong("jwks-url: %q is not an http or https URL", c.JWKSURL)
	}
	if len(c.JWTAlgorithms) == 0 {
		wrong("jwt-algorithms is empty")
	}
	for _, name := range c.JWTAlgorithms {
		if name == jwt.SigningMethodNone.Alg() || jwt.GetSigningMethod(name) == nil {
			wrong("jwt-algorithms: %q is not one of %s", name, strings.Join(algorithms(), ", "))
		}
	}
	if c.JWTTenantClaim == "" {
		wrong("jwt-tenant-claim is empty")
	}
	if c.JWKSURL != "" && c.JWKSRefresh < time.Second {
		wrong("jwks-refresh: %s is less than 1s", c.JWKSRefresh)
	}
	if c.JWKSURL != "" && c.JWKSTimeout <= 0 {
		wrong("jwks-timeout: %s is not positive", c.JWKSTimeout)
	}
	if c.APIKeyCache < 0 {
		wrong("api-key-cache: %s is negative", c.APIKeyCache)
	}
	if c.CapabilityLifetime < time.Minute {
		wrong("capability-lifetime: %s is less than 1m", c.CapabilityLifetime)
	}
	return errors.Join(errs...)
}

func algorithms() []string {
	names := jwt.GetAlgorithms()
	names = slices.DeleteFunc(names, func(name string) bool { return name == jwt.SigningMethodNone.Alg() })
	slices.Sort(names)
	return names
}

// deriveKey returns the key for one purpose (HKDF, RFC 5869).
func (c Config) deriveKey(purpose string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, []byte(cmp.Or(c.CapabilitySecret, c.JWTSecret)), nil, "sluice "+purpose, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key for %s: %w", purpose, err)
	}
	return key, nil
}
