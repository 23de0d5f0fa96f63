package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

func wantSimpleError(t testing.TB, res response, status int, message string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal(res.body, &body); err != nil || len(body) != 1 || body["error"] == "" {
		t.Fatalf("%d %s is not an error of the simple protocol", res.status, res.body)
	}
	if res.status != status || message != "" && body["error"] != message {
		t.Errorf("%d %s, want %d %q", res.status, res.body, status, message)
	}
	if got := res.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
}

// The whole dialogue, as the simple protocol's browser code holds it.
func TestSimpleEndpoints(t *testing.T) {
	for name, contentType := range map[string]string{
		"json": "application/json", "none": "", "a browser's default": "text/plain;charset=UTF-8",
	} {
		t.Run("content type "+name, func(t *testing.T) {
			b := newTestBundle(t)
			as := append(b.as(b.token), "Content-Type", contentType)
			res := b.call("POST", "/get-upload-url", `{"filename":"a.jpg","contentType":"image/jpeg","more":1}`, as...)
			if res.status != http.StatusOK {
				t.Fatalf("%d %s", res.status, res.body)
			}
			var got struct{ UploadURL, Key string }
			if err := json.Unmarshal(res.body, &got); err != nil {
				t.Fatal(err)
			}
			where, err := url.Parse(got.UploadURL)
			if err != nil {
				t.Fatal(err)
			}
			if signed := where.Query().Get("X-Amz-SignedHeaders"); signed != "content-type;host" {
				t.Errorf("signed headers %q, but the client sends only its type", signed)
			}
			confirm := `{"key":"` + got.Key + `"}`
			wantSimpleError(t, b.call("POST", "/confirm-upload", confirm, as...), http.StatusBadRequest, "File not found in storage")

			put := b.put(v1.Permission{Method: "PUT", URL: got.UploadURL, Headers: map[string]string{"Content-Type": "image/jpeg"}}, picture)
			if put.status != http.StatusOK {
				t.Fatalf("PUT: %d %s", put.status, put.body)
			}
			for range 2 {
				res = b.call("POST", "/confirm-upload", confirm, as...)
				var done struct {
					FileURL, State, StatusURL string
					Success                   bool
				}
				if err := json.Unmarshal(res.body, &done); err != nil || res.status != http.StatusOK {
					t.Fatalf("%d %s", res.status, res.body)
				}
				id := strings.TrimSuffix(strings.TrimPrefix(got.Key, "uploads/"), ".jpg")
				if done.FileURL != mediaURL+"/"+got.Key || !done.Success || done.State != "uploaded" || done.StatusURL != "/v1/uploads/"+id {
					t.Errorf("confirmed %+v", done)
				}
			}
		})
	}
}

func TestSimpleErrors(t *testing.T) {
	b := newTestBundle(t)
	as := b.as(b.token)
	wantSimpleError(t, b.call("POST", "/get-upload-url", `{"filename":"a.gif","contentType":"image/gif"}`, as...), http.StatusBadRequest, "File type not allowed")
	for _, body := range []string{
		`{"filename":"a.gif"}`, `{"contentType":"image/jpeg"}`, `{"filename":7,"contentType":"image/jpeg"}`, `{`, `[]`, `null`, ``,
		`{"filename":"a\u0000","contentType":"image/jpeg"}`, `{"filename":"` + strings.Repeat("a", 1025) + `","contentType":"image/jpeg"}`,
	} {
		wantSimpleError(t, b.call("POST", "/get-upload-url", body, as...), http.StatusBadRequest, "")
	}
	for _, key := range []string{"", "uploads/nothing.jpg", "../x", `a\u0000b`, strings.Repeat("k", 2000)} {
		wantSimpleError(t, b.call("POST", "/confirm-upload", `{"key":"`+key+`"}`, as...), http.StatusBadRequest, "File not found in storage")
	}
	for _, path := range []string{"/get-upload-url", "/confirm-upload"} {
		wantSimpleError(t, b.call("POST", path, `{}`), http.StatusUnauthorized, "")
		wantSimpleError(t, b.call("POST", path, `"`+strings.Repeat("x", maxBody)+`"`, as...), http.StatusRequestEntityTooLarge, "")
	}
	if n := b.count(); n != 0 {
		t.Errorf("%d uploads were begun by bad requests", n)
	}
}

func TestConfirmOfWhatIsGone(t *testing.T) {
	b := newTestBundle(t)
	for _, gone := range []sagas.State{sagas.Expired, sagas.Aborted} {
		u := b.begin(declaring(picture))
		b.advance(u.ID, sagas.Initiated, gone, sagas.Facts{}, sagas.Reason{Code: sagas.NeverUploaded})
		body := fmt.Sprintf(`{"key":"uploads/%s.jpg"}`, u.ID)
		wantSimpleError(t, b.call("POST", "/confirm-upload", body, b.as(b.token)...), http.StatusBadRequest, "File not found in storage")
	}
}
