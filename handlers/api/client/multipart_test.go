package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/handlers/api"
	"github.com/sluice-media/sluice/handlers/api/client"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
)

const partSize = 8 << 20

// film is a file of three parts, the last of which is smaller.
var film = sync.OnceValue(func() []byte {
	data := make([]byte, 2*partSize+12345)
	if _, err := rand.NewChaCha8([32]byte{}).Read(data); err != nil {
		panic(err)
	}
	return data
})

func newFilm(method string, partSHA256 bool) v1.NewUpload {
	return v1.NewUpload{Filename: "film.jpg", ContentType: "image/jpeg", Size: int64(len(film())), Method: method, PartSHA256: partSHA256}
}

// arrived fails the test unless the file in storage is the film.
func (b *testBundle) arrived(t *testing.T, u v1.Upload) {
	t.Helper()
	if u.State != "uploaded" || u.Size != int64(len(film())) {
		t.Fatalf("%+v", u)
	}
	body, err := b.objects.Get(t.Context(), storage.Ref{Bucket: b.objects.Incoming, Key: "uploads/" + u.ID + ".jpg"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, film()) {
		t.Errorf("storage has %d other bytes, %v", len(got), err)
	}
}

// toStorage does act to the requests of which the number, from 1, counts those that carry a part.
func (w *wire) toStorage(act func(n int64, req *http.Request) (*http.Response, error)) {
	var seen atomic.Int64
	w.set(func(req *http.Request) (*http.Response, error) {
		if req.URL.Query().Has("partNumber") {
			return act(seen.Add(1), req)
		}
		return http.DefaultTransport.RoundTrip(req)
	})
}

func TestUploadByEveryMethod(t *testing.T) {
	for name, n := range map[string]v1.NewUpload{
		"put": newFilm("put", false), "post": newFilm("post", false),
		"multipart": newFilm("multipart", false), "multipart with digests": newFilm("multipart", true),
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			sum := sha256.Sum256(film())
			n.SHA256 = hex.EncodeToString(sum[:])
			var begun string
			var sent atomic.Int64
			u, err := b.Upload(t.Context(), bytes.NewReader(film()), n, client.Options{
				NoWait: true, Progress: sent.Store,
				OnBegun: func(u v1.Upload) error { begun = u.ID; return nil },
			})
			if err != nil || u.ID != begun || sent.Load() != n.Size {
				t.Fatalf("%+v, %v, %d bytes sent", u, err, sent.Load())
			}
			b.arrived(t, u)
		})
	}
}

// One part fails in every way that passes; nothing else is sent twice.
func TestPartsAreTriedAgain(t *testing.T) {
	for name, act := range map[string]func(*http.Request) (*http.Response, error){"cut": cut, "unavailable": unavailable, "lost": lost} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			var requests atomic.Int64
			b.wire.toStorage(func(_ int64, req *http.Request) (*http.Response, error) {
				if n := requests.Add(1); n <= 2 {
					return act(req)
				}
				return http.DefaultTransport.RoundTrip(req)
			})
			u, err := b.Upload(t.Context(), bytes.NewReader(film()), newFilm("multipart", false), client.Options{NoWait: true})
			if err != nil || requests.Load() != 5 {
				t.Fatalf("%v after %d requests", err, requests.Load())
			}
			b.arrived(t, u)
		})
	}
}

// Permissions that expire on the way are renewed.
func TestPartsOutliveTheirPermissions(t *testing.T) {
	b := newTestBundle(t, func(c *api.Config) { c.PartLifetime = time.Second })
	var refusals atomic.Int64
	b.wire.toStorage(func(n int64, req *http.Request) (*http.Response, error) {
		if n == 1 {
			time.Sleep(2100 * time.Millisecond) // the lifetime, in the whole seconds of a signature
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err == nil && res.StatusCode == http.StatusForbidden {
			refusals.Add(1)
		}
		return res, err
	})
	u, err := b.Upload(t.Context(), bytes.NewReader(film()), newFilm("multipart", false), client.Options{NoWait: true, Parallel: 1})
	if err != nil || refusals.Load() == 0 {
		t.Fatalf("%v after %d refusals", err, refusals.Load())
	}
	b.arrived(t, u)
}

func TestPartsThatStorageForbids(t *testing.T) {
	b := newTestBundle(t)
	var requests atomic.Int64
	b.wire.toStorage(func(_ int64, req *http.Request) (*http.Response, error) {
		requests.Add(1)
		req.URL.RawQuery = strings.Replace(req.URL.RawQuery, "X-Amz-Signature=", "X-Amz-Signature=0", 1)
		return http.DefaultTransport.RoundTrip(req)
	})
	_, err := b.Upload(t.Context(), bytes.NewReader(film()), newFilm("multipart", false), client.Options{Parallel: 1})
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusForbidden || requests.Load() != 3 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
}

// What storage has is not sent again, whoever sent it.
func TestUploadResumes(t *testing.T) {
	for name, digests := range map[string]bool{"plain": false, "with digests": true} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			first, err := b.Upload(ctx, bytes.NewReader(film()), newFilm("multipart", digests), client.Options{
				Parallel: 1, PartSent: func(v1.CompletedPart) { cancel() },
			})
			if !errors.Is(err, context.Canceled) || first.ID == "" {
				t.Fatalf("%+v, %v", first, err)
			}
			var numbers []string
			b.wire.toStorage(func(_ int64, req *http.Request) (*http.Response, error) {
				numbers = append(numbers, req.URL.Query().Get("partNumber"))
				return http.DefaultTransport.RoundTrip(req)
			})
			var sent []int64
			u, err := b.Upload(t.Context(), bytes.NewReader(film()), newFilm("multipart", digests), client.Options{
				Resume: first.ID, Parallel: 1, NoWait: true, Progress: func(n int64) { sent = append(sent, n) },
			})
			if err != nil || u.ID != first.ID || !slices.Equal(numbers, []string{"2", "3"}) || sent[0] != partSize {
				t.Fatalf("%+v, %v, sent parts %v", u, err, numbers)
			}
			b.arrived(t, u)

			again, err := b.Upload(t.Context(), bytes.NewReader(film()), newFilm("multipart", digests), client.Options{Resume: u.ID, NoWait: true})
			if err != nil || again.ID != u.ID || len(numbers) != 2 {
				t.Errorf("%+v, %v, sent parts %v", again, err, numbers)
			}
		})
	}
}

