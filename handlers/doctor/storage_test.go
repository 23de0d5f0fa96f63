package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
)

// open lets anyone read the objects of a bucket.
func (b *testBundle) open(t *testing.T, bucket string) {
	t.Helper()
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*"}]}`, bucket)
	if _, err := b.admin.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
}

// profile has the store taken for another provider's.
func (b *testBundle) profile(t *testing.T, p storage.Provider) {
	t.Helper()
	b.storage.Provider = p
	b.deps.Objects = storage.New(storagetest.AWS(t), b.storage)
}

// hiding is a proxy that leaves out a header of the store's answers.
func hiding(t *testing.T, endpoint, header string) string {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			r.Header.Del(header)
			return nil
		},
	})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// forgetful is a proxy for a store that takes what it has already: it removes all objects before each request.
func forgetful(t *testing.T, b *testBundle) string {
	t.Helper()
	target, err := url.Parse(b.storage.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
		ctx, bucket := r.In.Context(), &b.storage.IncomingBucket
		out, err := b.admin.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: bucket})
		if err != nil {
			t.Error(err)
			return
		}
		for _, v := range out.Versions {
			if _, err := b.admin.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: v.Key, VersionId: v.VersionId}); err != nil {
				t.Error(err)
			}
		}
	}})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestStorage(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(*testing.T, *testBundle)
		check  string
		status Status
		says   string
	}{
		"wrong credentials": {func(t *testing.T, b *testBundle) {
			t.Helper()
			conf := storagetest.AWS(t)
			conf.Credentials = strangers()
			b.deps.Objects = storage.New(conf, b.storage)
		}, "incoming bucket", Fail, "AWS_SECRET_ACCESS_KEY"},
		"no incoming bucket": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.storage.IncomingBucket = "nobodys-bucket"
			b.deps.Objects = storage.New(storagetest.AWS(t), b.storage)
		}, "incoming bucket", Fail, "SLUICE_S3_INCOMING_BUCKET"},
		"no media bucket": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.storage.MediaBucket = "nobodys-bucket"
			b.deps.Objects = storage.New(storagetest.AWS(t), b.storage)
		}, "media bucket", Fail, "SLUICE_S3_MEDIA_BUCKET"},
		"no store": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.storage.Endpoint = "http://127.0.0.1:1"
			b.deps.Objects = storage.New(storagetest.AWS(t), b.storage)
		}, "incoming bucket", Fail, "SLUICE_S3_ENDPOINT"},
		"clients elsewhere": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.storage.PublicEndpoint = "http://127.0.0.1:1"
			b.deps.Objects = storage.New(storagetest.AWS(t), b.storage)
		}, "upload", Warn, "SLUICE_S3_PUBLIC_ENDPOINT"},
		"clients elsewhere, CORS": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.storage.PublicEndpoint = "http://127.0.0.1:1"
			b.deps.Objects = storage.New(storagetest.AWS(t), b.storage)
		}, "CORS", Warn, "not checked"},
		"no versions": {func(t *testing.T, b *testBundle) {
			t.Helper()
			if _, err := b.admin.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
				Bucket: &b.storage.IncomingBucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended},
			}); err != nil {
				t.Fatal(err)
			}
		}, "versions", Fail, "enable versioning"},
		"no versions, as is known": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.profile(t, storage.R2)
		}, "versions", OK, "pinned by its ETag"},
		"used twice, as is known": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.profile(t, storage.B2)
		}, "single use", OK, "accepted twice"},
		"what is lacking is said": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.profile(t, storage.B2)
		}, "provider", OK, string(storage.LackForms)},
		"another's profile": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.profile(t, storage.MinIO)
		}, "server", Warn, "SLUICE_S3_PROVIDER to versitygw"},
		"nothing published": {func(*testing.T, *testBundle) {}, "published files", Warn, "it is empty"},
		"something published": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.publish(t)
		}, "published files", OK, "403"},
		"published to all": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.publish(t)
			b.open(t, b.storage.MediaBucket)
		}, "published files", Fail, "anyone can read"},
		"uploads readable to all": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.open(t, b.storage.IncomingBucket)
		}, "uploaded files", Fail, "anyone can read"},
		"used twice": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.storage.PublicEndpoint = forgetful(t, b)
			b.deps.Objects = storage.New(storagetest.AWS(t), b.storage)
		}, "single use", Warn, "accepted twice"},
		"no origins": {func(_ *testing.T, b *testBundle) { b.config.AllowedOrigins = nil }, "CORS", OK, "not checked"},
		"an origin is missing": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.allow(t, page)
		}, "CORS", Fail, other},
		"the ETag is hidden": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.storage.PublicEndpoint = hiding(t, b.storage.Endpoint, "Access-Control-Expose-Headers")
			b.deps.Objects = storage.New(storagetest.AWS(t), b.storage)
		}, "CORS, ETag", Fail, "ExposeHeaders"},
		"no CORS": {func(t *testing.T, b *testBundle) {
			t.Helper()
			if _, err := b.admin.DeleteBucketCors(t.Context(), &s3.DeleteBucketCorsInput{Bucket: &b.storage.IncomingBucket}); err != nil {
				t.Fatal(err)
			}
		}, "CORS", Fail, page},
		"no worker": {func(_ *testing.T, b *testBundle) { b.queues.Send("s3-events", "x") }, "event", Warn, "1 messages wait"},
		"no event":  {func(*testing.T, *testBundle) {}, "event", Fail, "tells"},
		"no database": {func(t *testing.T, b *testBundle) {
			t.Helper()
			b.deps.Store = storeOf(nowhere(t))
		}, "event", Fail, "database"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			c.spoil(t, b)
			wantFinding(t, b.doctor().examineStorage(t.Context()), c.check, c.status, c.says)
		})
	}
}

