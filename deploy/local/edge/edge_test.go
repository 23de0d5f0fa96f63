package edge_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluice-media/sluice/deploy/local/edge"
	"github.com/sluice-media/sluice/deploy/local/localtest"
	"github.com/sluice-media/sluice/deploy/local/s3"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

type testBundle struct {
	config  edge.Config
	service *supervise.Service
	client  *awss3.Client
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	server, err := s3.Start(t.Context(), s3.Config{
		Dir: t.TempDir(), Addr: "127.0.0.1:0", Region: "us-east-1",
		RootAccessKey: "root", RootSecretKey: "root-secret",
		Accounts: []s3.Account{{AccessKey: "cdn", SecretKey: "cdn-secret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	b := &testBundle{client: server.RootClient()}
	layout := s3.Layout{IncomingBucket: "incoming", MediaBucket: "media", CDNAccessKey: "cdn"}
	if err := s3.Provision(t.Context(), b.client, layout); err != nil {
		t.Fatal(err)
	}

	b.config = edge.Config{
		Dir: localtest.Folder(t), Port: localtest.Port(t), Origin: server.Endpoint(), Region: "us-east-1", Bucket: "media",
		AccessKey: "cdn", SecretKey: "cdn-secret",
	}
	supervisor := &supervise.Supervisor{Logs: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b.service, err = edge.Start(ctx, supervisor, b.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.service.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *testBundle) put(t *testing.T, bucket, key string, content []byte) {
	t.Helper()
	_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(content), ContentType: aws.String("image/jpeg"),
		CacheControl: aws.String("public, max-age=31536000, immutable"), Metadata: map[string]string{"owner": "somebody"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

type answer struct {
	*http.Response
	body []byte
}

// do sends path to the edge exactly as it is written.
func (b *testBundle) do(t *testing.T, method, path string, header http.Header) answer {
	t.Helper()
	base, err := url.Parse(b.config.URL())
	if err != nil {
		t.Fatal(err)
	}
	request := (&http.Request{
		Method: method, Header: header, Host: base.Host,
		URL: &url.URL{Scheme: base.Scheme, Host: base.Host, Opaque: "//" + base.Host + path},
	}).WithContext(t.Context())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, body}
}

func (a answer) want(t *testing.T, status int, cache string) {
	t.Helper()
	if got := a.Header.Get("X-Cache"); a.StatusCode != status || got != cache {
		t.Fatalf("status %d, X-Cache %q, body %.80q; want %d, %q", a.StatusCode, got, a.body, status, cache)
	}
}

func TestObjectIsMissedThenHit(t *testing.T) {
	b := setup(t)
	content := randomBytes(t, 3<<20)
	b.put(t, "media", "uploads/photo.jpg", content)

	for _, cache := range []string{"Miss", "Hit", "Hit"} {
		got := b.do(t, http.MethodGet, "/uploads/photo.jpg", nil)
		got.want(t, http.StatusOK, cache)
		if !bytes.Equal(got.body, content) {
			t.Fatal("the content differs")
		}
		for name, want := range map[string]string{
			"Content-Type":                "image/jpeg",
			"Cache-Control":               "public, max-age=31536000, immutable",
			"X-Content-Type-Options":      "nosniff",
			"Content-Security-Policy":     "default-src 'none'; sandbox",
			"Access-Control-Allow-Origin": "*",
		} {
			if values := got.Header.Values(name); len(values) != 1 || values[0] != want {
				t.Errorf("%s: %s = %q, want %q once", cache, name, values, want)
			}
		}
		if got.Header.Get("ETag") == "" {
			t.Errorf("%s: no ETag", cache)
		}
		for name := range got.Header {
			if strings.HasPrefix(strings.ToLower(name), "x-amz") {
				t.Errorf("%s: the origin's %s is shown", cache, name)
			}
		}
	}

	t.Run("not modified", func(t *testing.T) {
		etag := b.do(t, http.MethodHead, "/uploads/photo.jpg", nil).Header.Get("ETag")
		b.do(t, http.MethodGet, "/uploads/photo.jpg", http.Header{"If-None-Match": {etag}}).want(t, http.StatusNotModified, "Hit")
	})
	t.Run("query is no part of the key", func(t *testing.T) {
		for _, query := range []string{"?v=2", "?versionId=nonsense", "?acl", "?tagging", "?X-Amz-Signature=0"} {
			got := b.do(t, http.MethodGet, "/uploads/photo.jpg"+query, nil)
			got.want(t, http.StatusOK, "Hit")
			if !bytes.Equal(got.body, content) {
				t.Fatalf("%s: the content differs", query)
			}
		}
	})
	t.Run("query never reaches the origin", func(t *testing.T) {
		b.put(t, "media", "uploads/fresh.jpg", content)
		got := b.do(t, http.MethodGet, "/uploads/fresh.jpg?acl&versionId=nonsense", nil)
		got.want(t, http.StatusOK, "Miss")
	})
}

func TestRanges(t *testing.T) {
	b := setup(t)
	content := randomBytes(t, 100_000)
	b.put(t, "media", "uploads/video.mp4", content)

	get := func(spec, cache string, status int) answer {
		got := b.do(t, http.MethodGet, "/uploads/video.mp4", http.Header{"Range": {spec}})
		got.want(t, status, cache)
		return got
	}
	for _, cache := range []string{"Miss", "Hit"} {
		got := get("bytes=1000-1999", cache, http.StatusPartialContent)
		if !bytes.Equal(got.body, content[1000:2000]) || got.Header.Get("Content-Range") != "bytes 1000-1999/100000" {
			t.Fatalf("%s: %d bytes, Content-Range %q", cache, len(got.body), got.Header.Get("Content-Range"))
		}
	}
	if got := get("bytes=-10", "Hit", http.StatusPartialContent); !bytes.Equal(got.body, content[len(content)-10:]) {
		t.Fatal("a range from the end differs")
	}
	get("bytes=200000-", "Hit", http.StatusRequestedRangeNotSatisfiable)

	// Neither range poisoned the cache.
	if got := b.do(t, http.MethodGet, "/uploads/video.mp4", nil); !bytes.Equal(got.body, content) {
		t.Fatal("the whole object differs")
	}
}

func TestHead(t *testing.T) {
	b := setup(t)
	b.put(t, "media", "uploads/photo.jpg", []byte("photograph"))
	for _, cache := range []string{"Miss", "Hit"} {
		got := b.do(t, http.MethodHead, "/uploads/photo.jpg", nil)
		got.want(t, http.StatusOK, cache)
		if got.ContentLength != int64(len("photograph")) || len(got.body) != 0 {
			t.Fatalf("%s: length %d, body %q", cache, got.ContentLength, got.body)
		}
	}
	if got := b.do(t, http.MethodGet, "/uploads/photo.jpg", nil); string(got.body) != "photograph" {
		t.Fatalf("after HEAD, GET has %q", got.body)
	}
}

func TestOnlyGetAndHead(t *testing.T) {
	b := setup(t)
	b.put(t, "media", "uploads/photo.jpg", []byte("photograph"))
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "TRACE"} {
		for _, path := range []string{"/uploads/photo.jpg", "/", "/uploads/none"} {
			got := b.do(t, method, path, nil)
			if got.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: status %d, want 405", method, path, got.StatusCode)
			}
		}
	}
	if got := b.do(t, "POST", "/uploads/photo.jpg", nil).Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow = %q", got)
	}
	b.do(t, http.MethodGet, "/uploads/photo.jpg", nil).want(t, http.StatusOK, "Miss")
}

func TestErrorsAreNotCached(t *testing.T) {
	b := setup(t)
	for range 2 {
		got := b.do(t, http.MethodGet, "/uploads/late.jpg", nil)
		got.want(t, http.StatusNotFound, "Miss")
		if string(got.body) != "not found\n" || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
			t.Fatalf("body %q of type %s", got.body, got.Header.Get("Content-Type"))
		}
	}
	b.put(t, "media", "uploads/late.jpg", []byte("photograph"))
	b.do(t, http.MethodGet, "/uploads/late.jpg", nil).want(t, http.StatusOK, "Miss")
}

func TestKeysOfEveryKindAreSigned(t *testing.T) {
	b := setup(t)
	for _, key := range []string{
		"uploads/a b.jpg", "uploads/ümläut/日本.jpg", "uploads/plus+and&equals=.jpg", "uploads/100%.jpg",
		"uploads/%41.jpg", "uploads/(it's)!*$,;:@.jpg", "uploads/~tilde-_.jpg", "uploads/quo\"te.jpg", "uploads/que?stion#.jpg",
	} {
		t.Run(key, func(t *testing.T) {
			b.put(t, "media", key, []byte("content of "+key))
			path := (&url.URL{Path: "/" + key}).EscapedPath()
			for _, cache := range []string{"Miss", "Hit"} {
				got := b.do(t, http.MethodGet, path, nil)
				got.want(t, http.StatusOK, cache)
				if string(got.body) != "content of "+key {
					t.Fatalf("body %q", got.body)
				}
			}
		})
	}
}

func TestNothingOutsideTheBucketIsReachable(t *testing.T) {
	b := setup(t)
	b.put(t, "incoming", "uploads/secret.jpg", []byte("secret"))
	b.put(t, "media", "uploads/photo.jpg", []byte("photograph"))
	for _, path := range []string{
		"/", "//", "/.", "/?list-type=2", "/?policy", "/uploads", "/uploads/",
		"/incoming/uploads/secret.jpg", "/../incoming/uploads/secret.jpg", "/%2e%2e/incoming/uploads/secret.jpg",
		"/..%2fincoming%2fuploads%2fsecret.jpg", "/%2e%2e%2fincoming/uploads/secret.jpg",
		"/%252e%252e/incoming/uploads/secret.jpg", "/uploads/../../incoming/uploads/secret.jpg",
		"/uploads/%2e%2e/%2e%2e/incoming/uploads/secret.jpg", "/uploads/..%5c..%5c../incoming/uploads/secret.jpg",
		"/..;/incoming/uploads/secret.jpg", "/%00/../incoming/uploads/secret.jpg", "/%ff%fe",
		"/uploads/photo.jpg%00", "/uploads/photo.jpg/x", "/uploads/" + strings.Repeat("x", 1100),
	} {
		t.Run(fmt.Sprintf("%.60s", path), func(t *testing.T) {
			got := b.do(t, http.MethodGet, path, nil)
			if got.StatusCode != http.StatusNotFound && got.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d, body %.200q", got.StatusCode, got.body)
			}
			if bytes.Contains(got.body, []byte("<")) && got.StatusCode == http.StatusNotFound {
				t.Errorf("the origin's words are shown: %.200q", got.body)
			}
		})
	}
}

func TestViewerHeadersStayAtTheEdge(t *testing.T) {
	b := setup(t)
	b.put(t, "media", "uploads/photo.jpg", []byte("photograph"))
	got := b.do(t, http.MethodGet, "/uploads/photo.jpg", http.Header{
		"Authorization": {"AWS4-HMAC-SHA256 nonsense"}, "X-Amz-Date": {"19700101T000000Z"}, "Cookie": {"a=b"},
		"X-Amz-Security-Token": {"nonsense"}, "Expect": {"nothing"}, "Accept-Encoding": {"gzip"}, "Origin": {"https://example.com"},
	})
	got.want(t, http.StatusOK, "Miss")
}

func TestOneMissForManyViewers(t *testing.T) {
	b := setup(t)
	b.put(t, "media", "uploads/popular.jpg", randomBytes(t, 2<<20))
	const viewers = 12
	caches := make([]string, viewers)
	var waiting sync.WaitGroup
	for i := range viewers {
		waiting.Go(func() { caches[i] = b.do(t, http.MethodGet, "/uploads/popular.jpg", nil).Header.Get("X-Cache") })
	}
	waiting.Wait()
	if misses := strings.Count(strings.Join(caches, " "), "Miss"); misses != 1 {
		t.Fatalf("%d misses in %v, want 1", misses, caches)
	}
}

func TestCacheSurvivesARestart(t *testing.T) {
	b := setup(t)
	b.put(t, "media", "uploads/photo.jpg", []byte("photograph"))
	b.do(t, http.MethodGet, "/uploads/photo.jpg", nil).want(t, http.StatusOK, "Miss")

	killed := b.service.PID()
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for b.service.PID() == 0 || b.service.PID() == killed {
		select {
		case <-ctx.Done():
			t.Fatal("nginx did not come back")
		case <-poll.C:
		}
	}
	if err := b.service.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	b.do(t, http.MethodGet, "/uploads/photo.jpg", nil).want(t, http.StatusOK, "Hit")
}

func TestKeyFileIsPrivate(t *testing.T) {
	b := setup(t)
	err := filepath.WalkDir(b.config.Dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if bytes.Contains(content, []byte("cdn-secret")) && info.Mode().Perm() != 0o600 {
			t.Errorf("%s holds the secret with mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func randomBytes(t *testing.T, size int) []byte {
	t.Helper()
	content := make([]byte, size)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	return content
}
