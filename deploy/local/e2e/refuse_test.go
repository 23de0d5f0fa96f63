package e2e

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	eicar  = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR` + `-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`
	marker = "SLUICE-TEST-" + "MALWARE-0001"
)

func TestWhatShouldNotPassDoesNot(t *testing.T) {
	good := photo(t)
	for name, tc := range map[string]struct {
		body  []byte
		args  []string
		state string
		code  string
	}{
		"malware in a valid photograph": {withComment(good, marker), nil, "infected", "malware"},
		"malware behind a photograph":   {slices.Concat(good, []byte(eicar)), nil, "infected", "malware"},
		"EICAR called an image":         {[]byte(eicar), nil, "rejected", "type_mismatch"},
		"a text called photo.jpg":       {[]byte("dear diary"), nil, "rejected", "type_mismatch"},
		"half a photograph":             {good[:len(good)/2], nil, "rejected", "undecodable"},
		"a PNG called a JPEG":           {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), []string{"--content-type", "image/jpeg"}, "rejected", "type_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			u := send(t, 1, append(tc.args, file(t, "photo.jpg", tc.body))...)[0]
			if u.State != tc.state || u.Reason == nil || u.Reason.Code != tc.code || u.Reason.Detail == "" {
				t.Errorf("got %s (%+v), want %s (%s)", u.State, u.Reason, tc.state, tc.code)
			}
			if u.URL != "" || len(u.Variants) != 0 {
				t.Errorf("it has URLs: %q, %v", u.URL, u.Variants)
			}
			unreachable(t, u.ID)
		})
	}
}

func TestAnInfectedFileIsNeverReachableNotForAMoment(t *testing.T) {
	body := withComment(photo(t), marker)
	b := begin(t, "image/jpeg", len(body))
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	looks := 0
	watching.Go(func() {
		for ctx.Err() == nil {
			for _, url := range published(b.ID) {
				if code, _, err := fetch(ctx, url); err == nil && code == http.StatusOK {
					t.Errorf("%s was reachable", url)
				}
			}
			looks++
			time.Sleep(time.Millisecond)
		}
	})
	if code := put(t, b, body, nil); code != http.StatusOK {
		t.Fatalf("PUT answered %d", code)
	}
	u := wait(t, b.ID, settled)
	wait(t, b.ID, func(u upload) bool { return u.History[len(u.History)-1].Stage == "notify" })
	stop()
	watching.Wait()
	if u.State != "infected" {
		t.Errorf("it ended as %s", u.State)
	}
	t.Logf("looked %d times", looks)
}

// published lists where an upload would be.
func published(id string) []string {
	edge := stack.value["SLUICE_MEDIA_URL"]
	return []string{edge + "/uploads/" + id + ".jpg", edge + "/thumbnails/" + id + "/200.jpg"}
}

func unreachable(t *testing.T, id string) {
	t.Helper()
	for _, url := range published(id) {
		code, _, err := fetch(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if code != http.StatusNotFound {
			t.Errorf("%s answers %d", url, code)
		}
	}
}

func TestS3RefusesWhatWasNotSigned(t *testing.T) {
	good := photo(t)
	longer := append(slices.Clone(good), 0)
	for name, tc := range map[string]struct {
		body    []byte
		headers map[string]string
	}{
		"another length": {longer, map[string]string{"Content-Length": "1"}},
		"another type":   {good, map[string]string{"Content-Type": "text/html"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := begin(t, "image/jpeg", len(good))
			if code := put(t, b, tc.body, tc.headers); code != http.StatusForbidden {
				t.Errorf("S3 answered %d, want 403", code)
			}
			if u := status(t, b.ID); u.State != "initiated" {
				t.Errorf("the upload is %s", u.State)
			}
		})
	}
	t.Run("a second PUT", func(t *testing.T) {
		b := begin(t, "image/jpeg", len(good))
		if code := put(t, b, good, nil); code != http.StatusOK {
			t.Fatalf("S3 answered %d", code)
		}
		if code := put(t, b, good, nil); code != http.StatusPreconditionFailed {
			t.Errorf("S3 answered %d, want 412", code)
		}
		if u := wait(t, b.ID, settled); u.State != "ready" {
			t.Errorf("the upload is %s", u.State)
		}
	})
}
