package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// tryCall makes an API request with the development token and decodes the answer into out.
func tryCall(t *testing.T, method, path string, body, out any) (int, error) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, stack.value["SLUICE_URL"]+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+stack.value["SLUICE_TOKEN"])
	req.Header.Set("Content-Type", "application/json")
	return tryDo(http.DefaultClient, req, out)
}

func do(t *testing.T, client *http.Client, req *http.Request, out any) int {
	t.Helper()
	code, err := tryDo(client, req, out)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// tryDo sends req, decodes a JSON answer into out, unless that is nil, and returns the status.
func tryDo(client *http.Client, req *http.Request, out any) (int, error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return 0, err
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			return 0, fmt.Errorf("%s %s answered %d with %q: %w", req.Method, req.URL.Path, resp.StatusCode, body, err)
		}
	}
	return resp.StatusCode, nil
}

func status(t *testing.T, id string) upload {
	t.Helper()
	u, err := tryStatus(t, id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func tryStatus(t *testing.T, id string) (u upload, err error) {
	t.Helper()
	code, err := tryCall(t, http.MethodGet, "/v1/uploads/"+id, nil, &u)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("the status of %s answered %d", id, code)
	}
	return u, err
}

// wait polls until the upload is as it should be, however often the API is down meanwhile.
func wait(t *testing.T, id string, until func(upload) bool) upload {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), uploadLimit)
	defer cancel()
	for {
		u, err := tryStatus(t, id)
		if err == nil && until(u) {
			return u
		}
		select {
		case <-ctx.Done():
			t.Fatalf("upload %s is still %s (%v)", id, u.State, err)
		case <-time.After(pollEvery):
		}
	}
}

func settled(u upload) bool {
	switch u.State {
	case "initiated", "uploaded", "verified", "clean", "processed":
		return false
	}
	return true
}

// begun is the answer to POST /v1/uploads.
type begun struct {
	ID     string
	Upload permission
}

type permission struct {
	Method, URL string
	Headers     map[string]string
}

// permissionOf is what a URL of the simple protocol permits.
func permissionOf(url string) permission {
	return permission{Method: http.MethodPut, URL: url, Headers: map[string]string{"Content-Type": "image/jpeg"}}
}

func begin(t *testing.T, contentType string, size int) begun {
	t.Helper()
	b, err := tryBegin(t, contentType, size)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tryBegin is begin for when the API may be down.
func tryBegin(t *testing.T, contentType string, size int) (b begun, err error) {
	t.Helper()
	code, err := tryCall(t, http.MethodPost, "/v1/uploads",
		map[string]any{"filename": "x", "content_type": contentType, "size": size}, &b)
	if err == nil && code != http.StatusCreated {
		err = fmt.Errorf("POST /v1/uploads answered %d", code)
	}
	return b, err
}

// put sends body as b allows, with headers replaced, and returns S3's status.
func put(t *testing.T, b begun, body []byte, headers map[string]string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), b.Upload.Method, b.Upload.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range b.Upload.Headers {
		req.Header.Set(name, value)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	return do(t, http.DefaultClient, req, nil)
}
