package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

var picture = bytes.Repeat([]byte("not really a picture, but S3 does not mind. "), 100)

func declaring(data []byte) string {
	sum := sha256.Sum256(data)
	return fmt.Sprintf(`{"filename":"a.jpg","content_type":"image/jpeg","size":%d,"sha256":"%x"}`, len(data), sum)
}

func TestBeginUpload(t *testing.T) {
	b := newTestBundle(t)
	res := b.call("POST", "/v1/uploads", `{"filename":"Alben/Ferien \"1\".jpg","content_type":"image/jpeg","size":7,"metadata":{"album":"7 — ü"}}`, b.as(b.token)...)
	if res.status != http.StatusCreated {
		t.Fatalf("%d %s", res.status, res.body)
	}
	u := decode[v1.Begun](t, res.body)
	if u.State != "initiated" || u.Version != 1 || u.Size != 7 || u.Filename != `Alben/Ferien "1".jpg` || u.Metadata["album"] != "7 — ü" {
		t.Errorf("began %+v", u)
	}
	if got := res.header.Get("Location"); got != "/v1/uploads/"+u.ID {
		t.Errorf("location %q", got)
	}
	if got := res.header.Get("ETag"); got != `"1"` {
		t.Errorf("etag %q", got)
	}
	if got := res.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("cache-control %q", got)
	}
	if u.Permission.Method != http.MethodPut || !u.Permission.ExpiresAt.Before(u.ExpiresAt) {
		t.Errorf("permission %+v of an upload that expires at %s", u.Permission, u.ExpiresAt)
	}
	where, err := url.Parse(u.Permission.URL)
	if err != nil {
		t.Fatal(err)
	}
	if want := "/" + b.objects.Incoming + "/uploads/" + u.ID + ".jpg"; where.Path != want {
		t.Errorf("path %q, want %q", where.Path, want)
	}
}

// What is signed is what S3 enforces. A header that the SDK moved into the query would no longer be.
func TestSignedHeaders(t *testing.T) {
	b := newTestBundle(t)
	sum := sha256.Sum256(picture)
	u := b.begin(declaring(picture))
	want := map[string]string{
		"Content-Type": "image/jpeg", "Content-Length": strconv.Itoa(len(picture)), "If-None-Match": "*",
		"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sum[:]),
	}
	if !maps.Equal(u.Permission.Headers, want) {
		t.Errorf("headers %v, want %v", u.Permission.Headers, want)
	}
	where, err := url.Parse(u.Permission.URL)
	if err != nil {
		t.Fatal(err)
	}
	signed := where.Query().Get("X-Amz-SignedHeaders")
	if signed != "content-length;content-type;host;if-none-match;x-amz-checksum-sha256" {
		t.Errorf("signed headers %q", signed)
	}
	query := slices.Sorted(maps.Keys(where.Query()))
	if slices.ContainsFunc(query, func(name string) bool { return strings.Contains(strings.ToLower(name), "checksum") }) {
		t.Errorf("a checksum in the query, where S3 ignores it: %v", query)
	}
}

