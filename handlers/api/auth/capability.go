package auth

import (
	"encoding/base64"
	"encoding/json"
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
	header   string // of every token, as it is sent
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

// issuedClaims are capabilityClaims as they are issued: the same JSON, which is cheaper to write.
type issuedClaims struct {
	Subject   string `json:"sub"`
	Expires   int64  `json:"exp"` // seconds since 1970
	Tenant    string `json:"tenant"`
	Upload    string `json:"upload"`
	Operation string `json:"operation,omitempty"`
}

func newCapabilities(c Config) (*capabilities, error) {
	key, err := c.deriveKey("capabilities")
	if err != nil {
		return nil, err
	}
	empty, err := jwt.New(jwt.SigningMethodHS256).SigningString()
	if err != nil {
		return nil, fmt.Errorf("writing the header of capabilities: %w", err)
	}
	header, _, _ := strings.Cut(empty, ".")
	return &capabilities{
		key: key, header: header, lifetime: c.CapabilityLifetime,
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
	failed := func(err error) (string, error) {
		return "", fmt.Errorf("signing the capability for upload %s: %w", upload, err)
	}
	claims, err := json.Marshal(issuedClaims{
		Subject: o.Subject, Expires: expires.Unix(), Tenant: o.Tenant, Upload: upload.String(), Operation: operation,
	})
	if err != nil {
		return failed(err)
	}
	token := append(make([]byte, 0, 512), capabilityPrefix+c.header+"."...)
	token = base64.RawURLEncoding.AppendEncode(token, claims)
	signature, err := jwt.SigningMethodHS256.Sign(string(token[len(capabilityPrefix):]), c.key)
	if err != nil {
		return failed(err)
	}
	return string(base64.RawURLEncoding.AppendEncode(append(token, '.'), signature)), nil
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
