package auth

import (
	"crypto"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const secret = "a-secret-of-the-tests-of-thirty-two-bytes-or-more"

func testConfig() Config {
	return Config{
		JWTSecret: secret, JWTAlgorithms: []string{"HS256", "RS256", "ES256", "EdDSA"}, JWTTenantClaim: "tenant",
		JWKSRefresh: time.Hour, JWKSTimeout: 2 * time.Second, CapabilityLifetime: time.Hour,
	}
}

func newAuthenticator(t *testing.T, c Config) *Authenticator {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// issuer is an identity provider's JWK set over HTTP.
type issuer struct {
	*httptest.Server
	fetched atomic.Int64

	mu   sync.Mutex
	keys []jwkset.JWKMarshal
	act  func(http.ResponseWriter) bool // true: it has answered
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.fetched.Add(1)
		i.mu.Lock()
		keys, act := i.keys, i.act
		i.mu.Unlock()
		if act != nil && act(w) {
			return
		}
		if err := json.NewEncoder(w).Encode(jwkset.JWKSMarshal{Keys: keys}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) does(act func(http.ResponseWriter) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.act = act
}

func down(w http.ResponseWriter) bool {
	w.WriteHeader(http.StatusBadGateway)
	return true
}

// publishes replaces the set. A []byte is a symmetric key, which no set should have.
func (i *issuer) publishes(t *testing.T, keys map[string]any) {
	t.Helper()
	var set []jwkset.JWKMarshal
	for id, key := range keys {
		if pair, ok := key.(crypto.Signer); ok {
			key = pair.Public()
		}
		jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: id}, Marshal: jwkset.JWKMarshalOptions{Private: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, jwk.Marshal())
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = set
}

// sign makes a token that is good for an hour unless the claims say otherwise; a nil claim is left out.
func sign(t *testing.T, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"sub": "alice", "tenant": "acme", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	token := jwt.NewWithClaims(method, all)
	if kid != "" {
		token.Header["kid"] = kid
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func wantGood(t *testing.T, a *Authenticator, credential string) {
	t.Helper()
	p, err := a.Authenticate(t.Context(), credential)
	if err != nil || p.Tenant != "acme" || p.Subject != "alice" || time.Until(p.Expires) <= 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func wantRefused(t *testing.T, a *Authenticator, credential string, code Code) {
	t.Helper()
	p, err := a.Authenticate(t.Context(), credential)
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.Code != code || refused.Reason == "" {
		t.Errorf("%+v, %v, want %s", p, err, code)
	}
}
