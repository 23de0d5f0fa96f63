package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

const (
	testRegion  = "eu-central-1"
	rootKey     = "ROOTROOTROOTROOTROOT"
	rootSecret  = "root-secret"
	cdnKey      = "CDNCDNCDNCDNCDNCDNCD"
	cdnSecret   = "cdn-secret"
	incoming    = "incoming"
	media       = "media"
	testTimeout = 30 * time.Second
)

// testBundle is a provisioned server with a notification on incoming/uploads/.
type testBundle struct {
	server *Server
	root   *awss3.Client
	cdn    *awss3.Client
	events *recorder
}

func testConfig(dir string, sink Sink) Config {
	return Config{
		Dir: dir, Addr: "127.0.0.1:0", Region: testRegion,
		RootAccessKey: rootKey, RootSecretKey: rootSecret,
		Accounts:      []Account{{AccessKey: cdnKey, SecretKey: cdnSecret}},
		Notifications: []Notification{{Bucket: incoming, Prefix: "uploads/", Sink: sink}},
	}
}

func newTestBundle(t *testing.T) *testBundle {
	t.Helper()
	return newTestBundleAt(t, t.TempDir())
}

func newTestBundleAt(t *testing.T, dir string) *testBundle {
	t.Helper()
	events := &recorder{arrived: make(chan struct{}, 1000)}
	server, err := Start(t.Context(), testConfig(dir, events.record))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	root := server.RootClient()
	layout := Layout{IncomingBucket: incoming, MediaBucket: media, CDNAccessKey: cdnKey}
	if err := Provision(t.Context(), root, layout); err != nil {
		t.Fatal(err)
	}
	cdn := NewClient(server.Endpoint(), testRegion, cdnKey, cdnSecret)
	return &testBundle{server: server, root: root, cdn: cdn, events: events}
}

func (b *testBundle) put(t *testing.T, bucket, key, body string) *awss3.PutObjectOutput {
	t.Helper()
	out, err := b.root.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: strings.NewReader(body), ContentType: aws.String("text/plain"),
	})
	if err != nil {
		t.Fatalf("put %s/%s: %v", bucket, key, err)
	}
	return out
}

func (b *testBundle) get(t *testing.T, bucket, key string, versionID *string) string {
	t.Helper()
	out, err := b.root.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: &key, VersionId: versionID})
	if err != nil {
		t.Fatalf("get %s/%s: %v", bucket, key, err)
	}
	return readAll(t, out.Body)
}

// recorder is a Sink that keeps what it gets.
type recorder struct {
	mu      sync.Mutex
	bodies  []string
	arrived chan struct{}
}

func (r *recorder) record(_ context.Context, body string) error {
	r.mu.Lock()
	r.bodies = append(r.bodies, body)
	r.mu.Unlock()
	r.arrived <- struct{}{}
	return nil
}

// records returns what has arrived since the last call.
func (r *recorder) records(t *testing.T) []record {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]record, 0, len(r.bodies))
	for _, body := range r.bodies {
		var m message
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			t.Fatalf("decode event %s: %v", body, err)
		}
		all = append(all, m.Records...)
	}
	r.bodies = nil
	return all
}

// only returns the one event that has arrived.
func (r *recorder) only(t *testing.T) record {
	t.Helper()
	records := r.records(t)
	if len(records) != 1 {
		t.Fatalf("got %d events, want 1: %+v", len(records), records)
	}
	return records[0]
}

// wait waits for the arrival of n events.
func (r *recorder) wait(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-r.arrived:
		case <-time.After(testTimeout):
			t.Fatal("an event did not arrive")
		}
	}
}

// answer is a response that has been read.
type answer struct {
	request *http.Request
	status  int
	header  http.Header
	body    string
}

// roundTrip makes a request and reads the response.
func roundTrip(request *http.Request) (answer, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{request: request, status: response.StatusCode, header: response.Header, body: string(body)}, err
}

func do(t *testing.T, request *http.Request) answer {
	t.Helper()
	got, err := roundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// newRequest makes a request without credentials of its own.
func newRequest(t *testing.T, method, url string, header http.Header, body []byte) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		if name == "Host" {
			continue // follows from the URL
		}
		request.Header[name] = values
	}
	return request
}

func send(t *testing.T, method, url string, header http.Header, body []byte) answer {
	t.Helper()
	return do(t, newRequest(t, method, url, header, body))
}

