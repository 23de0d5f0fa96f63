package auth

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
)

func TestATokenIsVerifiedOnce(t *testing.T) {
	v, verified := newVerified(), 0
	verify := func() (verdict, error) {
		verified++
		return verdict{principal: Principal{Owner: sagas.Owner{Tenant: "acme", Subject: "alice"}, Expires: time.Now().Add(time.Hour)}}, nil
	}
	for range 3 {
		if p, err := v.principal(t.Context(), "a token", verify); err != nil || p.Subject != "alice" {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if verified != 1 {
		t.Errorf("verified %d times", verified)
	}
	refusal := errors.New("refused")
	for range 2 {
		if p, err := v.principal(t.Context(), "another", func() (verdict, error) { return verdict{}, refusal }); !errors.Is(err, refusal) || p != (Principal{}) {
			t.Errorf("%+v, %v", p, err)
		}
	}
}

func TestAVerifiedTokenIsNotAnother(t *testing.T) {
	a := newAuthenticator(t, testConfig())
	token := sign(t, jwt.SigningMethodHS256, "", []byte(secret), nil)
	wantGood(t, a, token)
	wantRefused(t, a, token[:len(token)-4]+"AAAA", Invalid)
	wantRefused(t, a, capabilityPrefix+token, Invalid)
	wantRefused(t, newAuthenticator(t, Config{
		JWTSecret: secret + "!", JWTAlgorithms: []string{"HS256"}, JWTTenantClaim: "tenant", CapabilityLifetime: time.Hour,
	}), token, Invalid)
}

// What is remembered ends with the token.
func TestVerifiedTokensExpire(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, testConfig())
	end := time.Now().Truncate(time.Second).Add(2 * time.Second)
	errand, err := a.Errand(sagas.Owner{Tenant: "acme", Subject: "alice"}, uuid.New(), "show-upload", time.Until(end))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"a token":      sign(t, jwt.SigningMethodHS256, "", []byte(secret), jwt.MapClaims{"exp": end.Unix()}),
		"a capability": errand,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err error
			for err == nil {
				asked := time.Now()
				if _, err = a.Authenticate(t.Context(), token); err == nil && !asked.Before(end) {
					t.Fatalf("good %s after its end", time.Since(end))
				}
			}
			wantRefused(t, a, token, Expired)
			if time.Now().Before(end.Add(-time.Second)) { // capabilities end in whole seconds
				t.Errorf("ended %s too early", time.Until(end))
			}
		})
	}
}

// A key that is replaced under its id, or withdrawn, ends what was signed with it as soon as the set is fetched.
func TestVerifiedTokensEndWithTheirKey(t *testing.T) {
	first, second, third := rsaKey(t), ecKey(t), rsaKey(t)
	i := newIssuer(t)
	i.publishes(t, map[string]any{"1": first, "2": second})
	c := testConfig()
	c.JWKSURL = i.URL
	a := newAuthenticator(t, c)
	replaced, kept := sign(t, jwt.SigningMethodRS256, "1", first, nil), sign(t, jwt.SigningMethodES256, "2", second, nil)
	for range 2 {
		wantGood(t, a, replaced)
		wantGood(t, a, kept)
	}
	i.publishes(t, map[string]any{"1": third, "2": second, "3": third})
	wantGood(t, a, sign(t, jwt.SigningMethodRS256, "3", third, nil)) // has the set fetched
	wantRefused(t, a, replaced, Invalid)
	wantGood(t, a, kept)
	wantGood(t, a, sign(t, jwt.SigningMethodRS256, "1", third, nil))
}

func TestVerifiedTokensAreBounded(t *testing.T) {
	a := newAuthenticator(t, testConfig())
	for i := range maxCached + 10 {
		wantGood(t, a, sign(t, jwt.SigningMethodHS256, "", []byte(secret), jwt.MapClaims{"jti": strconv.Itoa(i)}))
	}
	if got := a.verified.known.Len(); got != maxCached {
		t.Errorf("%d are remembered, want %d", got, maxCached)
	}
}

func BenchmarkVerified(b *testing.B) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "alice", "tenant": "acme", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
	if err != nil {
		b.Fatal(err)
	}
	a, err := New(b.Context(), testConfig(), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
