package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestKeysOfAnIdentityProvider(t *testing.T) {
	rs, es := rsaKey(t), ecKey(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	symmetric := []byte("a symmetric key that should never be in a JWK set")
	i := newIssuer(t)
	i.publishes(t, map[string]any{"rs": rs, "es": es, "ed": crypto.Signer(ed), "oct": symmetric})
	c := testConfig()
	c.JWKSURL, c.JWTIssuer, c.JWTAudience = i.URL, "https://id.example.com", "sluice"
	a := newAuthenticator(t, c)
	claims := func(change jwt.MapClaims) jwt.MapClaims {
		all := jwt.MapClaims{"iss": "https://id.example.com", "aud": "sluice"}
		for name, value := range change {
			all[name] = value
		}
		return all
	}
	public, err := x509.MarshalPKIXPublicKey(rs.Public())
	if err != nil {
		t.Fatal(err)
	}
	published := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})

	for name, token := range map[string]string{
		"RS256":        sign(t, jwt.SigningMethodRS256, "rs", rs, claims(nil)),
		"ES256":        sign(t, jwt.SigningMethodES256, "es", es, claims(nil)),
		"EdDSA":        sign(t, jwt.SigningMethodEdDSA, "ed", ed, claims(nil)),
		"secret, too":  sign(t, jwt.SigningMethodHS256, "", []byte(secret), claims(nil)),
		"secret + kid": sign(t, jwt.SigningMethodHS256, "rs", []byte(secret), claims(nil)),
	} {
		t.Run(name, func(t *testing.T) { wantGood(t, a, token) })
	}
	for name, c := range map[string]struct {
		token string
		code  Code
	}{
		"public key as a secret":     {sign(t, jwt.SigningMethodHS256, "rs", published, claims(nil)), Invalid},
		"public key as a secret, 2":  {sign(t, jwt.SigningMethodHS256, "rs", public, claims(nil)), Invalid},
		"symmetric key of the set":   {sign(t, jwt.SigningMethodHS256, "oct", symmetric, claims(nil)), Invalid},
		"alg none":                   {sign(t, jwt.SigningMethodNone, "rs", jwt.UnsafeAllowNoneSignatureType, claims(nil)), Invalid},
		"not an allowed algorithm":   {sign(t, jwt.SigningMethodPS256, "rs", rs, claims(nil)), Invalid},
		"other key under this kid":   {sign(t, jwt.SigningMethodRS256, "rs", rsaKey(t), claims(nil)), Invalid},
		"kid of another algorithm":   {sign(t, jwt.SigningMethodRS256, "es", rs, claims(nil)), Invalid},
		"kid of a symmetric key":     {sign(t, jwt.SigningMethodRS256, "oct", rs, claims(nil)), Invalid},
		"unknown kid":                {sign(t, jwt.SigningMethodRS256, "else", rs, claims(nil)), Invalid},
		"no kid":                     {sign(t, jwt.SigningMethodRS256, "", rs, claims(nil)), Invalid},
		"expired":                    {sign(t, jwt.SigningMethodRS256, "rs", rs, claims(jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()})), Expired},
		"no expiry":                  {sign(t, jwt.SigningMethodRS256, "rs", rs, claims(jwt.MapClaims{"exp": nil})), Invalid},
		"not yet":                    {sign(t, jwt.SigningMethodRS256, "rs", rs, claims(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()})), Early},
		"foreign issuer":             {sign(t, jwt.SigningMethodRS256, "rs", rs, claims(jwt.MapClaims{"iss": "https://evil.example.com"})), Invalid},
		"foreign audience":           {sign(t, jwt.SigningMethodRS256, "rs", rs, claims(jwt.MapClaims{"aud": "other"})), Invalid},
		"expired, secret":            {sign(t, jwt.SigningMethodHS256, "", []byte(secret), claims(jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()})), Expired},
		"subject that is not a text": {sign(t, jwt.SigningMethodRS256, "rs", rs, claims(jwt.MapClaims{"sub": 7})), Invalid},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, c.token, c.code) })
	}
}

