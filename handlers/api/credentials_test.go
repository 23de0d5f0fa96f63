package api

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/handlers/api/auth"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

// provider is an identity provider that publishes two keys, and shares a secret with the API.
type provider struct {
	t          *testing.T
	url        string
	key, other *rsa.PrivateKey // that the set calls good and other
	foreign    *rsa.PrivateKey // that it does not have
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t}
	for _, key := range []**rsa.PrivateKey{&p.key, &p.other, &p.foreign} {
		var err error
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	var set jwkset.JWKSMarshal
	for id, key := range map[string]*rsa.PrivateKey{"good": p.key, "other": p.other} {
		jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id, ALG: jwkset.AlgRS256}})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(set); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *provider) configure(c *Config, _ *Deps) {
	a := &c.Auth
	a.JWKSURL, a.JWKSRefresh, a.JWKSTimeout = p.url, time.Hour, 2*time.Second
	a.JWTAlgorithms = []string{"HS256", "RS256"}
	a.JWTIssuer, a.JWTAudience = "https://id.example.com", "sluice"
}

func (p *provider) claims(own jwt.MapClaims) jwt.MapClaims {
	all := jwt.MapClaims{"iss": "https://id.example.com", "aud": "sluice"}
	maps.Copy(all, own)
	return all
}

// secret is a token by the shared secret.
func (p *provider) secret(own jwt.MapClaims) string {
	return sign(p.t, jwt.SigningMethodHS256, []byte(secret), p.claims(own))
}

// pair is a token by a key pair that it calls kid, or by no name.
func (p *provider) pair(kid string, key *rsa.PrivateKey, own jwt.MapClaims) string {
	return p.named(kid, jwt.SigningMethodRS256, key, own)
}

