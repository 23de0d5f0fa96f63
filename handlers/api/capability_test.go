package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

func TestATokenOfOneUploadIsGoodForItAlone(t *testing.T) {
	b := newTestBundle(t)
	u, other := b.begin(declaring(picture)), b.begin(declaring(picture))
	if u.TokenExpiresAt.Before(u.ExpiresAt.Truncate(time.Second)) || u.Token == other.Token {
		t.Errorf("good until %s, the upload until %s", u.TokenExpiresAt, u.ExpiresAt)
	}
	if res := b.put(u.Permission, picture); res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	self, parameter := "/v1/uploads/"+u.ID, "?token="+url.QueryEscape(u.Token)
	for _, headers := range [][]string{nil, b.as(u.Token)} {
		if headers != nil {
			parameter = ""
		}
		for _, c := range []struct{ method, path string }{{"GET", self}, {"POST", self + "/complete"}} {
			res := b.call(c.method, c.path+parameter, "", headers...)
			if res.status != http.StatusOK || res.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s %s: %d %s", c.method, c.path, res.status, res.body)
			}
		}
	}

	bearer := b.as(u.Token)
	foreign := "/v1/uploads/" + other.ID
	wantProblem(t, b.call("GET", foreign, "", bearer...), http.StatusNotFound, "not_found")
	wantProblem(t, b.call("GET", foreign+"?token="+u.Token, ""), http.StatusNotFound, "not_found")
	wantProblem(t, b.call("POST", foreign+"/complete", "", bearer...), http.StatusNotFound, "not_found")
	wantProblem(t, b.call("POST", "/v1/uploads", declaring(picture), bearer...), http.StatusForbidden, "token_scope")
	wantProblem(t, b.call("POST", self+"/token", "", bearer...), http.StatusForbidden, "token_scope")
	wantProblem(t, b.call("POST", "/v1/session", "", bearer...), http.StatusForbidden, "token_scope")
	wantSimpleError(t, b.call("POST", "/confirm-upload", `{"key":"uploads/`+u.ID+`.jpg"}`, bearer...), http.StatusForbidden, tokenScope.detail)
	wantProblem(t, b.call("POST", "/v1/uploads?token="+u.Token, declaring(picture)), http.StatusUnauthorized, "token_missing")
	wantProblem(t, b.call("POST", self+"/token?token="+u.Token, ""), http.StatusUnauthorized, "token_missing")
	wantProblem(t, b.call("GET", self+"?token="+b.token, ""), http.StatusUnauthorized, "token_invalid")
	wantProblem(t, b.call("GET", self+"?token="+u.Token+"x", ""), http.StatusUnauthorized, "token_invalid")
	if n := b.count(); n != 2 {
		t.Errorf("%d uploads", n)
	}
}

func TestTokensAreRenewedByTheOwner(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaring(picture))
	path := "/v1/uploads/" + u.ID + "/token"
	wantProblem(t, b.call("POST", path, "", b.as(token(t, "acme", "bob"))...), http.StatusNotFound, "not_found")
	wantProblem(t, b.call("POST", path, "", b.as(token(t, "rival", "alice"))...), http.StatusNotFound, "not_found")
	res := b.call("POST", path, "", b.as(b.token)...)
	if res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	renewed := decode[v1.Capability](t, res.body)
	if res := b.call("GET", "/v1/uploads/"+u.ID+"?token="+renewed.Token, ""); res.status != http.StatusOK {
		t.Errorf("%d %s", res.status, res.body)
	}
}

// Whatever is about one upload takes its token, except for another token; nothing
// else does.
func TestWhatTakesATokenOfOneUpload(t *testing.T) {
	b := newTestBundle(t)
	var document struct {
		Paths map[string]map[string]struct{ Security []map[string][]string }
	}
	if err := json.Unmarshal(b.call("GET", "/openapi.json", "").body, &document); err != nil {
		t.Fatal(err)
	}
	for path, operations := range document.Paths {
		want := strings.Contains(path, "/uploads/{id}") && path != "/v1/uploads/{id}/token"
		for method, operation := range operations {
			if got := accepts(operation.Security, capabilityScheme); got != want {
				t.Errorf("%s %s takes a token: %t", method, path, got)
			}
		}
	}
}

func TestTokensInURLsLeaveNoTrace(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaring(picture))
	for _, path := range []string{"/v1/uploads/" + u.ID, "/v1/uploads", "/v1/uploads/x", "/nowhere", "/get-upload-url"} {
		for _, token := range []string{u.Token, u.Token + "x"} {
			b.call("GET", path+"?token="+token, "")
			b.call("POST", path+"?token="+token, "{")
		}
	}
	seen := b.log.String() + string(b.call("GET", "/metrics", "").body)
	parts := strings.Split(u.Token, ".")
	for _, hidden := range []string{"cap_", parts[1], parts[2]} {
		if strings.Contains(seen, hidden) {
			t.Errorf("%q is in the log or the metrics", hidden)
		}
	}
}
