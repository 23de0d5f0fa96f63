package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/handlers/api/auth"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

const (
	secret   = "a-secret-of-the-tests-of-thirty-two-bytes-or-more"
	mediaURL = "https://media.example.com"
)

// testBundle is the API on a real database and a real S3 server.
type testBundle struct {
	t       testing.TB
	url     string
	pool    *pgxpool.Pool
	store   *sagas.Store
	objects *storage.Client
	log     *syncBuffer
	token   string // of tenant acme, subject alice

	handler     http.Handler
	stopChanges func() // as when the process is about to stop
}

func testConfig() Config {
	return Config{
		Listen: "127.0.0.1:0", MediaURL: mediaURL,
		Auth:         auth.Config{JWTSecret: secret, JWTAlgorithms: []string{"HS256"}, JWTTenantClaim: "tenant", CapabilityLifetime: time.Hour},
		AllowedTypes: []string{"image/jpeg", "image/png", "image/webp", "video/mp4"},
		MaxSize:      storage.MaxObject, MultipartThreshold: 100 << 20,
		PresignLifetime: 15 * time.Minute, ArrivalGrace: time.Hour, PartLifetime: time.Hour, MultipartLifetime: 24 * time.Hour,
		Heartbeat: time.Minute, StreamTimeout: 10 * time.Second,
		StorageTimeout: 10 * time.Second, IdempotencyLifetime: time.Hour, IdempotencyLease: 30 * time.Second, LimitsCache: time.Minute,
	}
}

func newTestBundle(t testing.TB, change ...func(*Config, *Deps)) *testBundle {
	t.Helper()
	pool := sagatest.Pool(t)
	b := &testBundle{
		t: t, pool: pool, store: sagas.NewStore(pool, "test-host-7"), objects: storagetest.New(t),
		log: &syncBuffer{}, token: token(t, "acme", "alice"),
	}
	b.serve(change...)
	return b
}

// serve starts the API, or another process of it.
func (b *testBundle) serve(change ...func(*Config, *Deps)) {
	b.t.Helper()
	c := testConfig()
	d := Deps{
		Store: b.store, Objects: b.objects, Confirm: b.confirm, Cancel: b.cancel, Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	d.Changes, b.stopChanges = sagatest.Changes(b.t, b.pool)
	for _, f := range change {
		f(&c, &d)
	}
	var err error
	if b.handler, err = New(b.t.Context(), c, d); err != nil {
		b.t.Fatal(err)
	}
	server := httptest.NewServer(b.handler)
	b.t.Cleanup(server.Close)
	b.url = server.URL
}

// confirm is what intake does, without the queue.
func (b *testBundle) confirm(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
	o, err := b.objects.Head(ctx, storage.Ref{Bucket: u.Bucket, Key: u.Key})
	if err != nil {
		return u, err
	}
	return b.store.Advance(ctx, sagas.Change{
		ID: u.ID, Stage: "intake", From: sagas.Initiated, To: sagas.Uploaded, StartedAt: u.ReadAt,
		Facts: sagas.Facts{ETag: o.ETag, VersionID: o.VersionID, Observed: sagas.Content{Size: o.Size}},
	})
}

// cancel is what the runner does, without the queue.
func (b *testBundle) cancel(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
	to := sagas.Aborted
	switch {
	case u.State == sagas.Aborted || u.State == sagas.Deleted:
		return u, nil
	case u.State.Terminal():
		to = sagas.Deleted
	}
	return b.store.Advance(ctx, sagas.Change{ID: u.ID, Stage: "api", From: u.State, To: to, StartedAt: u.ReadAt})
}

type response struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request; headers come as name, value, name, value.
func (b *testBundle) call(method, path, body string, headers ...string) response {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	setHeaders(req, headers)
	res := b.do(req)
	wantDocumented(b.t, method, path, res)
	return res
}

// setHeaders adds each, in place of what the test itself has set; an empty value is no header.
func setHeaders(req *http.Request, headers []string) {
	for i := 0; i < len(headers); i += 2 {
		req.Header.Del(headers[i])
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			req.Header.Add(headers[i], headers[i+1])
		}
	}
}

func (b *testBundle) do(req *http.Request) response {
	b.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end below
	data, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, data}
}

// as is the header that makes a call alice's, or whoever's token it is.
func (b *testBundle) as(token string) []string { return []string{"Authorization", "Bearer " + token} }

// begin asks for permission to upload size bytes of JPEG.
func (b *testBundle) begin(body string) v1.Begun {
	b.t.Helper()
	res := b.call("POST", "/v1/uploads", body, b.as(b.token)...)
	if res.status != http.StatusCreated {
		b.t.Fatalf("POST /v1/uploads: %d %s", res.status, res.body)
	}
	return decode[v1.Begun](b.t, res.body)
}

// put sends data as the permission says; change may alter the request.
func (b *testBundle) put(p v1.Permission, data []byte, change ...func(*http.Request)) response {
	b.t.Helper()
	req, err := http.NewRequest(p.Method, p.URL, bytes.NewReader(data))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	for _, f := range change {
		f(req)
	}
	return b.do(req)
}

func (b *testBundle) count() (n int) {
	b.t.Helper()
	if err := b.pool.QueryRow(context.Background(), "SELECT count(*) FROM uploads").Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// advance moves an upload as a stage would.
func (b *testBundle) advance(id string, from, to sagas.State, f sagas.Facts, r sagas.Reason) {
	b.t.Helper()
	_, err := b.store.Advance(context.Background(), sagas.Change{
		ID: uuid.MustParse(id), Stage: "test", From: from, To: to, StartedAt: time.Now(), Facts: f, Reason: r,
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func decode[T any](t testing.TB, data []byte) (v T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("decoding %s: %v", data, err)
	}
	return v
}

func wantProblem(t testing.TB, res response, status int, code string) v1.Problem {
	t.Helper()
	if res.status != status {
		t.Fatalf("status %d, want %d: %s", res.status, status, res.body)
	}
	if got := res.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	p := decode[v1.Problem](t, res.body)
	if p.Code != code || p.Status != status || p.Title != http.StatusText(status) || p.Detail == "" {
		t.Errorf("problem %+v, want status %d and code %q", p, status, code)
	}
	if p.RequestID == "" || p.RequestID != res.header.Get(requestIDHeader) {
		t.Errorf("request id %q in the body, %q in the header", p.RequestID, res.header.Get(requestIDHeader))
	}
	return p
}

func token(t testing.TB, tenant, subject string) string {
	t.Helper()
	return sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"tenant": tenant, "sub": subject})
}

// sign makes a token that is good for an hour unless the claims say otherwise; a nil claim is left out.
func sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"sub": "alice", "tenant": "acme", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	s, err := jwt.NewWithClaims(method, all).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func indented(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(bytes.TrimSpace(out.Bytes()), '\n')
}

// anonymous has a region and no way to sign.
func anonymous() aws.Config {
	return aws.Config{Region: "us-east-1", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no credentials")
	})}
}
