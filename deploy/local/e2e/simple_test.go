package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
)

// page is a browser's page on the API's own origin: it sends a cookie and its origin, and no header of its own.
type page struct {
	client *http.Client
	origin string
}

func openPage(t *testing.T) page {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := page{client: &http.Client{Jar: jar}, origin: stack.value["SLUICE_URL"]}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.origin+"/v1/session", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+stack.value["SLUICE_TOKEN"])
	if code := do(t, p.client, req, nil); code != http.StatusNoContent {
		t.Fatalf("POST /v1/session answered %d", code)
	}
	return p
}

func (p page) post(t *testing.T, path string, body, out any) int {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, stack.value["SLUICE_URL"]+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", p.origin)
	req.Header.Set("Content-Type", "application/json")
	return do(t, p.client, req, out)
}

func TestGetAURLPutAndConfirm(t *testing.T) {
	p := openPage(t)
	body := withComment(photo(t), t.Name())

	var permission struct{ UploadURL, Key string }
	if code := p.post(t, "/get-upload-url", map[string]string{"filename": "me.jpg", "contentType": "image/jpeg"}, &permission); code != http.StatusOK {
		t.Fatalf("get-upload-url answered %d", code)
	}
	var failure struct{ Error string }
	if code := p.post(t, "/confirm-upload", map[string]string{"key": permission.Key}, &failure); code != http.StatusBadRequest || failure.Error != "File not found in storage" {
		t.Errorf("confirming too early answered %d, %q", code, failure.Error)
	}

	if code := put(t, begun{Upload: permissionOf(permission.UploadURL)}, body, nil); code != http.StatusOK {
		t.Fatalf("PUT answered %d", code)
	}

	var confirmed struct {
		FileURL, State, StatusURL string
		Success                   bool
	}
	for range 2 {
		if code := p.post(t, "/confirm-upload", map[string]string{"key": permission.Key}, &confirmed); code != http.StatusOK || !confirmed.Success {
			t.Fatalf("confirm-upload answered %d, %+v", code, confirmed)
		}
	}
	id := confirmed.StatusURL[strings.LastIndex(confirmed.StatusURL, "/")+1:]
	if u := wait(t, id, settled); u.State != "ready" || u.URL != confirmed.FileURL {
		t.Fatalf("it is %+v, confirmed as %s", u, confirmed.FileURL)
	}
	if got := served(t, confirmed.FileURL, "Miss"); !bytes.Equal(got.body, body) {
		t.Error("the edge serves other bytes")
	}
}

// The simple protocol's URL can be used again until it expires. What was scanned is what gets out all the same.
func TestOverwritingAnUploadChangesNothing(t *testing.T) {
	p := openPage(t)
	good := withComment(photo(t), t.Name())
	evil := withComment(good, marker)

	var permission struct{ UploadURL, Key string }
	if code := p.post(t, "/get-upload-url", map[string]string{"filename": "me.jpg", "contentType": "image/jpeg"}, &permission); code != http.StatusOK {
		t.Fatalf("get-upload-url answered %d", code)
	}
	send := func(body []byte) {
		if code := put(t, begun{Upload: permissionOf(permission.UploadURL)}, body, nil); code != http.StatusOK {
			t.Fatalf("PUT answered %d", code)
		}
	}
	send(good)
	var confirmed struct{ FileURL, StatusURL string }
	if code := p.post(t, "/confirm-upload", map[string]string{"key": permission.Key}, &confirmed); code != http.StatusOK {
		t.Fatalf("confirm-upload answered %d", code)
	}
	id := confirmed.StatusURL[strings.LastIndex(confirmed.StatusURL, "/")+1:]
	overwritten := 0
	u := wait(t, id, func(u upload) bool {
		send(evil)
		overwritten++
		return settled(u)
	})
	if u.State != "ready" {
		t.Fatalf("it is %s (%+v)", u.State, u.Reason)
	}
	if got := served(t, confirmed.FileURL, "Miss"); !bytes.Equal(got.body, good) {
		t.Error("the edge serves other bytes than were scanned")
	}
	t.Logf("overwritten %d times", overwritten)
}

func TestAPageOfAnotherOriginCannotUseTheCookie(t *testing.T) {
	p := openPage(t)
	p.origin = "https://evil.example"
	if code := p.post(t, "/get-upload-url", map[string]string{"filename": "me.jpg", "contentType": "image/jpeg"}, nil); code != http.StatusForbidden {
		t.Errorf("get-upload-url answered %d, want 403", code)
	}
}

func TestATypeThatIsNotAllowed(t *testing.T) {
	p := openPage(t)
	var failure struct{ Error string }
	code := p.post(t, "/get-upload-url", map[string]string{"filename": "x.svg", "contentType": "image/svg+xml"}, &failure)
	if code != http.StatusBadRequest || failure.Error != "File type not allowed" {
		t.Errorf("answered %d, %q", code, failure.Error)
	}
}
