package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
)

const capabilityPrefix = "cap_"

// IsCapability reports whether a credential claims to be one for a single upload.
func IsCapability(credential string) bool { return strings.HasPrefix(credential, capabilityPrefix) }

// capabilities are JWTs behind a prefix, signed with a key that is theirs alone.
type capabilities struct {
	key      []byte
	lifetime time.Duration
	parser   *jwt.Parser
}

// capabilityClaims are the registered ones, of which sub and exp are used, and what it is good for.
type capabilityClaims struct {
	jwt.RegisteredClaims
	Tenant    string    `json:"tenant"`
	Upload    uuid.UUID `json:"upload"`
	Operation string    `json:"operation,omitempty"`
}

func newCapabilities(c Config) (*capabilities, error) {
	key, err := c.deriveKey("capabilities")
	if err != nil {
		return nil, err
	}
	return &capabilities{
		key: key, lifetime: c.CapabilityLifetime,
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired()),
	}, nil
}

func (c *capabilities) issue(o sagas.Owner, upload uuid.UUID, until time.Time) (token string, expires time.Time, err error) {
	expires = time.Now().Add(c.lifetime)
	if until.After(expires) {
		expires = until
	}
	expires = expires.Truncate(time.Second) // as the claim has it
	token, err = c.sign(o, upload, "", expires)
	return token, expires, err
}

func (c *capabilities) sign(o sagas.Owner, upload uuid.UUID, operation string, expires time.Time) (string, error) {
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, capabilityClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: o.Subject, ExpiresAt: jwt.NewNumericDate(expires)},
		Tenant:           o.Tenant, Upload: upload, Operation: operation,
	}).SignedString(c.key)
	if err != nil {
		return "", fmt.Errorf("signing the capability for upload %s: %w", upload, err)
	}
	return capabilityPrefix + signed, nil
}

func (c *capabilities) verify(credential string) (verdict, error) {
	var claims capabilityClaims
	_, err := c.parser.ParseWithClaims(strings.TrimPrefix(credential, capabilityPrefix), &claims,
		func(*jwt.Token) (any, error) { return c.key, nil })
	if err != nil {
		return verdict{}, refusal(err)
	}
	p := Principal{
		Owner:   sagas.Owner{Tenant: claims.Tenant, Subject: claims.Subject},
		Expires: claims.ExpiresAt.Time, Upload: claims.Upload, Operation: claims.Operation,
	}
	if p.Upload == uuid.Nil {
		return verdict{}, &Error{Invalid, "the token names no upload"}
	}
	return verdict{principal: p}, CheckOwner(p.Owner)
}

// refusal says what is wrong with a JWT without quoting it.
func refusal(err error) error {
	for _, known := range []struct {
		err    error
		code   Code
		reason string
	}{
		{jwt.ErrTokenMalformed, Invalid, "the token is malformed"},
		{jwt.ErrTokenSignatureInvalid, Invalid, "the signature is not valid"},
		{jwt.ErrTokenUnverifiable, Invalid, "the signature is not valid"},
		{jwt.ErrTokenExpired, Expired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, Early, "the token is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, Invalid, "the issuer is not the expected one"},
		{jwt.ErrTokenInvalidAudience, Invalid, "the audience is not the expected one"},
		{jwt.ErrTokenRequiredClaimMissing, Invalid, "a required claim is missing"},
	} {
		if errors.Is(err, known.err) {
			return &Error{known.code, known.reason}
		}
	}
	return &Error{Invalid, "the token is not valid"}
}
