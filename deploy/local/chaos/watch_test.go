package chaos

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The watcher holds what it sees to what was sent by then, and not by the time when it set out to look.
func TestTheWatcherKnowsWhatWasSentMeanwhile(t *testing.T) {
	t.Parallel()
	const body = "seen"
	hashed := sha256.Sum256([]byte(body))
	sum := hex.EncodeToString(hashed[:])
	for name, tc := range map[string]struct {
		sent      []Sending // when the edge answers
		sightings []string  // folders
	}{
		"nothing":           {nil, []string{"uploads", "thumbnails"}},
		"an infected photo": {[]Sending{{SHA256: sum, Class: "infected"}}, []string{"uploads", "thumbnails"}},
		"a good photo":      {[]Sending{{SHA256: sum, Class: good}}, nil},
		"both, and another one is there": {
			[]Sending{{SHA256: "1", Class: good}, {SHA256: sum, Class: "infected"}}, []string{"uploads"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger()
			r := Receipt{ID: "a", Key: "uploads/a.jpg"}
			l.open(r)
			edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				l.note(r.ID, func(r *Receipt) { r.Sent = tc.sent })
				_, _ = w.Write([]byte(body))
			}))
			defer edge.Close()
			w := &watcher{ledger: l, edgeURL: edge.URL, http: edge.Client(), reported: map[string]bool{}}
			w.look(t.Context(), r)
			w.look(t.Context(), r)
			if len(w.seen) != len(tc.sightings) {
				t.Fatalf("saw %+v, want %q", w.seen, tc.sightings)
			}
			for i, folder := range tc.sightings {
				if !strings.Contains(w.seen[i].URL, "/"+folder+"/") {
					t.Errorf("saw %s, want one of %s", w.seen[i].URL, folder)
				}
			}
		})
	}
}
