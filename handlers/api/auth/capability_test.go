package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
)

var alice = sagas.Owner{Tenant: "acme", Subject: "alice"}

func TestCapability(t *testing.T) {
	a := newAuthenticator(t, testConfig())
	id := uuid.New()
	for name, c := range map[string]struct {
		until, want time.Time
	}{
		"the configured time":   {time.Now(), time.Now().Add(time.Hour)},
		"the life of an upload": {time.Now().Add(24 * time.Hour), time.Now().Add(24 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			token, expires, err := a.Capability(alice, id, c.until)
			if err != nil || expires.Sub(c.want).Abs() > 2*time.Second || !IsCapability(token) {
				t.Fatalf("%q until %s, %v", token, expires, err)
			}
			p, err := a.Authenticate(t.Context(), token)
			if err != nil || p.Owner != alice || p.Upload != id || !p.Expires.Equal(expires) {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

// What the library makes of the claims that are read is what is issued, to the byte.
func TestCapabilitiesAreWhatTheLibraryMakes(t *testing.T) {
	c, err := newCapabilities(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	upload, expires := uuid.New(), time.Date(2026, 11, 25, 12, 0, 0, 999, time.UTC)
	for _, subject := range []string{"alice", `"<a&b>\`, "ü\u2028 \U0001F600", strings.Repeat("x", maxSubject)} {
		for _, operation := range []string{"", "complete-upload"} {
			got, err := c.sign(sagas.Owner{Tenant: "acme", Subject: subject}, upload, operation, expires)
			if err != nil {
				t.Fatal(err)
			}
			want, err := jwt.NewWithClaims(jwt.SigningMethodHS256, capabilityClaims{
				RegisteredClaims: jwt.RegisteredClaims{Subject: subject, ExpiresAt: jwt.NewNumericDate(expires)},
				Tenant:           "acme", Upload: upload, Operation: operation,
			}).SignedString(c.key)
			if err != nil || got != capabilityPrefix+want {
				t.Errorf("%q, %q: %s, the library's %s, %v", subject, operation, got, want, err)
			}
		}
	}
}

func TestCapabilitiesThatAreNotGood(t *testing.T) {
	a := newAuthenticator(t, testConfig())
	good, _, err := a.Capability(alice, uuid.New(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other := testConfig()
	other.CapabilitySecret = strings.Repeat("x", minSecret)
	foreign, _, err := newAuthenticator(t, other).Capability(alice, uuid.New(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key := a.capabilities.key
	upload := jwt.MapClaims{"upload": uuid.NewString()}
	parts := strings.Split(good, ".")
	theirs := strings.Split(capabilityPrefix+sign(t, jwt.SigningMethodHS256, "", key, jwt.MapClaims{"upload": uuid.NewString(), "tenant": "rival"}), ".")

	for name, c := range map[string]struct {
		token string
		code  Code
	}{
		"nothing":                {capabilityPrefix, Invalid},
		"cut off":                {parts[0] + "." + parts[1] + ".", Invalid},
		"other claims":           {parts[0] + "." + theirs[1] + "." + parts[2], Invalid},
		"of another secret":      {foreign, Invalid},
		"signed with the secret": {capabilityPrefix + sign(t, jwt.SigningMethodHS256, "", []byte(secret), upload), Invalid},
		"alg none":               {capabilityPrefix + sign(t, jwt.SigningMethodNone, "", jwt.UnsafeAllowNoneSignatureType, upload), Invalid},
		"as a token of its own":  {strings.TrimPrefix(good, capabilityPrefix), Invalid},
		"expired":                {capabilityPrefix + sign(t, jwt.SigningMethodHS256, "", key, jwt.MapClaims{"upload": uuid.NewString(), "exp": time.Now().Add(-time.Second).Unix()}), Expired},
		"for every upload":       {capabilityPrefix + sign(t, jwt.SigningMethodHS256, "", key, nil), Invalid},
		"for no upload":          {capabilityPrefix + sign(t, jwt.SigningMethodHS256, "", key, jwt.MapClaims{"upload": uuid.Nil.String()}), Invalid},
		"without a tenant":       {capabilityPrefix + sign(t, jwt.SigningMethodHS256, "", key, jwt.MapClaims{"upload": uuid.NewString(), "tenant": nil}), Invalid},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, c.token, c.code) })
	}
}

func TestConfigReportsEveryMistake(t *testing.T) {
	err := Config{
		JWTSecret: "short", CapabilitySecret: "brief", JWKSURL: "ftp://x", JWTAlgorithms: []string{"none", "HS1"}, JWKSTimeout: -1,
	}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{
		"jwt-secret", "capability-secret", "jwks-url", `"none"`, `"HS1"`, "jwt-tenant-claim", "jwks-refresh", "jwks-timeout", "capability-lifetime",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not reported: %v", part, err)
		}
	}
	for _, hidden := range []string{"short", "brief"} {
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("the secret is in the error: %v", err)
		}
	}
	if err := (Config{JWTAlgorithms: []string{"RS256"}}).Validate(); err == nil || !strings.Contains(err.Error(), "one of them is needed") {
		t.Errorf("no secret at all: %v", err)
	}
}

func FuzzAuthenticate(f *testing.F) {
	c := testConfig()
	capabilities, err := newCapabilities(c)
	if err != nil {
		f.Fatal(err)
	}
	tokens, err := newTokens(f.Context(), c, nil)
	if err != nil {
		f.Fatal(err)
	}
	a := &Authenticator{tokens: tokens, capabilities: capabilities, verified: newVerified()}
	good, _, err := a.Capability(alice, uuid.New(), time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("cap_..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, credential string) {
		p, err := a.Authenticate(t.Context(), credential)
		if err == nil && (credential != good || p.Owner != alice) {
			t.Errorf("%q was accepted as %+v", credential, p)
		}
	})
}
