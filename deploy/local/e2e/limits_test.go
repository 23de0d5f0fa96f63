package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What the simple protocol signs has no size: what arrived is held to what its tenant was allowed when it began.
func TestATenantsLargestSizeIsHeldToWhatArrives(t *testing.T) {
	const tenant = "small"
	body := withComment(photo(t), t.Name())
	sluice(t, 0, "limits", "set", tenant, "--max-size", strconv.Itoa(len(body)-1))
	key := strings.TrimSpace(string(sluice(t, 0, "apikey", "create", "--tenant", tenant, "--subject", "alice")))
	for name, c := range map[string]struct {
		body   []byte
		state  string
		reason string
	}{
		"too large": {body, "rejected", "too_large"},
		"fitting":   {withComment(photo(t), ""), "ready", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var permission struct{ UploadURL, Key string }
			if code := callAs(t, key, http.MethodPost, "/get-upload-url", map[string]string{"filename": "me.jpg", "contentType": "image/jpeg"}, &permission); code != http.StatusOK {
				t.Fatalf("get-upload-url answered %d", code)
			}
			if code := put(t, begun{Upload: permissionOf(permission.UploadURL)}, c.body, nil); code != http.StatusOK {
				t.Fatalf("PUT answered %d", code)
			}
			if code := callAs(t, key, http.MethodPost, "/confirm-upload", map[string]string{"key": permission.Key}, nil); code != http.StatusOK {
				t.Fatalf("confirm-upload answered %d", code)
			}
			ctx, cancel := context.WithTimeout(t.Context(), uploadLimit)
			defer cancel()
			var u upload
			for u.State == "" || !settled(u) {
				u = upload{}
				if code := callAs(t, key, http.MethodGet, "/v1/uploads/"+idOf(permission.Key), nil, &u); code != http.StatusOK || ctx.Err() != nil {
					t.Fatalf("the status answered %d: %s", code, u.State)
				}
				time.Sleep(pollEvery)
			}
			if u.State != c.state || u.Reason != nil && u.Reason.Code != c.reason {
				t.Errorf("it is %s (%+v), want %s (%s)", u.State, u.Reason, c.state, c.reason)
			}
		})
	}
}

// callAs is a call with another credential than the stack's own.
func callAs(t *testing.T, token, method, path string, body, out any) int {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, stack.value["SLUICE_URL"]+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return do(t, http.DefaultClient, req, out)
}
