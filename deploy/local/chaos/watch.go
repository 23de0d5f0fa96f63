package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync/atomic"
	"time"
)

// Sighting is something that the watcher found at the edge and that must never be there.
type Sighting struct {
	Upload string    `json:"upload"`
	URL    string    `json:"url"`
	SHA256 string    `json:"sha256"`
	At     time.Time `json:"at"`
}

// watcher looks at the edge, all the time, for files that nobody may ever read there.
type watcher struct {
	ledger  *ledger
	edgeURL string
	http    *http.Client
	// until is how long an upload is watched after its last change, as its file cannot come later.
	until time.Duration

	looks, failures atomic.Int64
	seen            []Sighting
	reported        map[string]bool
}

const (
	lookPause = 30 * time.Millisecond
	lookLimit = 2 * time.Second
)

// run looks until ctx ends. Then seen may be read.
func (w *watcher) run(ctx context.Context) {
	w.reported = map[string]bool{}
	for ctx.Err() == nil {
		for _, r := range w.ledger.those(func(r Receipt) bool { return time.Since(lastChange(r)) < w.until && suspicious(r) }) {
			if ctx.Err() != nil {
				return
			}
			w.look(ctx, r)
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookPause):
		}
	}
}

// suspicious tells that at least one file must not be seen of what was sent.
func suspicious(r Receipt) bool {
	if !r.harmless() {
		return true
	}
	for _, s := range r.Sent {
		if s.Class != good {
			return true
		}
	}
	return false
}

func lastChange(r Receipt) time.Time {
	last := r.GivenUpAt
	for _, s := range r.Sent {
		if s.LastTry.After(last) || s.Accepted {
			last = s.LastTry
		}
	}
	return last
}

// look asks for the file by the key that it would have, and for a rendition where not even that may exist. What is there is
// held to the receipt as it is then: the edge may have been away for so long that a good file was sent meanwhile, and
// published.
func (w *watcher) look(ctx context.Context, r Receipt) {
	file := w.edgeURL + "/" + r.Key
	urls := []string{file}
	if !r.harmless() {
		urls = append(urls, w.edgeURL+"/thumbnails/"+r.ID+"/200.jpg")
	}
	for _, url := range urls {
		status, sum, err := fetch(ctx, w.http, url)
		if err != nil {
			w.failures.Add(1) // the edge dies now and then, too
			continue
		}
		w.looks.Add(1)
		if status != http.StatusOK || w.reported[url] {
			continue
		}
		now := w.ledger.one(r.ID)
		if allowed := now.meant(sum) || url != file && now.harmless(); !allowed {
			w.reported[url] = true
			w.seen = append(w.seen, Sighting{Upload: r.ID, URL: url, SHA256: sum, At: time.Now()})
		}
	}
}

// fetch GETs a file and returns the status and the SHA-256 of what came.
func fetch(ctx context.Context, client *http.Client, url string) (status int, sum string, err error) {
	status, body, err := get(ctx, client, url)
	if err != nil {
		return 0, "", err
	}
	hashed := sha256.Sum256(body)
	return status, hex.EncodeToString(hashed[:]), nil
}
