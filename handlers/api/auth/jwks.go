package auth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	// unknownKeyEvery is how often an unknown key may have the set fetched, however many tokens name one.
	unknownKeyEvery = 10 * time.Second
	unknownKeyBurst = 2
)

// keySet is a JWK set that is fetched over HTTP. A fetch that fails leaves what was fetched before, and a slow one
// is waited for only by tokens whose key is not known.
type keySet struct {
	keys keyfunc.Keyfunc
}

func newKeySet(ctx context.Context, c Config, log *slog.Logger) (*keySet, error) {
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{c.JWKSURL}, keyfunc.Override{
		Client:          &http.Client{Timeout: c.JWKSTimeout},
		HTTPTimeout:     c.JWKSTimeout,
		RefreshInterval: c.JWKSRefresh,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(ctx context.Context, err error) {
				log.ErrorContext(ctx, "could not fetch the JWK set", "error", err)
			}
		},
		RefreshUnknownKID: rate.NewLimiter(rate.Every(unknownKeyEvery), unknownKeyBurst),
		RateLimitWaitMax:  c.JWKSTimeout, // bounds the fetch as well
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the JWK set: %w", err)
	}
	return &keySet{keys: keys}, nil
}

// find returns the key that the token names. It is one that the set gives out for the token's algorithm.
func (s *keySet) find(ctx context.Context, token *jwt.Token) (any, error) {
	if id, ok := token.Header[jwkset.HeaderKID].(string); !ok || id == "" {
		return nil, errNoKeyID
	}
	key, err := s.keys.KeyfuncCtx(ctx)(token)
	if err == nil {
		return key, nil
	}
	all, readErr := s.keys.Storage().KeyReadAll(ctx)
	if readErr != nil {
		return nil, errors.Join(ErrUnavailable, readErr)
	}
	if len(all) == 0 {
		return nil, errors.Join(ErrUnavailable, err)
	}
	return nil, errUnknownKey
}

// holds reports whether the set, as it was fetched last, still gives out the key by that id, for that algorithm. It
// fetches nothing.
func (s *keySet) holds(ctx context.Context, id, algorithm string, key any) bool {
	public, ok := key.(interface {
		Equal(other crypto.PublicKey) bool
	})
	if !ok {
		return false
	}
	all, err := s.keys.Storage().KeyReadAll(ctx)
	return err == nil && slices.ContainsFunc(all, func(k jwkset.JWK) bool {
		m := k.Marshal()
		return m.KID == id && (m.ALG == "" || m.ALG.String() == algorithm) && public.Equal(k.Key())
	})
}
