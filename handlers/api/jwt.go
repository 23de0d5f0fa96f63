package api

import (
	"context"
	"errors"
	"regexp"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluice-media/sluice/sagas"
)

var tenantPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

const maxSubject = 255 // bytes

// hs256 authenticates JWTs that are signed with a shared secret.
type hs256 struct {
	secret []byte
	parser *jwt.Parser
}

// claims are the registered ones and the tenant.
type claims struct {
	jwt.RegisteredClaims
	Tenant string `json:"tenant"`
}

func newHS256(c Config) *hs256 {
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
	}
	if c.JWTIssuer != "" {
		options = append(options, jwt.WithIssuer(c.JWTIssuer))
	}
	if c.JWTAudience != "" {
		options = append(options, jwt.WithAudience(c.JWTAudience))
	}
	return &hs256{secret: []byte(c.JWTSecret), parser: jwt.NewParser(options...)}
}

// authenticate implements authenticator.
func (h *hs256) authenticate(_ context.Context, token string) (principal, error) {
	var c claims
	_, err := h.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return h.secret, nil })
	if err != nil {
		return principal{}, refusal(err)
	}
	return principal{Owner: sagas.Owner{Tenant: c.Tenant, Subject: c.Subject}, expires: c.ExpiresAt.Time}, nil
}

var (
	errSubject = errors.New("the claim sub is missing, too long or not printable")
	errTenant  = errors.New("the claim tenant must be 1 to 64 letters, digits, dashes and underscores")
)

// Validate implements jwt.ClaimsValidator: it is called after the registered claims were checked.
func (c claims) Validate() error {
	if c.Subject == "" || len(c.Subject) > maxSubject || hasControl(c.Subject) {
		return errSubject
	}
	if !tenantPattern.MatchString(c.Tenant) {
		return errTenant
	}
	return nil
}

// refusal says what is wrong with a token without quoting it.
func refusal(err error) *problem {
	for _, known := range []struct {
		err    error
		kind   kind
		reason string
	}{
		{jwt.ErrTokenMalformed, tokenInvalid, "the token is malformed"},
		{jwt.ErrTokenSignatureInvalid, tokenInvalid, "the signature is not valid"},
		{jwt.ErrTokenUnverifiable, tokenInvalid, "the signature is not valid"},
		{jwt.ErrTokenExpired, tokenExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, tokenEarly, "the token is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, tokenInvalid, "the issuer is not the expected one"},
		{jwt.ErrTokenInvalidAudience, tokenInvalid, "the audience is not the expected one"},
		{jwt.ErrTokenRequiredClaimMissing, tokenInvalid, "a required claim is missing"},
		{errSubject, tokenInvalid, errSubject.Error()},
		{errTenant, tokenInvalid, errTenant.Error()},
	} {
		if errors.Is(err, known.err) {
			return challenge(known.kind, known.reason)
		}
	}
	return challenge(tokenInvalid, "the token is not valid")
}