// No endpoint of theirs can be reached from a test; its name says whose it is.
func TestTheProfileOfAnotherEndpoint(t *testing.T) {
	b := newTestBundle(t)
	b.storage.Endpoint, b.storage.Provider = "https://0123456789abcdef.r2.cloudflarestorage.com", storage.AWS
	b.deps.Objects = storage.New(storagetest.AWS(t), b.storage)
	wantFinding(t, []Finding{b.doctor().checkProvider()}, "provider", Fail, "SLUICE_S3_PROVIDER to r2")
}

func TestUploadWithoutDatabase(t *testing.T) {
	b := newTestBundle(t)
	b.deps.Store = storeOf(nowhere(t))
	d := b.doctor()
	findings := d.examineStorage(t.Context())
	wantFinding(t, findings, "upload", OK, "accepted")
	wantFinding(t, findings, "versions", OK, "")
	wantFinding(t, d.forget(t.Context()), "cleaning up", Warn, "once the database answers")
	out, err := b.admin.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &b.storage.IncomingBucket})
	if err != nil || len(out.Versions)+len(out.DeleteMarkers) != 0 {
		t.Errorf("%+v is left, %v", out.Versions, err)
	}
}

func TestWiring(t *testing.T) {
	b := newTestBundle(t)
	d := b.doctor()
	a, err := d.attributes(t.Context(), "s3-events")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		told []string
		says string
	}{
		"nobody":      {nil, "tells nobody"},
		"the queue":   {[]string{"arn:aws:sns:x", a.values["QueueArn"]}, "lets s3.amazonaws.com send"},
		"EventBridge": {[]string{storage.EventBridge}, "Amazon EventBridge is told"},
	} {
		t.Run(name, func(t *testing.T) {
			wantFinding(t, []Finding{d.judgeWiring(t.Context(), c.told, a.name)}, "event", Fail, c.says)
		})
	}
}

func TestLists(t *testing.T) {
	h := http.Header{"Allow": {"GET, put", "*"}, "Other": {"ETagged"}}
	for name, want := range map[string]bool{"PUT": true, "DELETE": true} {
		if lists(h, "Allow", name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	if lists(h, "Other", "ETag") || lists(h, "None", "ETag") {
		t.Error("lists what is not there")
	}
}