func TestThePermissionIsForThisFileOnce(t *testing.T) {
	other := bytes.ToUpper(picture)
	for name, c := range map[string]struct {
		data   []byte
		change func(*http.Request)
		want   int
	}{
		"as declared":      {picture, func(*http.Request) {}, http.StatusOK},
		"shorter":          {picture[1:], func(*http.Request) {}, http.StatusForbidden},
		"longer":           {append([]byte("x"), picture...), func(*http.Request) {}, http.StatusForbidden},
		"other type":       {picture, func(r *http.Request) { r.Header.Set("Content-Type", "text/html") }, http.StatusForbidden},
		"without type":     {picture, func(r *http.Request) { r.Header.Del("Content-Type") }, http.StatusForbidden},
		"not only once":    {picture, func(r *http.Request) { r.Header.Del("If-None-Match") }, http.StatusForbidden},
		"without checksum": {picture, func(r *http.Request) { r.Header.Del("X-Amz-Checksum-Sha256") }, http.StatusForbidden},
		"other bytes":      {other, func(*http.Request) {}, http.StatusBadRequest},
		"other key":        {picture, func(r *http.Request) { r.URL.Path += "x" }, http.StatusForbidden},
		"tampered expiration": {picture, func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "X-Amz-Expires=900", "X-Amz-Expires=90000", 1)
		}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			u := b.begin(declaring(picture))
			if res := b.put(u.Permission, c.data, c.change); res.status != c.want {
				t.Errorf("%d %s, want %d", res.status, res.body, c.want)
			}
		})
	}

	t.Run("twice", func(t *testing.T) {
		b := newTestBundle(t)
		u := b.begin(declaring(picture))
		if res := b.put(u.Permission, picture); res.status != http.StatusOK {
			t.Fatalf("%d %s", res.status, res.body)
		}
		if res := b.put(u.Permission, picture); res.status != http.StatusPreconditionFailed {
			t.Errorf("a second PUT got %d %s", res.status, res.body)
		}
	})
}

func TestCompleteUpload(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaring(picture))
	path := "/v1/uploads/" + u.ID + "/complete"
	wantProblem(t, b.call("POST", path, "", b.as(b.token)...), http.StatusConflict, "not_uploaded")

	if res := b.put(u.Permission, picture); res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	for range 2 {
		res := b.call("POST", path, "", b.as(b.token)...)
		if res.status != http.StatusOK {
			t.Fatalf("%d %s", res.status, res.body)
		}
		got := decode[v1.Upload](t, res.body)
		if got.State != "uploaded" || got.Version != 2 || len(got.History) != 2 || res.header.Get("ETag") != `"2"` {
			t.Errorf("completed %+v", got)
		}
	}
}

// The object may be gone from the bucket by then: what has moved on is not asked for again.
func TestCompleteOfWhatHasMovedOn(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaring(picture))
	b.advance(u.ID, sagas.Initiated, sagas.Uploaded, sagas.Facts{ETag: "x"}, sagas.Reason{})
	res := b.call("POST", "/v1/uploads/"+u.ID+"/complete", "", b.as(b.token)...)
	if res.status != http.StatusOK || res.header.Get("ETag") != `"2"` {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestShowUpload(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(`{"filename":"a.png","content_type":"image/png","size":7}`)
	path := "/v1/uploads/" + u.ID
	sum := sha256.Sum256(picture)
	b.advance(u.ID, sagas.Initiated, sagas.Uploaded, sagas.Facts{ETag: "x", VersionID: "v"}, sagas.Reason{})
	b.advance(u.ID, sagas.Uploaded, sagas.Verified, sagas.Facts{Observed: sagas.Content{Type: "image/png", Size: 7, SHA256: sum[:]}}, sagas.Reason{})
	b.advance(u.ID, sagas.Verified, sagas.Clean, sagas.Facts{}, sagas.Reason{})
	b.advance(u.ID, sagas.Clean, sagas.Processed, sagas.Facts{Width: 4000, Height: 3000, Variants: []sagas.Variant{
		{Name: "200", Key: "thumbnails/" + u.ID + "/200.jpg", Type: "image/jpeg", Width: 200, Height: 150, Size: 4321, ETag: "y"},
	}}, sagas.Reason{})

	before := decode[v1.Upload](t, b.call("GET", path, "", b.as(b.token)...).body)
	if before.URL != "" || len(before.Variants) != 0 {
		t.Errorf("URLs before anything is published: %+v", before)
	}

	b.advance(u.ID, sagas.Processed, sagas.Ready, sagas.Facts{}, sagas.Reason{})
	res := b.call("GET", path, "", b.as(b.token)...)
	got := decode[v1.Upload](t, res.body)
	if got.State != "ready" || got.Version != 6 || got.Width != 4000 || got.Height != 3000 || got.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("shown %+v", got)
	}
	if want := mediaURL + "/uploads/" + u.ID + ".png"; got.URL != want {
		t.Errorf("url %q, want %q", got.URL, want)
	}
	want := []v1.Variant{{Name: "200", URL: mediaURL + "/thumbnails/" + u.ID + "/200.jpg", ContentType: "image/jpeg", Width: 200, Height: 150, Size: 4321}}
	if !slices.Equal(got.Variants, want) {
		t.Errorf("variants %+v, want %+v", got.Variants, want)
	}
	if len(got.History) != 6 || got.History[0].To != "initiated" || got.History[5].From != "processed" || got.History[5].Seq != 6 {
		t.Errorf("history %+v", got.History)
	}
	if bytes.Contains(res.body, []byte("test-host-7")) {
		t.Error("the name of a host is in the answer")
	}
	if got := res.header.Get("Cache-Control"); got != "private, no-cache" {
		t.Errorf("cache-control %q", got)
	}
}