func readAll(t *testing.T, body io.ReadCloser) string {
	t.Helper()
	defer func() { _ = body.Close() }()
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func wantStatus(t *testing.T, got answer, status int) {
	t.Helper()
	if got.status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", got.request.Method, got.request.URL.Path, got.status, status, got.body)
	}
}

// wantCode fails unless err is the S3 error with that code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var apiErr smithy.APIError
	if !errors.As(err, &apiErr) || apiErr.ErrorCode() != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
}

func TestStartReportsEveryMistake(t *testing.T) {
	_, err := Start(t.Context(), Config{
		Accounts:      []Account{{AccessKey: "a"}},
		Notifications: []Notification{{}},
	})
	if err == nil {
		t.Fatal("an empty config was accepted")
	}
	for _, field := range []string{"Dir", "Addr", "Region", "RootAccessKey", "RootSecretKey",
		"Accounts[0].SecretKey", "Notifications[0].Bucket", "Notifications[0].Sink"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("the error does not name %s: %v", field, err)
		}
	}
}

func TestStartRefusesABusyPort(t *testing.T) {
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	before := workDir(t)

	cfg := testConfig(t.TempDir(), discard)
	cfg.Addr = listener.Addr().String()
	if _, err = Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), cfg.Addr) {
		t.Fatalf("error %v, want one that names %s", err, cfg.Addr)
	}
	if after := workDir(t); after != before {
		t.Errorf("working directory %s after a failed start, want %s", after, before)
	}
	newTestBundle(t) // a failed start leaves the process able to start another
}

func TestOneServerPerProcess(t *testing.T) {
	b := newTestBundle(t)
	if _, err := Start(t.Context(), testConfig(t.TempDir(), discard)); !errors.Is(err, ErrRunning) {
		t.Fatalf("error %v, want ErrRunning", err)
	}
	b.put(t, incoming, "uploads/a", "still serving its own folder")
}

func TestCloseRestoresTheWorkingDirectory(t *testing.T) {
	before := workDir(t)
	server, err := Start(t.Context(), testConfig(t.TempDir(), discard))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := workDir(t); after != before {
		t.Errorf("working directory %s, want %s", after, before)
	}
}

// Standard output belongs to the command that runs on the local stack.
func TestServerPrintsNothing(t *testing.T) {
	printed, err := os.Create(filepath.Join(t.TempDir(), "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = printed.Close() }()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = printed, printed
	t.Cleanup(func() { os.Stdout, os.Stderr = stdout, stderr })

	t.Run("server", func(t *testing.T) {
		b := newTestBundle(t)
		b.put(t, incoming, "uploads/a", "x")
		wantStatus(t, send(t, http.MethodGet, b.server.Endpoint()+"/"+incoming, nil, nil), http.StatusForbidden)
	})
	text, err := os.ReadFile(printed.Name())
	if err != nil {
		t.Fatal(err)
	}
	if len(text) != 0 {
		t.Errorf("the server prints %q", text)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	var first, second *awss3.PutObjectOutput
	t.Run("before", func(t *testing.T) {
		b := newTestBundleAt(t, dir)
		first = b.put(t, media, "uploads/a.txt", "one")
		second = b.put(t, media, "uploads/a.txt", "two")
	})
	t.Run("after", func(t *testing.T) {
		events := &recorder{arrived: make(chan struct{}, 1)}
		cfg := testConfig(dir, events.record)
		cfg.Accounts = nil // accounts are kept too
		server, err := Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		b := &testBundle{server: server, root: server.RootClient(), events: events}
		if got := b.get(t, media, "uploads/a.txt", first.VersionId); got != "one" {
			t.Errorf("old version %q, want one", got)
		}
		head, err := b.root.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(media), Key: aws.String("uploads/a.txt")})
		if err != nil {
			t.Fatal(err)
		}
		if *head.ETag != *second.ETag || *head.VersionId != *second.VersionId || *head.ContentType != "text/plain" {
			t.Errorf("head %s %s %s, want %s %s text/plain", *head.ETag, *head.VersionId, *head.ContentType, *second.ETag, *second.VersionId)
		}
		cdn := NewClient(server.Endpoint(), testRegion, cdnKey, cdnSecret)
		if _, err := cdn.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(media), Key: aws.String("uploads/a.txt")}); err != nil {
			t.Errorf("the CDN's account: %v", err)
		}
		preflight := send(t, http.MethodOptions, server.Endpoint()+"/"+incoming+"/uploads/b", preflightHeader("https://app.example"), nil)
		wantStatus(t, preflight, http.StatusOK)
		if err := server.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func discard(context.Context, string) error { return nil }

func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