func (p *provider) named(kid string, method jwt.SigningMethod, key any, own jwt.MapClaims) string {
	p.t.Helper()
	all := p.claims(jwt.MapClaims{"sub": "alice", "tenant": "acme", "exp": time.Now().Add(time.Hour).Unix()})
	maps.Copy(all, own)
	token := jwt.NewWithClaims(method, all)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// badCredential is one that nothing is done for.
type badCredential struct {
	headers []string
	code    string
}

func (p *provider) bad(b *testBundle) map[string]badCredential {
	p.t.Helper()
	good, longAgo := p.secret(nil), jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}
	parts := strings.Split(good, ".")
	public, err := x509.MarshalPKIXPublicKey(p.key.Public())
	if err != nil {
		p.t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	claims := func(own jwt.MapClaims) string { return strings.Split(p.secret(own), ".")[1] }
	revoked, past := b.apiKey(func(id string) {
		if _, err := b.store.RevokeAPIKey(context.Background(), id); err != nil {
			p.t.Fatal(err)
		}
	}), b.apiKey(func(id string) { b.exec("UPDATE api_keys SET expires_at = now() WHERE id = $1", id) })
	key := b.apiKey(nil)

	invalid := map[string]string{
		"garbage":                        "x.y.z",
		"alg none":                       sign(p.t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, p.claims(nil)),
		"alg none, named":                p.named("good", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"other claims":                   parts[0] + "." + claims(jwt.MapClaims{"sub": "mallory"}) + "." + parts[2],
		"tampered signature":             parts[0] + "." + parts[1] + "." + strings.ToUpper(parts[2]),
		"other secret":                   sign(p.t, jwt.SigningMethodHS256, []byte(strings.ToUpper(secret)), p.claims(nil)),
		"algorithm that is not allowed":  sign(p.t, jwt.SigningMethodHS512, []byte(secret), p.claims(nil)),
		"key pair that is not allowed":   p.named("good", jwt.SigningMethodEdDSA, edwards, nil),
		"foreign audience":               p.secret(jwt.MapClaims{"aud": "somebody-else"}),
		"foreign issuer":                 p.secret(jwt.MapClaims{"iss": "https://evil.example.com"}),
		"foreign audience by a key pair": p.pair("good", p.key, jwt.MapClaims{"aud": "somebody-else"}),
		"foreign issuer by a key pair":   p.pair("good", p.key, jwt.MapClaims{"iss": "https://evil.example.com"}),
		"no tenant":                      p.secret(jwt.MapClaims{"tenant": nil}),
		"no subject":                     p.secret(jwt.MapClaims{"sub": nil}),
		"no expiry":                      p.secret(jwt.MapClaims{"exp": nil}),
		"unknown kid":                    p.pair("nobody", p.key, nil),
		"wrong kid":                      p.pair("other", p.key, nil),
		"foreign key":                    p.pair("good", p.foreign, nil),
		"no kid":                         p.pair("", p.key, nil),
		"kid that is a path":             p.pair("../good", p.key, nil),
		// The published key, taken for the secret of an HMAC.
		"HMAC by the published key, PEM": p.named("good", jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), nil),
		"HMAC by the published key, DER": p.named("good", jwt.SigningMethodHS256, public, nil),
		"HMAC by the modulus":            p.named("good", jwt.SigningMethodHS256, p.key.N.Bytes(), nil),

		"unknown API key":           "sluice_" + strings.Repeat("a", 16) + "_" + strings.Repeat("a", 52),
		"malformed API key":         "sluice_000000000000_00000000000000000000000000000000",
		"API key of another secret": key[:len(key)-52] + strings.Repeat("a", 52),
		"API key in capitals":       strings.ToUpper(key),
		"revoked API key":           revoked,
		"capability of nobody":      "cap_" + good,
	}
	all := map[string]badCredential{
		"nothing":            {nil, "token_missing"},
		"empty":              {b.as(""), "token_missing"},
		"basic":              {[]string{"Authorization", "Basic YTpi"}, "token_missing"},
		"expired":            {b.as(p.secret(longAgo)), "token_expired"},
		"expired, key pair":  {b.as(p.pair("good", p.key, longAgo)), "token_expired"},
		"expired session":    {[]string{"Cookie", sessionCookie + "=" + p.secret(longAgo)}, "token_expired"},
		"expired API key":    {b.as(past), "token_expired"},
		"not yet valid":      {b.as(p.secret(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()})), "token_not_yet_valid"},
		"two headers":        {append(b.as(good), b.as(good)...), "token_invalid"},
		"two, one is good":   {append(b.as(good), "Authorization", "Bearer x"), "token_invalid"},
		"a header of others": {append(b.as("x"), "Cookie", sessionCookie+"="+good), "token_invalid"},
	}
	for name, token := range invalid {
		all[name] = badCredential{b.as(token), "token_invalid"}
	}
	return all
}

// apiKey makes an API key of alice's and does something to it.
func (b *testBundle) apiKey(then func(id string)) string {
	b.t.Helper()
	text, record := auth.NewAPIKey(sagas.Owner{Tenant: "acme", Subject: "alice"}, uuid.NewString())
	if _, err := b.store.AddAPIKey(context.Background(), record, 0); err != nil {
		b.t.Fatal(err)
	}
	if then != nil {
		then(record.ID)
	}
	return text
}

