package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sluice-media/sluice/sagas"
)

var (
	errNoKey      = &Error{Invalid, "tokens of this algorithm are not accepted"}
	errNoKeyID    = &Error{Invalid, "the token does not name its key (kid)"}
	errUnknownKey = &Error{Invalid, "the token is signed with an unknown key"}
)

// tokens authenticates JWTs.
type tokens struct {
	secret      []byte // nil: none
	keys        *keySet
	tenantClaim string
	parser      *jwt.Parser
}

func newTokens(ctx context.Context, c Config, log *slog.Logger) (*tokens, error) {
	options := []jwt.ParserOption{jwt.WithValidMethods(c.JWTAlgorithms), jwt.WithExpirationRequired()}
	if c.JWTIssuer != "" {
		options = append(options, jwt.WithIssuer(c.JWTIssuer))
	}
	if c.JWTAudience != "" {
		options = append(options, jwt.WithAudience(c.JWTAudience))
	}
	t := &tokens{secret: []byte(c.JWTSecret), tenantClaim: c.JWTTenantClaim, parser: jwt.NewParser(options...)}
	if c.JWKSURL != "" {
		var err error
		if t.keys, err = newKeySet(ctx, c, log); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *tokens) verify(ctx context.Context, token string) (verdict, error) {
	claims := jwt.MapClaims{}
	var holds func(context.Context) bool
	_, err := t.parser.ParseWithClaims(token, claims, func(token *jwt.Token) (key any, err error) {
		key, holds, err = t.key(ctx, token)
		return key, err
	})
	if err != nil {
		if own, ok := errors.AsType[*Error](err); ok {
			return verdict{}, own
		}
		if errors.Is(err, ErrUnavailable) {
			return verdict{}, fmt.Errorf("checking a token: %w", err)
		}
		return verdict{}, refusal(err)
	}
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return verdict{}, refusal(err)
	}
	subject, err := claims.GetSubject()
	if err != nil {
		return verdict{}, errSubject
	}
	tenant, ok := claims[t.tenantClaim].(string)
	if !ok {
		return verdict{}, errTenant
	}
	p := Principal{Owner: sagas.Owner{Tenant: tenant, Subject: subject}, Expires: expires.Time}
	return verdict{principal: p, holds: holds}, CheckOwner(p.Owner)
}

// key chooses by the kind of the algorithm, which the token cannot turn round: a secret never checks the signature
// of a key pair, and a published key never is a secret (RFC 8725, 2.1). Holds says later whether the key still counts.
func (t *tokens) key(ctx context.Context, token *jwt.Token) (key any, holds func(context.Context) bool, err error) {
	switch symmetric := strings.HasPrefix(token.Method.Alg(), "HS"); {
	case symmetric && len(t.secret) > 0:
		return t.secret, nil, nil
	case !symmetric && t.keys != nil:
		key, err := t.keys.find(ctx, token)
		id, _ := token.Header[jwkset.HeaderKID].(string)
		algorithm := token.Method.Alg()
		return key, func(ctx context.Context) bool { return t.keys.holds(ctx, id, algorithm, key) }, err
	}
	return nil, nil, errNoKey
}
