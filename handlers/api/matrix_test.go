package api

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// subject is an upload that any operation can be about: in parts, and all of them have arrived.
type subject struct {
	id, key, uploadID string
	etag              string // of its only part
	token             string // for it alone
	pass              string // id of a pass of the same principal's
}

func (b *testBundle) subject() subject {
	b.t.Helper()
	begun := answer[struct {
		UploadID, Key string
		PartURLs      []string
	}](b.t, b.call("POST", "/start-multipart", `{"contentType":"image/jpeg","partCount":1}`, b.as(b.token)...))
	part := b.put(v1.Permission{Method: http.MethodPut, URL: begun.PartURLs[0]}, picture)
	if part.status != http.StatusOK {
		b.t.Fatalf("%d %s", part.status, part.body)
	}
	u := subject{id: idOf(begun.Key), key: begun.Key, uploadID: begun.UploadID, etag: unquoted(part.header.Get("ETag"))}
	u.pass = b.issue(anyPass).ID
	u.token = decode[v1.Capability](b.t, b.call("POST", "/v1/uploads/"+u.id+"/token", "", b.as(b.token)...).body).Token
	return u
}

// request is a good request for an operation, about u if it is about an upload. A new operation has to be added here.
func (o operation) request(t testing.TB, u subject) (path, body string) {
	t.Helper()
	values := map[string]string{
		"id": u.id, "pass": u.pass, "uploadId": u.uploadID, "number": "1", "key": u.key, "partNumbers": "1", "filename": "a.jpg", "type": "image/jpeg",
	}
	query := url.Values{}
	path = o.path
	for _, p := range o.Parameters {
		value, ok := values[p.Name]
		switch {
		case p.Required && !ok:
			t.Fatalf("%s: no value is known for %s", o.ID, p.Name)
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case p.In == "query" && p.Required:
			query.Set(p.Name, value)
		}
	}
	if o.ID == "uppy-params" {
		query.Set("metadata[size]", "7")
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	if o.RequestBody == nil {
		return path, ""
	}
	part := `"parts":[{"PartNumber":1,"ETag":"` + u.etag + `"}]`
	body, ok := map[string]string{
		"begin-upload":       `{"filename":"a.jpg","content_type":"image/jpeg","size":7}`,
		"sign-parts":         `{"parts":[{"number":1}]}`,
		"complete-upload":    `{"parts":[{"number":1,"etag":"` + u.etag + `"}]}`,
		"get-upload-url":     `{"filename":"a.jpg","contentType":"image/jpeg"}`,
		"confirm-upload":     `{"key":"` + u.key + `"}`,
		"start-multipart":    `{"contentType":"image/jpeg","partCount":1}`,
		"complete-multipart": `{"uploadId":"` + u.uploadID + `","key":"` + u.key + `",` + part + `}`,
		"uppy-start":         `{"filename":"a.mp4","type":"video/mp4"}`,
		"create-pass":        `{"files":1,"bytes":100}`,
		"uppy-complete":      `{` + part + `}`,
		"uppy-sign-request":  `{"method":"PUT","key":"` + u.key + `","uploadId":"` + u.uploadID + `","partNumber":1}`,

		s3Complete.id: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>` + u.etag + `</ETag></Part></CompleteMultipartUpload>`,
	}[o.ID]
	if !ok {
		t.Fatalf("%s: no body is known", o.ID)
	}
	return path, body
}

// everything is all rows of the database, to see that nothing has changed.
func (b *testBundle) everything() (rows string) {
	b.t.Helper()
	err := b.pool.QueryRow(context.Background(), `SELECT
		coalesce((SELECT string_agg(u::text, E'\n' ORDER BY id) FROM uploads u), '') ||
		coalesce((SELECT string_agg(t::text, E'\n' ORDER BY upload_id, seq) FROM upload_transitions t), '') ||
		coalesce((SELECT string_agg(p::text, E'\n' ORDER BY id) FROM passes p), '')`).Scan(&rows)
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

// answers is the call of an operation whose answer may have no end.
func (b *testBundle) answers(o operation, path, body string, headers ...string) response {
	b.t.Helper()
	if o.ID != "stream-upload" {
		return b.call(o.method, path, body, headers...)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, o.method, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // left before its end
	if res.StatusCode == http.StatusOK {
		return response{status: res.StatusCode, header: res.Header}
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, data}
}

// granted says that an operation was done.
func granted(res response) bool { return res.status < http.StatusBadRequest }

// Somebody else's upload is not there: in another tenant, of another subject, and for the token of another upload.
func TestStrangersAtEveryRoute(t *testing.T) {
	b := newTestBundle(t)
	other := b.subject()
	for _, o := range operations(t) {
		if !o.about() {
			continue
		}
		t.Run(o.ID, func(t *testing.T) {
			b := b.of(t)
			u := b.subject()
			path, body := o.request(t, u)
			before := b.everything()
			for name, token := range map[string]string{
				"other tenant": token(t, "rival", "alice"), "other subject": token(t, "acme", "bob"), "other upload": other.token,
			} {
				status := http.StatusNotFound
				if name == "other upload" && !accepts(o.Security, capabilityScheme) {
					status = http.StatusForbidden
				}
				res := b.answers(o, path, body, b.as(token)...)
				wantRefused(t, o, res, status)
				if strings.Contains(string(res.body), u.id) {
					t.Errorf("%s is told of it: %s", name, res.body)
				}
				if b.everything() != before {
					t.Errorf("%s changed something", name)
				}
			}
			if o.ID == "confirm-upload" { // for which the parts have to be joined
				b.call("POST", "/v1/uploads/"+u.id+"/complete", "", b.as(b.token)...)
			}
			if res := b.answers(o, path, body, b.as(b.token)...); !granted(res) {
				t.Errorf("the owner got %d %s", res.status, res.body)
			}
		})
	}
}

// of is the bundle for a test within its test.
func (b *testBundle) of(t testing.TB) *testBundle {
	t.Helper()
	inner := *b
	inner.t = t
	return &inner
}

// What an operation takes for a credential is what the document says; everything else is 401, or 403 if it is for
// something else.
func TestEveryCredentialAtEveryRoute(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.Auth.JWTAudience = "sluice" })
	of := func(claims jwt.MapClaims) string {
		all := jwt.MapClaims{"aud": "sluice"}
		for name, value := range claims {
			all[name] = value
		}
		return sign(t, jwt.SigningMethodHS256, []byte(secret), all)
	}
	b.token = of(nil)
	bad := map[string][]string{
		"nothing":          nil,
		"alg none":         b.as(sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"aud": "sluice"})),
		"other secret":     b.as(sign(t, jwt.SigningMethodHS256, []byte(strings.ToUpper(secret)), jwt.MapClaims{"aud": "sluice"})),
		"expired":          b.as(of(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()})),
		"foreign audience": b.as(of(jwt.MapClaims{"aud": "somebody-else"})),
		"no tenant":        b.as(of(jwt.MapClaims{"tenant": nil})),
		"unknown key":      b.as("sluice_000000000000_00000000000000000000000000000000"),
		"expired session":  {"Cookie", sessionCookie + "=" + of(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()})},
		"basic":            {"Authorization", "Basic YTpi"},
	}
	for _, o := range operations(t) {
		t.Run(o.ID, func(t *testing.T) {
			b := b.of(t)
			u := b.subject()
			path, body := o.request(t, u)
			before := b.everything()
			for name, headers := range bad {
				res := b.answers(o, path, body, headers...)
				if len(o.Security) == 0 {
					if !granted(res) {
						t.Errorf("%s: %d %s where nothing is asked for", name, res.status, res.body)
					}
					continue
				}
				wantRefused(t, o, res, http.StatusUnauthorized)
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
	if scheme == passScheme && o.ID == "uppy-start" {
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

// Whatever is not the JSON of the operation is refused in its clients' terms, and nothing comes of it.
func TestBadBodiesAtEveryRoute(t *testing.T) {
	b := newTestBundle(t)
	for _, o := range operations(t) {
		if !o.takesJSON() {
			continue
		}
		t.Run(o.ID, func(t *testing.T) {
			b := b.of(t)
			path, good := o.request(t, b.subject())
			before := b.everything()
			for name, body := range badBodies(t, o, good) {
				res := b.call(o.method, path, body, b.as(b.token)...)
				if res.status < 400 || res.status >= 500 || res.status == http.StatusNotFound || res.status == http.StatusConflict {
					t.Errorf("%s: %d %s", name, res.status, res.body)
					continue
				}
				if name == "too long" {
					wantRefused(t, o, res, http.StatusRequestEntityTooLarge)
				}
				wantRefused(t, o, res, res.status)
				if b.everything() != before {
					t.Fatalf("%s changed something", name)
				}
			}
			if !slices.Contains(o.Tags, simpleTag) {
				res := b.call(o.method, path, good, append(b.as(b.token), "Content-Type", "text/plain")...)
				wantRefused(t, o, res, http.StatusUnsupportedMediaType)
			}
		})
	}
}

// badBodies are what a good one is spoilt to.
func badBodies(t testing.TB, o operation, good string) map[string]string {
	t.Helper()
	bodies := map[string]string{
		"half": good[:len(good)/2], "two": good + good, "something after it": good + "]", "byte order mark": "\ufeff" + good,
		"list": "[" + good + "]", "text": `"x"`, "number": "7", "null": "null", "blank": "  ", "NUL": "\x00",
		"not UTF-8": strings.Replace(good, `{"`, "{\"\xff\":1,\"", 1), "lone surrogate": strings.Replace(good, `{"`, `{"\ud800":1,"`, 1),
		"deep": strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001), "too long": good + strings.Repeat(" ", maxPartList),
	}
	if o.RequestBody.Required {
		bodies["nothing"] = ""
		bodies["empty"] = "{}"
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(good), &members); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		member := `"` + name + `":` + string(value)
		bodies[name+" twice"] = strings.Replace(good, member, member+","+member, 1)
		for _, other := range []string{"null", "true", `{"a":1}`, `-1`, "0", "1.5", "1e3", "9223372036854775808", `""`, "[]", `[null]`, `[{}]`, `"a\u0000b"`} {
			bodies[name+" of "+other] = strings.Replace(good, member, `"`+name+`":`+other, 1)
		}
		if o.RequestBody.Required {
			bodies[name+" in capitals"] = strings.Replace(good, `"`+name+`"`, `"`+strings.ToUpper(name)+`"`, 1)
		}
	}
	if !o.RequestBody.Required { // these say nothing, and nothing needs to be said
		maps.DeleteFunc(bodies, func(name, _ string) bool {
			return slices.Contains([]string{"null", "parts of null", "parts of []"}, name)
		})
	}
	return bodies
}