func (b *testBundle) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.pool.Exec(context.Background(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

// wordOf is the code of a problem; other refusals have none.
func wordOf(t testing.TB, res response) string {
	t.Helper()
	if res.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	return decode[v1.Problem](t, res.body).Code
}

// What an operation takes for a credential is what the document says; everything else is 401, or 403 if it is for
// something else.
func TestEveryCredentialAtEveryRoute(t *testing.T) {
	idp := newProvider(t)
	b := newTestBundle(t, idp.configure)
	b.token = idp.secret(nil)
	bad := idp.bad(b)
	for _, o := range operations(t) {
		t.Run(o.ID, func(t *testing.T) {
			b := b.of(t)
			u := b.subject()
			path, body := o.request(t, u)
			before := b.everything()
			for name, c := range bad {
				res := b.answers(o, path, body, c.headers...)
				if len(o.Security) == 0 {
					if !granted(res) {
						t.Errorf("%s: %d %s where nothing is asked for", name, res.status, res.body)
					}
					continue
				}
				wantRefused(t, o, res, http.StatusUnauthorized)
				want := c.code
				if c.headers != nil && c.headers[0] == "Cookie" && !accepts(o.Security, sessionScheme) {
					want = "token_missing"
				}
				if code := wordOf(t, res); code != "" && code != want {
					t.Errorf("%s: %s, want %s", name, code, want)
				}
				if !strings.HasPrefix(res.header.Get("WWW-Authenticate"), "Bearer ") {
					t.Errorf("%s: WWW-Authenticate: %q", name, res.header.Get("WWW-Authenticate"))
				}
			}
			if b.everything() != before {
				t.Error("a bad credential changed something")
			}
			if len(o.Security) == 0 {
				return
			}
			b.wantTaken(o, bearerScheme, http.StatusUnauthorized, func(u subject, path string) (string, []string) { return path, b.as(b.token) })
			b.wantTaken(o, bearerScheme, http.StatusUnauthorized, func(u subject, path string) (string, []string) { return path, b.as(idp.pair("good", idp.key, nil)) })
			b.wantTaken(o, bearerScheme, http.StatusUnauthorized, func(u subject, path string) (string, []string) { return path, b.as(b.apiKey(nil)) })
			b.wantTaken(o, sessionScheme, http.StatusUnauthorized, func(u subject, path string) (string, []string) {
				return path, []string{"Cookie", sessionCookie + "=" + b.token}
			})
			b.wantTaken(o, capabilityScheme, http.StatusForbidden, func(u subject, path string) (string, []string) { return path, b.as(u.token) })
			b.wantTaken(o, capabilityScheme, http.StatusUnauthorized, func(u subject, path string) (string, []string) {
				separator := "?"
				if strings.Contains(path, "?") {
					separator = "&"
				}
				return path + separator + "token=" + u.token, nil
			})
			pass := b.issue(anyPass)
			b.wantTaken(o, passScheme, http.StatusForbidden, func(u subject, path string) (string, []string) {
				b.adopt(u.id)
				return path, b.as(pass.Token)
			})
			behind := http.StatusForbidden
			if !strings.HasPrefix(o.path, "/v1/") && !strings.HasPrefix(o.path, "/s3/") {
				behind = http.StatusNotFound
			}
			b.wantTaken(o, passScheme, behind, func(u subject, path string) (string, []string) {
				b.adopt(u.id)
				return passFolder + pass.Token + path, nil
			})
		})
	}
}

// wantTaken sends a credential that is good, and expects the refusal where the operation does not take its kind.
func (b *testBundle) wantTaken(o operation, scheme string, refusal int, credential func(subject, string) (path string, headers []string)) {
	b.t.Helper()
	u := b.subject()
	if o.ID == "confirm-upload" {
		b.call("POST", "/v1/uploads/"+u.id+"/complete", "", b.as(b.token)...)
	}
	path, body := o.request(b.t, u)
	path, headers := credential(u, path)
	if scheme == passScheme && o.ID == "uppy-start" { // a pass wants to know
		body = `{"filename":"a.mp4","type":"video/mp4","metadata":{"size":7}}`
	}
	before := b.everything()
	res := b.answers(o, path, body, headers...)
	if accepts(o.Security, scheme) {
		if !granted(res) {
			b.t.Errorf("%s: %d %s", scheme, res.status, res.body)
		}
		return
	}
	if refusal != http.StatusNotFound { // which is no operation's
		wantRefused(b.t, o, res, refusal)
	} else if res.status != refusal {
		b.t.Errorf("%s: %d %s", scheme, res.status, res.body)
	}
	if b.everything() != before {
		b.t.Errorf("%s changed something", scheme)
	}
}
