package storage_test

import (
	"crypto/sha256"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
)

func permission(key string) storage.PutPermission {
	return storage.PutPermission{Key: key, Type: "image/jpeg", Lifetime: time.Minute}
}

func sign(t *testing.T, c *storage.Client, p storage.PutPermission) storage.PresignedRequest {
	t.Helper()
	req, err := c.PresignPut(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// send makes the request as a client would and returns the status of the answer. Headers replace those that were
// handed out; an empty value leaves one out.
func send(t *testing.T, p storage.PresignedRequest, body string, headers map[string]string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), p.Method, p.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	for name, value := range headers {
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func TestUploadURLIsWherePresignedRequestsGo(t *testing.T) {
	conf := aws.Config{Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
	for name, tc := range map[string]struct {
		config storage.Config
		want   string
	}{
		"aws":          {storage.Config{}, "https://incoming.s3.eu-central-1.amazonaws.com"},
		"an endpoint":  {storage.Config{Endpoint: "http://127.0.0.1:9000"}, "http://127.0.0.1:9000/incoming"},
		"a public one": {storage.Config{Endpoint: "http://10.0.0.1:9000", PublicEndpoint: "https://s3.example.com"}, "https://s3.example.com/incoming"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.config.IncomingBucket, tc.config.MediaBucket = "incoming", "media"
			c := storage.New(conf, tc.config)
			got, err := c.UploadURL()
			if err != nil || got != tc.want {
				t.Errorf("got %q (%v), want %q", got, err, tc.want)
			}
			if req := sign(t, c, permission("k")); !strings.HasPrefix(req.URL, got+"/k?") {
				t.Errorf("a PUT goes to %s", req.URL)
			}
		})
	}
}

// What is not among the signed headers binds nobody, whatever the URL says.
func TestSignedHeaders(t *testing.T) {
	c := storagetest.New(t)
	sum := sha256.Sum256(nil)
	for name, tc := range map[string]struct {
		p    storage.PutPermission
		want string
	}{
		"type only":  {storage.PutPermission{}, "content-type;host"},
		"size":       {storage.PutPermission{Size: 5}, "content-length;content-type;host"},
		"everything": {storage.PutPermission{Size: 5, SHA256: sum[:], OnlyOnce: true}, "content-length;content-type;host;if-none-match;x-amz-checksum-sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.p.Key, tc.p.Type, tc.p.Lifetime = "uploads/a.jpg", "image/jpeg", 90*time.Second
			req := sign(t, c, tc.p)
			u, err := url.Parse(req.URL)
			if err != nil {
				t.Fatal(err)
			}
			if got := u.Query().Get("X-Amz-SignedHeaders"); got != tc.want {
				t.Errorf("signed %s, want %s", got, tc.want)
			}
			if got := u.Query().Get("X-Amz-Expires"); got != "90" {
				t.Errorf("expires after %s seconds, want 90", got)
			}
			var names []string
			for name := range maps.Keys(req.Headers) {
				names = append(names, strings.ToLower(name))
			}
			slices.Sort(names)
			if got := strings.Join(names, ";"); got != strings.Replace(tc.want, "host;", "", 1) && got+";host" != tc.want {
				t.Errorf("handed out %s of %s", got, tc.want)
			}
		})
	}
}

func TestS3HoldsTheClientToWhatWasSigned(t *testing.T) {
	c := storagetest.New(t)
	sum := sha256.Sum256([]byte("hello"))
	for name, tc := range map[string]struct {
		body    string
		headers map[string]string
		spoil   func(url string) string
		want    int
	}{
		"as signed":         {body: "hello", want: 200},
		"longer":            {body: "hello!", headers: map[string]string{"Content-Length": "6"}, want: 403},
		"other bytes":       {body: "jello", want: 400},
		"other type":        {body: "hello", headers: map[string]string{"Content-Type": "text/html"}, want: 403},
		"without the once":  {body: "hello", headers: map[string]string{"If-None-Match": ""}, want: 403},
		"tampered key":      {body: "hello", spoil: func(u string) string { return strings.Replace(u, "uploads/", "uploads/x", 1) }, want: 403},
		"tampered lifetime": {body: "hello", spoil: func(u string) string { return strings.Replace(u, "X-Amz-Expires=60", "X-Amz-Expires=99", 1) }, want: 403},
		"without signature": {body: "hello", spoil: func(u string) string { before, _, _ := strings.Cut(u, "?"); return before }, want: 403},
	} {
		t.Run(name, func(t *testing.T) {
			p := permission("uploads/" + strings.ReplaceAll(name, " ", "-"))
			p.Size, p.SHA256, p.OnlyOnce = 5, sum[:], true
			req := sign(t, c, p)
			if tc.spoil != nil {
				req.URL = tc.spoil(req.URL)
			}
			if got := send(t, req, tc.body, tc.headers); got != tc.want {
				t.Errorf("S3 answered %d, want %d", got, tc.want)
			}
		})
	}
}

func TestASecondPutIsRefused(t *testing.T) {
	c := storagetest.New(t)
	p := permission("uploads/once")
	p.OnlyOnce = true
	req := sign(t, c, p)
	if got := send(t, req, "first", nil); got != http.StatusOK {
		t.Fatalf("the first PUT answered %d", got)
	}
	if got := send(t, req, "second", nil); got != http.StatusPreconditionFailed {
		t.Errorf("the second PUT answered %d, want 412", got)
	}
}

func TestAnExpiredPermissionIsRefused(t *testing.T) {
	c := storagetest.New(t)
	p := permission("uploads/late")
	p.Lifetime = time.Second
	req := sign(t, c, p)
	for deadline := req.Expires.Add(3 * time.Second); ; {
		if got := send(t, req, "x", nil); got == http.StatusForbidden {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("still accepted three seconds after it expired")
		}
	}
}
