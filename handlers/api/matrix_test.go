package api

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

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

// request is a good request for an operation, about u if it is about an upload: the document's smallest example.
func (o operation) request(t testing.TB, u subject) (path, body string) {
	t.Helper()
	names := o.requests()
	if len(names) == 0 {
		t.Fatalf("%s has no example of a request", o.ID)
	}
	name := names[0]
	if slices.Contains(names, "least") {
		name = "least"
	}
	path, body, _ = o.call(t, u, name, false)
	if o.ID == "uppy-params" { // a pass wants to know
		path += "&metadata[size]=7"
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
	setHeaders(req, headers)
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
