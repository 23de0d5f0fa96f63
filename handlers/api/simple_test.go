package api

import (
	"bytes"
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

// The dialogue of a file in parts, whose sizes only the client knows.
func TestSimpleMultipart(t *testing.T) {
	b := newTestBundle(t)
	as := b.as(b.token)
	res := b.call("POST", "/start-multipart", `{"key":"videos/ein Film.mp4","contentType":"video/mp4","partCount":2,"more":1}`, as...)
	if res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	var begun struct {
		UploadID, Key string
		PartURLs      []string
	}
	if err := json.Unmarshal(res.body, &begun); err != nil {
		t.Fatal(err)
	}
	if len(begun.PartURLs) != 2 || begun.UploadID == "" || !strings.HasPrefix(begun.Key, "uploads/") {
		t.Fatalf("began %+v", begun)
	}
	completing := func(parts ...string) response {
		return b.call("POST", "/complete-multipart", fmt.Sprintf(`{"uploadId":%q,"key":%q,"parts":[%s]}`, begun.UploadID, begun.Key, strings.Join(parts, ",")), as...)
	}
	var parts []string
	for i, data := range [][]byte{film[:partSize], film[partSize:]} {
		where, err := url.Parse(begun.PartURLs[i])
		if err != nil {
			t.Fatal(err)
		}
		if signed := where.Query().Get("X-Amz-SignedHeaders"); signed != "host" {
			t.Errorf("signed headers %q, but the client sends none", signed)
		}
		put := b.put(v1.Permission{Method: "PUT", URL: begun.PartURLs[i]}, data)
		if put.status != http.StatusOK {
			t.Fatalf("%d %s", put.status, put.body)
		}
		parts = append(parts, fmt.Sprintf(`{"PartNumber":%d,"ETag":%q}`, i+1, put.header.Get("ETag")))
	}
	wantSimpleError(t, completing(), http.StatusBadRequest, "")
	wantSimpleError(t, completing(parts[1], parts[0]), http.StatusBadRequest, "")
	wantSimpleError(t, completing(parts[0]), http.StatusConflict, "part 2: is not listed")
	wantSimpleError(t, completing(parts[0], `{"PartNumber":2,"ETag":"x"}`), http.StatusConflict, "")
	wantSimpleError(t, b.call("POST", "/complete-multipart", fmt.Sprintf(`{"uploadId":"x","key":%q,"parts":[%s]}`, begun.Key, parts[0]), as...), http.StatusBadRequest, "Upload not found")
	for range 2 {
		res = completing(parts...)
		var done struct {
			FileURL, State string
			Success        bool
		}
		if err := json.Unmarshal(res.body, &done); err != nil || res.status != http.StatusOK {
			t.Fatalf("%d %s", res.status, res.body)
		}
		if done.FileURL != mediaURL+"/"+begun.Key || !done.Success || done.State != "uploaded" {
			t.Errorf("completed %+v", done)
		}
	}
	if !bytes.Equal(b.object(begun.Key), film) {
		t.Error("the object is not the file")
	}
}

func TestSimpleMultipartErrors(t *testing.T) {
	b := newTestBundle(t)
	as := b.as(b.token)
	for _, body := range []string{
		``, `{}`, `[]`, `{"contentType":"video/mp4"}`, `{"contentType":"video/mp4","partCount":0}`, `{"contentType":"video/mp4","partCount":10001}`,
		`{"contentType":"video/mp4","partCount":"2"}`, `{"contentType":"text/html","partCount":2}`, `{"key":"a\u0000","contentType":"video/mp4","partCount":2}`,
	} {
		wantSimpleError(t, b.call("POST", "/start-multipart", body, as...), http.StatusBadRequest, "")
	}
	if n := b.count(); n != 0 {
		t.Errorf("%d uploads were begun by bad requests", n)
	}
	put := b.begin(declaring(picture))
	for _, body := range []string{
		``, `{}`, `{"uploadId":"","key":"uploads/` + put.ID + `.jpg","parts":[{"PartNumber":1,"ETag":"x"}]}`,
		`{"uploadId":"x","key":"uploads/none.mp4","parts":[{"PartNumber":1,"ETag":"x"}]}`,
	} {
		wantSimpleError(t, b.call("POST", "/complete-multipart", body, as...), http.StatusBadRequest, "")
	}
	for _, path := range []string{"/start-multipart", "/complete-multipart"} {
		wantSimpleError(t, b.call("POST", path, `{}`), http.StatusUnauthorized, "")
	}
}