// Without a secret no symmetric algorithm is good, and without a set no other.
func TestOnlyWhatIsConfiguredIsBelieved(t *testing.T) {
	rs := rsaKey(t)
	i := newIssuer(t)
	symmetric := []byte("a symmetric key that should never be in a JWK set")
	i.publishes(t, map[string]any{"rs": rs, "oct": symmetric})
	c := testConfig()
	c.JWTSecret, c.CapabilitySecret, c.JWKSURL = "", secret, i.URL
	onlySet := newAuthenticator(t, c)
	wantGood(t, onlySet, sign(t, jwt.SigningMethodRS256, "rs", rs, nil))
	wantRefused(t, onlySet, sign(t, jwt.SigningMethodHS256, "", []byte(secret), nil), Invalid)
	wantRefused(t, onlySet, sign(t, jwt.SigningMethodHS256, "", []byte{}, nil), Invalid)

	wantRefused(t, onlySet, sign(t, jwt.SigningMethodHS256, "oct", symmetric, nil), Invalid)

	onlySecret := newAuthenticator(t, testConfig())
	wantGood(t, onlySecret, sign(t, jwt.SigningMethodHS256, "", []byte(secret), nil))
	wantRefused(t, onlySecret, sign(t, jwt.SigningMethodRS256, "rs", rs, nil), Invalid)
}

func TestTenantClaim(t *testing.T) {
	c := testConfig()
	c.JWTTenantClaim = "https://example.com/org"
	a := newAuthenticator(t, c)
	wantGood(t, a, sign(t, jwt.SigningMethodHS256, "", []byte(secret), jwt.MapClaims{"tenant": "rival", "https://example.com/org": "acme"}))
	wantRefused(t, a, sign(t, jwt.SigningMethodHS256, "", []byte(secret), nil), Invalid)
}

func TestKeysRotate(t *testing.T) {
	before, after := rsaKey(t), rsaKey(t)
	i := newIssuer(t)
	i.publishes(t, map[string]any{"1": before})
	c := testConfig()
	c.JWKSURL = i.URL
	a := newAuthenticator(t, c)
	old, fresh := sign(t, jwt.SigningMethodRS256, "1", before, nil), sign(t, jwt.SigningMethodRS256, "2", after, nil)
	wantGood(t, a, old)

	i.publishes(t, map[string]any{"2": after})
	wantGood(t, a, fresh) // fetched because it was not known
	wantRefused(t, a, old, Invalid)

	fetched := i.fetched.Load()
	for range 50 {
		wantRefused(t, a, sign(t, jwt.SigningMethodRS256, "3", after, nil), Invalid)
	}
	if more := i.fetched.Load() - fetched; more > unknownKeyBurst {
		t.Errorf("unknown keys had the set fetched %d times", more)
	}
	wantGood(t, a, fresh)
}

func TestKeysThatWereFetchedSurviveAnOutage(t *testing.T) {
	key := rsaKey(t)
	i := newIssuer(t)
	i.publishes(t, map[string]any{"1": key})
	c := testConfig()
	c.JWKSURL = i.URL
	a := newAuthenticator(t, c)
	i.does(down)
	wantRefused(t, a, sign(t, jwt.SigningMethodRS256, "2", key, nil), Invalid) // tries to fetch
	if i.fetched.Load() != 2 {
		t.Errorf("fetched %d times", i.fetched.Load())
	}
	wantGood(t, a, sign(t, jwt.SigningMethodRS256, "1", key, nil))
}

func TestKeysThatAreAwayAtStart(t *testing.T) {
	key := rsaKey(t)
	i := newIssuer(t)
	i.publishes(t, map[string]any{"1": key})
	i.does(down)
	c := testConfig()
	c.JWKSURL = i.URL
	a := newAuthenticator(t, c)
	token := sign(t, jwt.SigningMethodRS256, "1", key, nil)
	if p, err := a.Authenticate(t.Context(), token); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%+v, %v", p, err)
	}
	wantGood(t, a, sign(t, jwt.SigningMethodHS256, "", []byte(secret), nil))
	i.does(nil)
	wantGood(t, a, token)
}

// Who waits for a slow set is only who needs it.
func TestKeysThatAreSlow(t *testing.T) {
	key := rsaKey(t)
	i := newIssuer(t)
	i.publishes(t, map[string]any{"1": key})
	c := testConfig()
	c.JWKSURL, c.JWKSTimeout = i.URL, 300*time.Millisecond
	a := newAuthenticator(t, c)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	i.does(func(http.ResponseWriter) bool {
		asked <- struct{}{}
		<-release
		return false
	})
	defer close(release)
	refused := make(chan error, 1)
	go func() {
		_, err := a.Authenticate(context.Background(), sign(t, jwt.SigningMethodRS256, "2", key, nil))
		refused <- err
	}()
	<-asked
	wantGood(t, a, sign(t, jwt.SigningMethodRS256, "1", key, nil))
	select {
	case err := <-refused:
		t.Errorf("did not wait for the set: %v", err)
	default:
	}
	if _, ok := errors.AsType[*Error](<-refused); !ok {
		t.Error("the set was waited for longer than configured, or the token accepted")
	}
}
