package storage_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
)

// large is what is copied in three parts, the last of them small, by a client whose LargeCopy is MinPart.
func large(text string) string {
	return strings.Repeat(text, 2*int(storage.MinPart)/len(text)) + "the end"
}

func copyLarge(t *testing.T, c *storage.Client, from storage.Ref) (storage.Ref, error) {
	t.Helper()
	c.LargeCopy = storage.MinPart
	return c.Copy(t.Context(), from, 2*storage.MinPart+7, c.Media, from.Key, storage.Properties{Type: "video/mp4", CacheControl: "max-age=5"})
}

func TestLargeCopy(t *testing.T) {
	c := storagetest.New(t)
	first, second := large("first"), large("again")
	from := put(t, c, "uploads/a b+ü.mp4", first)
	put(t, c, from.Key, second)
	for range 2 { // every side effect can happen twice
		copied, err := copyLarge(t, c, from)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := get(t, c, copied); got != first || err != nil {
			t.Errorf("the copy has %d bytes, %v; want the %d of the pinned version", len(got), err, len(first))
		}
		if o, err := c.Head(t.Context(), copied); err != nil || o.Type != "video/mp4" || copied.VersionID == "" || !strings.HasSuffix(o.ETag, "-3") {
			t.Errorf("the copy is %+v, %v", o, err)
		}
	}
	if left := uploads(t, c.Media); left != 0 {
		t.Errorf("%d multipart uploads are left", left)
	}
}

func TestLargeCopiesOfTheSameAtOnce(t *testing.T) {
	c := storagetest.New(t)
	body := large("bytes")
	from := put(t, c, "uploads/a.mp4", body)
	c.LargeCopy = storage.MinPart
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := c.Copy(t.Context(), from, int64(len(body)), c.Media, from.Key, storage.Properties{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := get(t, c, storage.Ref{Bucket: c.Media, Key: from.Key}); got != body || err != nil {
		t.Errorf("the copy has %d bytes, %v", len(got), err)
	}
}

func TestALargeCopyOfWhatHasChanged(t *testing.T) {
	c := storagetest.New(t)
	first, second := put(t, c, "uploads/a", large("first")), put(t, c, "uploads/a", large("again"))
	for name, tc := range map[string]struct {
		ref  storage.Ref
		want error
	}{
		"only the first ETag":     {storage.Ref{Bucket: first.Bucket, Key: first.Key, ETag: first.ETag}, storage.ErrChanged},
		"version and ETag differ": {storage.Ref{Bucket: first.Bucket, Key: first.Key, VersionID: second.VersionID, ETag: first.ETag}, storage.ErrChanged},
		"no such key":             {storage.Ref{Bucket: first.Bucket, Key: "uploads/none"}, storage.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := copyLarge(t, c, tc.ref); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			nothingPublished(t, c)
		})
	}
}

// Whatever happens to the object after the copy has begun: each part is conditional, and what was begun is taken back.
func TestALargeCopyThatIsOvertaken(t *testing.T) {
	for name, tc := range map[string]struct {
		overtake func(t *testing.T, c *storage.Client, from storage.Ref)
		want     error
	}{
		"removed": {func(t *testing.T, c *storage.Client, from storage.Ref) {
			t.Helper()
			if err := c.RemoveObject(t.Context(), from.Bucket, from.Key); err != nil {
				t.Error(err)
			}
		}, storage.ErrNotFound},
		"overwritten": {func(t *testing.T, c *storage.Client, from storage.Ref) {
			t.Helper()
			if _, err := c.Put(t.Context(), from.Bucket, from.Key, strings.NewReader(large("again")), storage.Properties{}); err != nil {
				t.Error(err)
			}
		}, storage.ErrChanged},
	} {
		t.Run(name, func(t *testing.T) {
			conf := storagetest.Config(t)
			_, err := storagetest.Admin(t, conf.Endpoint).PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
				Bucket: &conf.IncomingBucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended},
			})
			if err != nil {
				t.Fatal(err)
			}
			direct := storage.New(storagetest.AWS(t), conf)
			from, err := direct.Put(t.Context(), direct.Incoming, "uploads/a", strings.NewReader(large("first")), storage.Properties{})
			if err != nil || from.VersionID != "" {
				t.Fatalf("%+v, %v", from, err)
			}
			var once sync.Once
			conf.Endpoint = proxy(t, func(r *http.Request) {
				if r.URL.Query().Get("partNumber") != "" {
					once.Do(func() { tc.overtake(t, direct, from) })
				}
			})
			if _, err := copyLarge(t, storage.New(storagetest.AWS(t), conf), from); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			nothingPublished(t, direct)
		})
	}
}

// proxy passes requests to the S3 server, of each of which it is told first.
func proxy(t *testing.T, before func(*http.Request)) string {
	t.Helper()
	target, err := url.Parse(os.Getenv("SLUICE_S3_ENDPOINT"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			before(r.In)
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }, // without logging
	})
	t.Cleanup(server.Close)
	return server.URL
}

func nothingPublished(t *testing.T, c *storage.Client) {
	t.Helper()
	if key, err := c.FirstKey(t.Context(), c.Media); err != nil || key != "" {
		t.Errorf("%q was written, %v", key, err)
	}
	if left := uploads(t, c.Media); left != 0 {
		t.Errorf("%d multipart uploads are left", left)
	}
}

func uploads(t *testing.T, bucket string) int {
	t.Helper()
	out, err := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT")).ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

// What each provider is asked for is seen by a server that takes every request for a copy.
func TestCopyAsksForWhatTheProviderHas(t *testing.T) {
	pinned := storage.Ref{Bucket: "incoming", Key: "uploads/a", VersionID: "v1", ETag: `"e1"`}
	for provider, want := range map[storage.Provider]struct {
		condition string
		encoding  bool // is signed
	}{
		storage.MinIO: {`"e1"`, true},
		storage.R2:    {`"e1"`, true},
		storage.GCS:   {`"e1"`, false},
		storage.B2:    {"", true},
	} {
		t.Run(string(provider), func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("X-Amz-Copy-Source-If-Match"); got != want.condition {
					t.Errorf("the condition is %s, want %s", got, want.condition)
				}
				if got := r.Header.Get("X-Amz-Copy-Source"); got != "incoming/uploads/a?versionId=v1" {
					t.Errorf("the source is %s", got)
				}
				if got := strings.Contains(r.Header.Get("Authorization"), "accept-encoding"); got != want.encoding {
					t.Errorf("signed: %s", r.Header.Get("Authorization"))
				}
				_, _ = io.WriteString(w, `<CopyObjectResult><ETag>"e2"</ETag></CopyObjectResult>`)
			}))
			defer server.Close()
			c := example(provider, server.URL)
			copied, err := c.Copy(t.Context(), pinned, 1, "media", "uploads/a", storage.Properties{})
			if err != nil || copied.ETag != "e2" {
				t.Errorf("%+v, %v", copied, err)
			}
		})
	}
}

func TestACopyThatCannotBePinned(t *testing.T) {
	c := example(storage.B2, "http://127.0.0.1:1")
	from := storage.Ref{Bucket: "incoming", Key: "uploads/a", ETag: "e1"}
	if _, err := c.Copy(t.Context(), from, 1, "media", "uploads/a", storage.Properties{}); err == nil || !strings.Contains(err.Error(), "without a version") {
		t.Errorf("%v", err)
	}
}
