package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

// silent takes connections and says nothing.
func silent(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }() // until the client has enough
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// loseStorage has the API go on with an S3 that is at the address, and the function that it returns with the true one.
func (b *testBundle) loseStorage(address string) (found func()) {
	b.t.Helper()
	there := b.objects
	b.objects = storage.New(storagetest.AWS(b.t), storage.Config{
		Endpoint: "http://" + address, IncomingBucket: there.Incoming, MediaBucket: there.Media,
	}).Within(200 * time.Millisecond)
	b.serve(func(_ *Config, d *Deps) {
		d.Cancel = func(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
			u, err := b.cancel(ctx, u)
			if err != nil {
				return u, err
			}
			return u, b.objects.RemoveObject(ctx, b.objects.Media, u.Key)
		}
	})
	return func() { b.objects = there; b.serve() }
}

func TestAnS3ThatIsAwayIsWorthAnotherTry(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"refused": refused, "silent": silent(t)} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			as := b.as(b.token)
			film, photo, uppy := b.begin(declaringFilm("")), b.begin(declaring(picture)), b.startUppy(`{}`)
			b.sendParts(film, 1, 2, 3)
			uppyParts := b.sendUppy(uppy)
			b.loseStorage(address)
			simple := fmt.Sprintf(`{"uploadId":%q,"key":%q,"parts":[%s]}`, uppy.UploadID, uppy.Key, strings.Join(uppyParts, ","))
			for _, c := range []struct{ method, path, body string }{
				{"POST", "/v1/uploads", declaringFilm("")},
				{"GET", "/v1/uploads/" + film.ID + "/parts", ""},
				{"POST", "/v1/uploads/" + film.ID + "/complete", ""},
				{"POST", "/v1/uploads/" + photo.ID + "/complete", ""},
				{"POST", "/confirm-upload", `{"key":"uploads/` + photo.ID + `.jpg"}`},
				{"POST", "/start-multipart", `{"contentType":"video/mp4","partCount":2}`},
				{"POST", "/complete-multipart", simple},
				{"POST", "/s3/multipart", `{"filename":"a.mp4","type":"video/mp4"}`},
				{"GET", uppy.path(""), ""},
				{"POST", uppy.path("/complete"), partsBody(uppyParts...)},
				{"DELETE", uppy.path(""), ""},
				{"DELETE", "/v1/uploads/" + photo.ID, ""},
			} {
				res := b.call(c.method, c.path, c.body, as...)
				if res.status != http.StatusServiceUnavailable || res.header.Get("Retry-After") != "1" {
					t.Errorf("%s %s: %d, Retry-After %q, %s", c.method, c.path, res.status, res.header.Get("Retry-After"), res.body)
				}
				if strings.HasPrefix(c.path, "/v1") {
					wantProblem(t, res, http.StatusServiceUnavailable, "unavailable")
				}
				if strings.Contains(string(res.body), address) {
					t.Errorf("%s %s: the inside shows: %s", c.method, c.path, res.body)
				}
			}
		})
	}
}

// A file in parts that S3 did not begin is no file: it does not count as being on its way, and the same request begins
// another.
func TestWhatS3DidNotBeginIsAborted(t *testing.T) {
	b := newTestBundle(t)
	b.setLimits(sagas.Limits{Tenant: "acme", FilesInFlight: new(int64(1))})
	found := b.loseStorage(silent(t))
	key := append(b.as(b.token), idempotencyHeader, `"one-film"`)
	for range 2 {
		wantProblem(t, b.call("POST", "/v1/uploads", declaringFilm(""), key...), http.StatusServiceUnavailable, "unavailable")
	}
	found()
	for range 2 {
		if res := b.call("POST", "/v1/uploads", declaringFilm(""), key...); res.status != http.StatusCreated {
			t.Fatalf("%d %s", res.status, res.body)
		}
	}
	states := map[sagas.State]int{}
	page, err := b.store.List(t.Context(), sagas.Owner{Tenant: "acme", Subject: "alice"}, sagas.Selection{Most: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range page {
		states[u.State]++
	}
	if states[sagas.Aborted] != 2 || states[sagas.Initiated] != 1 {
		t.Errorf("there are %v", states)
	}
}
