package api

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestTokens(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.Auth.JWTIssuer, c.Auth.JWTAudience = "https://id.example.com", "sluice" })
	hs := func(claims jwt.MapClaims) string {
		all := jwt.MapClaims{"iss": "https://id.example.com", "aud": []string{"other", "sluice"}}
		for name, value := range claims {
			all[name] = value
		}
		return sign(t, jwt.SigningMethodHS256, []byte(secret), all)
	}
	good := hs(nil)
	parts := strings.Split(good, ".")

	for name, c := range map[string]struct {
		header string
		code   string // empty: accepted
	}{
		"good":                    {"Bearer " + good, ""},
		"scheme in lower case":    {"bearer " + good, ""},
		"audience as a string":    {"Bearer " + hs(jwt.MapClaims{"aud": "sluice"}), ""},
		"not before, but now":     {"Bearer " + hs(jwt.MapClaims{"nbf": time.Now().Add(-time.Minute).Unix()}), ""},
		"none at all":             {"", "token_missing"},
		"other scheme":            {"Basic YTpi", "token_missing"},
		"empty":                   {"Bearer ", "token_missing"},
		"garbage":                 {"Bearer x.y.z", "token_invalid"},
		"alg none":                {"Bearer " + sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"iss": "https://id.example.com", "aud": "sluice"}), "token_invalid"},
		"signature cut off":       {"Bearer " + parts[0] + "." + parts[1] + ".", "token_invalid"},
		"alg RS256":               {"Bearer " + sign(t, jwt.SigningMethodRS256, rsaKey, jwt.MapClaims{"iss": "https://id.example.com", "aud": "sluice"}), "token_invalid"},
		"alg HS512":               {"Bearer " + sign(t, jwt.SigningMethodHS512, []byte(secret), jwt.MapClaims{"iss": "https://id.example.com", "aud": "sluice"}), "token_invalid"},
		"other secret":            {"Bearer " + sign(t, jwt.SigningMethodHS256, []byte(strings.ToUpper(secret)), jwt.MapClaims{"iss": "https://id.example.com", "aud": "sluice"}), "token_invalid"},
		"other claims, same sign": {"Bearer " + parts[0] + "." + strings.Split(hs(jwt.MapClaims{"sub": "mallory"}), ".")[1] + "." + parts[2], "token_invalid"},
		"expired":                 {"Bearer " + hs(jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()}), "token_expired"},
		"without expiry":          {"Bearer " + hs(jwt.MapClaims{"exp": nil}), "token_invalid"},
		"not yet":                 {"Bearer " + hs(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}), "token_not_yet_valid"},
		"other issuer":            {"Bearer " + hs(jwt.MapClaims{"iss": "https://evil.example.com"}), "token_invalid"},
		"without issuer":          {"Bearer " + hs(jwt.MapClaims{"iss": nil}), "token_invalid"},
		"other audience":          {"Bearer " + hs(jwt.MapClaims{"aud": "other"}), "token_invalid"},
		"without audience":        {"Bearer " + hs(jwt.MapClaims{"aud": nil}), "token_invalid"},
		"without subject":         {"Bearer " + hs(jwt.MapClaims{"sub": nil}), "token_invalid"},
		"NUL in the subject":      {"Bearer " + hs(jwt.MapClaims{"sub": "a\x00b"}), "token_invalid"},
		"long subject":            {"Bearer " + hs(jwt.MapClaims{"sub": strings.Repeat("a", 256)}), "token_invalid"},
		"without tenant":          {"Bearer " + hs(jwt.MapClaims{"tenant": nil}), "token_invalid"},
		"tenant that is a path":   {"Bearer " + hs(jwt.MapClaims{"tenant": "../acme"}), "token_invalid"},
		"tenant with a newline":   {"Bearer " + hs(jwt.MapClaims{"tenant": "acme\n"}), "token_invalid"},
		"long tenant":             {"Bearer " + hs(jwt.MapClaims{"tenant": strings.Repeat("a", 65)}), "token_invalid"},
		"tenant that is a number": {"Bearer " + hs(jwt.MapClaims{"tenant": 7}), "token_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			res := b.call("POST", "/v1/uploads", declaring(picture), "Authorization", c.header)
			if c.code == "" {
				if res.status != http.StatusCreated {
					t.Errorf("%d %s", res.status, res.body)
				}
				return
			}
			wantProblem(t, res, http.StatusUnauthorized, c.code)
			if got := res.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="sluice"`) {
				t.Errorf("WWW-Authenticate: %s", got)
			}
		})
	}
	if n := b.count(); n != 4 {
		t.Errorf("%d uploads were begun by 4 good tokens", n)
	}
}

func TestEveryRouteWantsAToken(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaring(picture))
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/uploads", declaring(picture)},
		{"GET", "/v1/uploads/" + u.ID, ""},
		{"POST", "/v1/uploads/" + u.ID + "/complete", ""},
		{"POST", "/v1/uploads/" + u.ID + "/parts", `{"parts":[{"number":1}]}`},
		{"GET", "/v1/uploads/" + u.ID + "/parts", ""},
		{"POST", "/v1/session", ""},
	} {
		wantProblem(t, b.call(c.method, c.path, c.body), http.StatusUnauthorized, "token_missing")
	}
}

func TestSomeoneElsesUploadDoesNotExist(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaring(picture))
	if res := b.put(u.Permission, picture); res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	parts := b.begin(declaringFilm(""))
	key := "uploads/" + u.ID + ".jpg"
	for name, stranger := range map[string]string{
		"other tenant":  token(t, "rival", "alice"),
		"other subject": token(t, "acme", "bob"),
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, b.call("GET", "/v1/uploads/"+u.ID, "", b.as(stranger)...), http.StatusNotFound, "not_found")
			wantProblem(t, b.call("GET", "/v1/uploads/"+u.ID, "", append(b.as(stranger), "If-None-Match", `*`)...), http.StatusNotFound, "not_found")
			wantProblem(t, b.call("POST", "/v1/uploads/"+u.ID+"/complete", "", b.as(stranger)...), http.StatusNotFound, "not_found")
			wantProblem(t, b.call("POST", "/v1/uploads/"+parts.ID+"/parts", `{"parts":[{"number":1}]}`, b.as(stranger)...), http.StatusNotFound, "not_found")
			wantProblem(t, b.call("GET", "/v1/uploads/"+parts.ID+"/parts", "", b.as(stranger)...), http.StatusNotFound, "not_found")
			wantProblem(t, b.call("POST", "/v1/uploads/"+parts.ID+"/complete", "", b.as(stranger)...), http.StatusNotFound, "not_found")
			wantSimpleError(t, b.call("POST", "/complete-multipart", `{"uploadId":"x","key":"uploads/`+parts.ID+`.mp4","parts":[{"PartNumber":1,"ETag":"x"}]}`, b.as(stranger)...), http.StatusBadRequest, "Upload not found")
			wantSimpleError(t, b.call("POST", "/confirm-upload", `{"key":"`+key+`"}`, b.as(stranger)...), http.StatusBadRequest, "File not found in storage")
		})
	}
	if res := b.call("GET", "/v1/uploads/"+u.ID, "", b.as(b.token)...); res.header.Get("ETag") != `"1"` {
		t.Errorf("a stranger moved the upload: %s", res.body)
	}
}

func TestSession(t *testing.T) {
	b := newTestBundle(t)
	res := b.call("POST", "/v1/session", "", b.as(b.token)...)
	if res.status != http.StatusNoContent {
		t.Fatalf("%d %s", res.status, res.body)
	}
	cookie := (&http.Response{Header: res.header}).Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" || cookie.Secure {
		t.Errorf("cookie %v", cookie)
	}
	if cookie.MaxAge < 3500 || cookie.MaxAge > 3600 {
		t.Errorf("the cookie lives for %d s, the token for an hour", cookie.MaxAge)
	}
	session := cookie.Name + "=" + cookie.Value
	host := strings.TrimPrefix(b.url, "http://")

	u := b.begin(declaring(picture))
	if res := b.call("GET", "/v1/uploads/"+u.ID, "", "Cookie", session); res.status != http.StatusOK {
		t.Errorf("reading: %d %s", res.status, res.body)
	}
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"own origin":             {[]string{"Origin", b.url}, http.StatusCreated},
		"own origin, new":        {[]string{"Origin", b.url, "Sec-Fetch-Site", "same-origin"}, http.StatusCreated},
		"no browser":             {nil, http.StatusCreated},
		"foreign origin":         {[]string{"Origin", "https://evil.example.com"}, http.StatusForbidden},
		"foreign origin, new":    {[]string{"Origin", "https://evil.example.com", "Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"other port of the host": {[]string{"Origin", "http://" + strings.Split(host, ":")[0] + ":1", "Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		"opaque origin":          {[]string{"Origin", "null"}, http.StatusForbidden},
		"bearer wins":            {[]string{"Origin", "https://evil.example.com", "Authorization", "Bearer " + b.token}, http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.count()
			res := b.call("POST", "/v1/uploads", declaring(picture), append([]string{"Cookie", session}, c.headers...)...)
			if c.status == http.StatusForbidden {
				wantProblem(t, res, c.status, "cross_origin")
				if b.count() != before {
					t.Error("a foreign page began an upload")
				}
			} else if res.status != c.status {
				t.Errorf("%d %s", res.status, res.body)
			}
		})
	}

	t.Run("cannot renew itself", func(t *testing.T) {
		wantProblem(t, b.call("POST", "/v1/session", "", "Cookie", session), http.StatusUnauthorized, "token_missing")
	})
	t.Run("with a bad token", func(t *testing.T) {
		wantProblem(t, b.call("GET", "/v1/uploads/"+u.ID, "", "Cookie", session+"x"), http.StatusUnauthorized, "token_invalid")
	})
	t.Run("ended by a foreign page", func(t *testing.T) {
		wantProblem(t, b.call("DELETE", "/v1/session", "", "Cookie", session, "Origin", "https://evil.example.com"), http.StatusForbidden, "cross_origin")
	})
	t.Run("ended", func(t *testing.T) {
		res := b.call("DELETE", "/v1/session", "", "Cookie", session, "Origin", b.url)
		if cookie := (&http.Response{Header: res.header}).Cookies()[0]; res.status != http.StatusNoContent || cookie.MaxAge != -1 || cookie.Value != "" {
			t.Errorf("%d %v", res.status, cookie)
		}
	})
}

func TestSecureCookie(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config, *Deps)
		want   bool
	}{
		"header not trusted": {func(*Config, *Deps) {}, false},
		"header trusted":     {func(c *Config, _ *Deps) { c.TrustForwardedProto = true }, true},
		"public URL":         {func(c *Config, _ *Deps) { c.PublicURL = "https://api.example.com" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t, c.change)
			res := b.call("POST", "/v1/session", "", append(b.as(b.token), "X-Forwarded-Proto", "https")...)
			if got := (&http.Response{Header: res.header}).Cookies()[0].Secure; got != c.want {
				t.Errorf("secure: %t", got)
			}
		})
	}
}

// Behind a proxy the Host is not what the browser sees; the public URL is.
func TestSessionBehindAProxy(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.PublicURL = "https://api.example.com/" })
	res := b.call("POST", "/v1/uploads", declaring(picture), "Cookie", sessionCookie+"="+b.token, "Origin", "https://api.example.com")
	if res.status != http.StatusCreated {
		t.Fatalf("%d %s", res.status, res.body)
	}
	if got := res.header.Get("Location"); !strings.HasPrefix(got, "https://api.example.com/v1/uploads/") {
		t.Errorf("location %q", got)
	}
}
