package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

func TestCancel(t *testing.T) {
	b := newTestBundle(t)
	line := []sagas.State{sagas.Initiated, sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready}
	for n := range line {
		t.Run(string(line[n]), func(t *testing.T) {
			u := b.begin(declaring(picture))
			for i := range n {
				b.advance(u.ID, line[i], line[i+1], sagas.Facts{}, sagas.Reason{})
			}
			want := "aborted"
			if line[n] == sagas.Ready {
				want = "deleted"
			}
			first := b.call("DELETE", "/v1/uploads/"+u.ID, "", b.as(b.token)...)
			if got := decode[v1.Upload](t, first.body); first.status != http.StatusOK || got.State != want || got.URL != "" ||
				len(got.History) != n+2 || got.History[n+1].From != string(line[n]) || got.History[n+1].To != want {
				t.Errorf("%d %s", first.status, first.body)
			}
			again := b.call("DELETE", "/v1/uploads/"+u.ID, "", b.as(b.token)...)
			if again.status != http.StatusOK || string(again.body) != string(first.body) || again.header.Get("ETag") != first.header.Get("ETag") {
				t.Errorf("again: %d %s", again.status, again.body)
			}
		})
	}
}

func TestCancelOfSomebodyElsesUpload(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaring(picture))
	for name, owner := range map[string]string{"another subject": token(t, "acme", "bob"), "another tenant": token(t, "globex", "alice")} {
		wantProblem(t, b.call("DELETE", "/v1/uploads/"+u.ID, "", b.as(owner)...), http.StatusNotFound, "not_found")
		if got := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+u.ID, "", b.as(b.token)...).body); got.State != "initiated" {
			t.Errorf("%s: it is %s", name, got.State)
		}
	}
	wantProblem(t, b.call("DELETE", "/v1/uploads/"+u.ID, ""), http.StatusUnauthorized, "token_missing")
	wantProblem(t, b.call("DELETE", "/v1/uploads/"+u.ID, "", "Cookie", sessionCookie+"="+b.token, "Sec-Fetch-Site", "cross-site"),
		http.StatusForbidden, "cross_origin")
}

// The client must not take a cancelled upload for a removed one.
func TestCancelThatCouldNotRemove(t *testing.T) {
	b := newTestBundle(t, func(_ *Config, d *Deps) {
		cancel := d.Cancel
		d.Cancel = func(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
			u, err := cancel(ctx, u)
			return u, errors.Join(err, errors.New("503 SlowDown from 10.0.0.7"))
		}
	})
	u := b.begin(declaring(picture))
	res := b.call("DELETE", "/v1/uploads/"+u.ID, "", b.as(b.token)...)
	wantProblem(t, res, http.StatusServiceUnavailable, "unavailable")
	if res.header.Get("Retry-After") == "" || strings.Contains(string(res.body), "10.0.0.7") || !strings.Contains(b.log.String(), "10.0.0.7") {
		t.Errorf("%v %s", res.header, res.body)
	}
}
