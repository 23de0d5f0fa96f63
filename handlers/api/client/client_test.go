package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/handlers/api"
	"github.com/sluice-media/sluice/handlers/api/auth"
	"github.com/sluice-media/sluice/handlers/api/client"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/handlers/intake"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

const secret = "a-secret-of-the-tests-of-thirty-two-bytes-or-more"

var picture = bytes.Repeat([]byte("not really a picture, but S3 does not mind. "), 5000)

// testBundle is a client of the real API, with a transport between them that can fail.
type testBundle struct {
	*client.Client
	store   *sagas.Store
	objects *storage.Client
	wire    *wire

	url, token string
	passing    bool // whether what has arrived goes through all stages at once
}

func newTestBundle(t testing.TB, change ...func(*api.Config)) *testBundle {
	t.Helper()
	config := api.Config{
		Listen: "127.0.0.1:0", MediaURL: "https://media.example.com", AllowedTypes: []string{"image/jpeg"},
		IdempotencyLifetime: time.Hour, StorageTimeout: 10 * time.Second, IdempotencyLease: 30 * time.Second, LimitsCache: time.Minute,
		Auth:    auth.Config{JWTSecret: secret, JWTAlgorithms: []string{"HS256"}, JWTTenantClaim: "tenant", CapabilityLifetime: time.Hour},
		MaxSize: 5 << 30, PresignLifetime: time.Minute,
		MultipartThreshold: 5 << 30, PartLifetime: time.Minute, MultipartLifetime: time.Hour,
		Heartbeat: time.Minute, StreamTimeout: time.Second,
	}
	for _, f := range change {
		f(&config)
	}
	pool := sagatest.Pool(t)
	b := &testBundle{store: sagas.NewStore(pool, "test"), objects: storagetest.New(t), wire: &wire{}}
	changes, _ := sagatest.Changes(t, pool)
	h, err := api.New(t.Context(), config, api.Deps{
		Store: b.store, Changes: changes, Objects: b.objects, Confirm: b.confirm, Cancel: b.cancel, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "alice", "tenant": "acme", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	b.url, b.token = server.URL, token
	b.Client = client.New(server.URL+"/", token, &http.Client{Transport: b.wire})
	return b
}

func (b *testBundle) confirm(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
	out, err := intake.New(intake.Config{}, b.objects).Run(ctx, u)
	if err != nil {
		return u, err
	}
	u, err = b.store.Advance(ctx, sagas.Change{ID: u.ID, Stage: "intake", From: u.State, To: out.State, StartedAt: u.ReadAt, Facts: out.Facts})
	for _, to := range []sagas.State{sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready} {
		if err == nil && b.passing {
			u, err = b.store.Advance(ctx, sagas.Change{ID: u.ID, Stage: "test", From: u.State, To: to, StartedAt: u.ReadAt, Facts: out.Facts})
		}
	}
	return u, err
}

func (b *testBundle) cancel(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
	if u.Multipart.UploadID != "" {
		if err := b.objects.AbortMultipart(ctx, u.Key, u.Multipart.UploadID); err != nil {
			return u, err
		}
	}
	return b.store.Advance(ctx, sagas.Change{ID: u.ID, Stage: "test", From: u.State, To: sagas.Aborted, StartedAt: u.ReadAt})
}

func (b *testBundle) begin(t *testing.T) v1.Begun {
	t.Helper()
	sum := sha256.Sum256(picture)
	begun, err := b.Begin(t.Context(), v1.NewUpload{
		Filename: "a.jpg", ContentType: "image/jpeg", Size: int64(len(picture)), SHA256: hex.EncodeToString(sum[:]),
	})
	if err != nil {
		t.Fatal(err)
	}
	return begun
}

func (b *testBundle) advance(t *testing.T, id string, from, to sagas.State) {
	t.Helper()
	_, err := b.store.Advance(t.Context(), sagas.Change{ID: uuid.MustParse(id), Stage: "test", From: from, To: to, StartedAt: time.Now()})
	if err != nil {
		t.Error(err)
	}
}

// wire does to each request what act says; the zero value lets it pass.
type wire struct {
	mu    sync.Mutex
	act   func(*http.Request) (*http.Response, error)
	calls atomic.Int64
}

func (w *wire) set(act func(*http.Request) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.act = act
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.calls.Add(1)
	w.mu.Lock()
	act := w.act
	w.mu.Unlock()
	if act == nil {
		return http.DefaultTransport.RoundTrip(req)
	}
	return act(req)
}

// times does act to the first n requests and lets the rest pass.
func (w *wire) times(n int64, act func(*http.Request) (*http.Response, error)) {
	var seen atomic.Int64
	w.set(func(req *http.Request) (*http.Response, error) {
		if seen.Add(1) <= n {
			return act(req)
		}
		return http.DefaultTransport.RoundTrip(req)
	})
}

var errCut = errors.New("connection reset by peer")

func cut(*http.Request) (*http.Response, error) { return nil, errCut }

func unavailable(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusServiceUnavailable, Status: "503 Service Unavailable", Header: http.Header{}, Body: io.NopCloser(strings.NewReader("busy"))}, nil
}

// lost lets the request arrive and loses the answer.
func lost(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	return nil, errors.Join(errCut, res.Body.Close())
}

func TestFromBeginToReady(t *testing.T) {
	b := newTestBundle(t)
	begun := b.begin(t)
	var sent []int64
	if err := b.Put(t.Context(), begun.Permission, bytes.NewReader(picture), int64(len(picture)), func(n int64) { sent = append(sent, n) }); err != nil {
		t.Fatal(err)
	}
	if sent[0] != 0 || sent[len(sent)-1] != int64(len(picture)) || !slices.IsSorted(sent) {
		t.Errorf("progress %v", sent)
	}
	u, err := b.Complete(t.Context(), begun.ID)
	if err != nil || u.State != "uploaded" {
		t.Fatalf("%+v, %v", u, err)
	}

	var states []string
	line := []sagas.State{sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready}
	u, err = b.Wait(t.Context(), begun.ID, func(u v1.Upload) {
		states = append(states, u.State)
		if i := slices.Index(line, sagas.State(u.State)); i+1 < len(line) {
			b.advance(t, u.ID, line[i], line[i+1])
		}
	})
	if err != nil || !u.Ready() || len(u.History) != 6 {
		t.Errorf("%+v, %v", u, err)
	}
	if want := []string{"uploaded", "verified", "clean", "processed", "ready"}; !slices.Equal(states, want) {
		t.Errorf("saw %v, want %v", states, want)
	}
}

// One request for how it stands and one for each change: no asking in between.
func TestWaitAsksOnlyForNews(t *testing.T) {
	b := newTestBundle(t)
	begun := b.begin(t)
	var asked atomic.Int64
	b.wire.set(func(req *http.Request) (*http.Response, error) {
		switch n := asked.Add(1); n {
		case 1:
		case 2:
			time.AfterFunc(300*time.Millisecond, func() { b.advance(t, begun.ID, sagas.Initiated, sagas.Expired) })
			fallthrough
		default:
			if tag, wait := req.Header.Get("If-None-Match"), req.URL.Query().Get("wait"); tag != `"1"` || wait == "" {
				t.Errorf("request %d waits %q for If-None-Match: %s", n, wait, tag)
			}
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	changes := 0
	u, err := b.Wait(t.Context(), begun.ID, func(v1.Upload) { changes++ })
	if err != nil || u.State != "expired" || changes != 2 || asked.Load() != 2 {
		t.Errorf("%+v, %v after %d changes in %d requests", u, err, changes, asked.Load())
	}
}

// Servers and proxies that do not know the long poll cost more requests, with pauses between them.
func TestWaitWithoutTheLongPoll(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"ignored": func(req *http.Request) (*http.Response, error) {
			req.URL.RawQuery = ""
			return http.DefaultTransport.RoundTrip(req)
		},
		"refused": func(req *http.Request) (*http.Response, error) {
			if req.URL.Query().Has("wait") {
				req.URL.RawQuery = "wait=soon"
			}
			return http.DefaultTransport.RoundTrip(req)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			begun := b.begin(t)
			var asked atomic.Int64
			b.wire.set(func(req *http.Request) (*http.Response, error) {
				asked.Add(1)
				return answer(req)
			})
			time.AfterFunc(time.Second, func() { b.advance(t, begun.ID, sagas.Initiated, sagas.Expired) })
			u, err := b.Wait(t.Context(), begun.ID, nil)
			if n := asked.Load(); err != nil || u.State != "expired" || n < 3 || n > 12 {
				t.Errorf("%+v, %v in %d requests", u, err, n)
			}
		})
	}
}

func TestList(t *testing.T) {
	b := newTestBundle(t)
	first, second := b.begin(t), b.begin(t)
	b.advance(t, second.ID, sagas.Initiated, sagas.Expired)
	page, err := b.List(t.Context(), client.Filter{Limit: 1})
	if err != nil || len(page.Uploads) != 1 || page.Uploads[0].ID != second.ID || page.Next == "" {
		t.Fatalf("%+v, %v", page, err)
	}
	page, err = b.List(t.Context(), client.Filter{Limit: 1, Cursor: page.Next})
	if err != nil || len(page.Uploads) != 1 || page.Uploads[0].ID != first.ID || page.Next != "" {
		t.Errorf("%+v, %v", page, err)
	}
	page, err = b.List(t.Context(), client.Filter{
		States: []string{"expired", "ready"}, CreatedAfter: time.Now().Add(-time.Hour), CreatedBefore: time.Now().Add(time.Hour),
	})
	if err != nil || len(page.Uploads) != 1 || page.Uploads[0].ID != second.ID {
		t.Errorf("%+v, %v", page, err)
	}
	page, err = b.List(t.Context(), client.Filter{CreatedAfter: time.Now().Add(time.Hour)})
	if err != nil || len(page.Uploads) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	var refused *client.Error
	if _, err := b.List(t.Context(), client.Filter{Cursor: "x"}); !errors.As(err, &refused) || refused.Code != "invalid_request" {
		t.Error(err)
	}
}

func TestWaitOutlastsAnOutage(t *testing.T) {
	b := newTestBundle(t)
	begun := b.begin(t)
	b.advance(t, begun.ID, sagas.Initiated, sagas.Aborted)
	b.wire.times(3, cut)
	if u, err := b.Wait(t.Context(), begun.ID, nil); err != nil || u.State != "aborted" {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	b := newTestBundle(t)
	begun := b.begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	u, err := b.Wait(ctx, begun.ID, func(v1.Upload) { cancel() })
	if !errors.Is(err, context.Canceled) || u.State != "initiated" {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestCallsAreTriedAgain(t *testing.T) {
	for name, act := range map[string]func(*http.Request) (*http.Response, error){"cut": cut, "unavailable": unavailable, "lost": lost} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			b.wire.times(2, act)
			begun := b.begin(t)
			all, err := b.store.List(t.Context(), sagas.Owner{Tenant: "acme", Subject: "alice"}, sagas.Selection{Most: 10})
			if err != nil || len(all) != 1 || all[0].ID.String() != begun.ID {
				t.Errorf("began %+v, %v", all, err)
			}
			b.wire.times(2, act)
			if err := b.Put(t.Context(), begun.Permission, bytes.NewReader(picture), int64(len(picture)), nil); err != nil {
				t.Error(err)
			}
			b.wire.times(2, act)
			if _, err := b.Complete(t.Context(), begun.ID); err != nil {
				t.Error(err)
			}
			b.wire.times(2, act)
			if u, err := b.Get(t.Context(), begun.ID); err != nil || u.State != "uploaded" {
				t.Errorf("%+v, %v", u, err)
			}
		})
	}
}

// A 412 is success only when the file may have arrived before.
func TestPutOfWhatIsThere(t *testing.T) {
	b := newTestBundle(t)
	begun := b.begin(t)
	put := func() error {
		return b.Put(t.Context(), begun.Permission, bytes.NewReader(picture), int64(len(picture)), nil)
	}
	b.wire.times(1, lost)
	if err := put(); err != nil {
		t.Errorf("after a lost answer: %v", err)
	}
	var refused *client.Error
	if err := put(); !errors.As(err, &refused) || refused.Status != http.StatusPreconditionFailed {
		t.Errorf("a second PUT: %v", err)
	}
}

func TestPutThatIsRefused(t *testing.T) {
	b := newTestBundle(t)
	begun := b.begin(t)
	p := begun.Permission
	before := b.wire.calls.Load()

	other := bytes.ToUpper(picture)
	var refused *client.Error
	err := b.Put(t.Context(), p, bytes.NewReader(other), int64(len(other)), nil)
	if !errors.As(err, &refused) || refused.Code != client.StorageRefused || refused.Status != http.StatusBadRequest {
		t.Errorf("other bytes: %v", err)
	}
	if calls := b.wire.calls.Load() - before; calls != 1 {
		t.Errorf("a refusal was tried %d times", calls)
	}
	if err := b.Put(t.Context(), p, bytes.NewReader(picture[1:]), int64(len(picture)-1), nil); err == nil {
		t.Error("another length was sent")
	}
	p.URL = strings.Replace(p.URL, "X-Amz-Signature=", "X-Amz-Signature=0", 1)
	err = b.Put(t.Context(), p, bytes.NewReader(picture), int64(len(picture)), nil)
	if !errors.As(err, &refused) || refused.Status != http.StatusForbidden || strings.Contains(err.Error(), p.URL) {
		t.Errorf("tampered: %v", err)
	}
}

func TestErrorsKeepThePresignedURLToThemselves(t *testing.T) {
	c := client.New("http://127.0.0.1:1", "token", &http.Client{Transport: roundTripFunc(cut)})
	p := v1.Permission{Method: "PUT", URL: "http://127.0.0.1:1/bucket/key?X-Amz-Signature=0123", Headers: map[string]string{}}
	err := c.Put(t.Context(), p, bytes.NewReader(picture), int64(len(picture)), nil)
	if !errors.Is(err, errCut) || strings.Contains(err.Error(), "0123") {
		t.Error(err)
	}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestRefusals(t *testing.T) {
	b := newTestBundle(t)
	var refused *client.Error
	_, err := b.Begin(t.Context(), v1.NewUpload{Filename: "a.txt", ContentType: "text/plain", Size: 1})
	if !errors.As(err, &refused) || refused.Code != "type_not_allowed" || refused.Status != http.StatusUnprocessableEntity {
		t.Error(err)
	}
	_, err = b.Begin(t.Context(), v1.NewUpload{Filename: "a.jpg", ContentType: "image/jpeg"})
	if !errors.As(err, &refused) || refused.Code != "invalid_request" || len(refused.Faults) == 0 || !strings.Contains(err.Error(), "body.size") {
		t.Error(err)
	}
	begun := b.begin(t)
	for _, id := range []string{uuid.NewString(), "../session", "?", begun.ID + "?x"} {
		if _, err := b.Get(t.Context(), id); !errors.As(err, &refused) || refused.Code != "not_found" {
			t.Error(err)
		}
	}
	if _, err := b.Complete(t.Context(), begun.ID); !errors.As(err, &refused) || refused.Code != "not_uploaded" {
		t.Error(err)
	}
	b.wire.set(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusForbidden, Status: "403 Forbidden", Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<html>"))}, nil
	})
	if _, err := b.Get(t.Context(), begun.ID); !errors.As(err, &refused) || refused.Code != "unexpected_answer" {
		t.Error(err)
	}
}