// What cannot be resumed is begun anew.
func TestUploadThatCannotBeResumed(t *testing.T) {
	b := newTestBundle(t)
	gone := b.begin(t).ID
	if _, err := b.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	parts, err := b.Begin(t.Context(), newFilm("multipart", false))
	if err != nil {
		t.Fatal(err)
	}
	if u, err := b.Delete(t.Context(), parts.ID); err != nil || u.State != "aborted" {
		t.Fatalf("%+v, %v", u, err)
	}
	for name, id := range map[string]string{
		"unknown": uuid.NewString(), "aborted": gone, "parts aborted": parts.ID, "never sent": b.begin(t).ID,
	} {
		u, err := b.Upload(t.Context(), bytes.NewReader(film()), newFilm("multipart", false), client.Options{Resume: id, NoWait: true})
		if err != nil || u.ID == id {
			t.Fatalf("%s: %+v, %v", name, u, err)
		}
		b.arrived(t, u)
	}
}

func TestUploadOfAFileThatShrinks(t *testing.T) {
	for _, method := range []string{"put", "post", "multipart"} {
		t.Run(method, func(t *testing.T) {
			b := newTestBundle(t)
			before := b.wire.calls.Load()
			_, err := b.Upload(t.Context(), bytes.NewReader(film()[:partSize+5]), newFilm(method, false), client.Options{Parallel: 1})
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error(err)
			}
			if calls := b.wire.calls.Load() - before; calls > 3 {
				t.Errorf("%d requests", calls)
			}
		})
	}
}

// Nothing goes on when the context ends in the middle of parts.
func TestMultipartEndsWithItsContext(t *testing.T) {
	b := newTestBundle(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.wire.toStorage(func(_ int64, req *http.Request) (*http.Response, error) {
		cancel()
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	_, err := b.Upload(ctx, bytes.NewReader(film()), newFilm("multipart", false), client.Options{})
	calls := b.wire.calls.Load()
	if !errors.Is(err, context.Canceled) || b.wire.calls.Load() != calls {
		t.Error(err)
	}
}

// Begin sends the same key however often it has to ask.
func TestBeginAsksForOneUpload(t *testing.T) {
	b := newTestBundle(t)
	var keys []string
	b.wire.set(func(req *http.Request) (*http.Response, error) {
		keys = append(keys, req.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			return lost(req)
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	b.begin(t)
	b.begin(t)
	if len(keys) != 3 || keys[0] == "" || keys[0] != keys[1] || keys[1] == keys[2] {
		t.Errorf("keys %q", keys)
	}
}

// A server that wants to be left alone is.
func TestRetryAfter(t *testing.T) {
	b := newTestBundle(t)
	var at []time.Time
	b.wire.set(func(req *http.Request) (*http.Response, error) {
		if at = append(at, time.Now()); len(at) > 1 {
			return http.DefaultTransport.RoundTrip(req)
		}
		return &http.Response{
			StatusCode: http.StatusTooManyRequests, Status: "429 Too Many Requests", Header: http.Header{"Retry-After": {"1"}},
			Body: io.NopCloser(strings.NewReader(`{"status":429,"code":"rate_limited"}`)),
		}, nil
	})
	b.begin(t)
	if len(at) != 2 || at[1].Sub(at[0]) < time.Second {
		t.Errorf("asked at %v", at)
	}
}