func TestReasonOfAnOutcome(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(`{"filename":"a.png","content_type":"image/png","size":7}`)
	why := sagas.Reason{Code: sagas.TypeMismatch, Detail: "it is text/plain"}
	b.advance(u.ID, sagas.Initiated, sagas.Uploaded, sagas.Facts{}, sagas.Reason{})
	b.advance(u.ID, sagas.Uploaded, sagas.Rejected, sagas.Facts{Observed: sagas.Content{Type: "text/plain"}}, why)
	got := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+u.ID, "", b.as(b.token)...).body)
	want := v1.Reason{Code: "type_mismatch", Detail: "it is text/plain"}
	if got.Reason == nil || *got.Reason != want || got.History[2].Reason == nil || *got.History[2].Reason != want {
		t.Errorf("shown %+v", got)
	}
	if got.ContentType != "text/plain" || got.URL != "" {
		t.Errorf("shown %+v", got)
	}
}

func TestNotModified(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(`{"filename":"a.png","content_type":"image/png","size":7}`)
	path := "/v1/uploads/" + u.ID
	// Without its table, reading the history would fail: a 304 must not read it.
	if _, err := b.pool.Exec(t.Context(), "ALTER TABLE upload_transitions RENAME TO hidden"); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{`"1"`, `W/"1"`, `"0", "1"`, `*`} {
		res := b.call("GET", path, "", append(b.as(b.token), "If-None-Match", tag)...)
		if res.status != http.StatusNotModified || len(res.body) != 0 || res.header.Get("ETag") != `"1"` {
			t.Errorf("If-None-Match: %s got %d %s", tag, res.status, res.body)
		}
	}
	if _, err := b.pool.Exec(t.Context(), "ALTER TABLE hidden RENAME TO upload_transitions"); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{`"2"`, `1`, `"11"`, ``, `""`} {
		if res := b.call("GET", path, "", append(b.as(b.token), "If-None-Match", tag)...); res.status != http.StatusOK {
			t.Errorf("If-None-Match: %s got %d %s", tag, res.status, res.body)
		}
	}
	b.advance(u.ID, sagas.Initiated, sagas.Uploaded, sagas.Facts{}, sagas.Reason{})
	res := b.call("GET", path, "", append(b.as(b.token), "If-None-Match", `"1"`)...)
	if res.status != http.StatusOK || res.header.Get("ETag") != `"2"` {
		t.Errorf("after a step: %d, etag %s", res.status, res.header.Get("ETag"))
	}
}

// Settled lives with the client, which must not depend on the store; the two lists have to agree.
func TestStatesOfTheWire(t *testing.T) {
	for _, state := range sagas.States() {
		if got := (v1.Upload{State: string(state)}).Settled(); got != state.Terminal() {
			t.Errorf("%s is settled: %t", state, got)
		}
	}
	document, err := json.Marshal(sagas.States())
	if err != nil {
		t.Fatal(err)
	}
	b := newTestBundle(t)
	if spec := b.call("GET", "/openapi.json", "").body; !bytes.Contains(spec, document) {
		t.Errorf("the document does not list the states %s", document)
	}
}
