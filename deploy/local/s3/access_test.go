package s3

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestCDNAccountOnlyReadsMedia(t *testing.T) {
	b := newTestBundle(t)
	b.put(t, incoming, "uploads/a.txt", "unscanned")
	first := b.put(t, media, "uploads/a.txt", "published")
	b.put(t, media, "uploads/a.txt", "published anew")

	out, err := b.cdn.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(media), Key: aws.String("uploads/a.txt")})
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, out.Body); got != "published anew" {
		t.Errorf("the CDN reads %q", got)
	}
	_, err = b.cdn.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(media), Key: aws.String("uploads/a.txt")})
	if err != nil {
		t.Errorf("HEAD by the CDN: %v", err)
	}

	ctx, key := t.Context(), aws.String("uploads/a.txt")
	denied := map[string]func() error{
		"read incoming": func() error {
			_, err := b.cdn.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String(incoming), Key: key})
			return err
		},
		"list media": func() error {
			_, err := b.cdn.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: aws.String(media)})
			return err
		},
		"list incoming": func() error {
			_, err := b.cdn.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: aws.String(incoming)})
			return err
		},
		"read an old version": func() error {
			_, err := b.cdn.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String(media), Key: key, VersionId: first.VersionId})
			return err
		},
		"write media": func() error {
			_, err := b.cdn.PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String(media), Key: aws.String("x"), Body: strings.NewReader("x")})
			return err
		},
		"copy into media": func() error {
			_, err := b.cdn.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: aws.String(media), Key: aws.String("x"), CopySource: aws.String(incoming + "/uploads/a.txt")})
			return err
		},
		"delete from media": func() error {
			_, err := b.cdn.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: aws.String(media), Key: key})
			return err
		},
		"change the policy": func() error {
			_, err := b.cdn.DeleteBucketPolicy(ctx, &awss3.DeleteBucketPolicyInput{Bucket: aws.String(media)})
			return err
		},
		"create a bucket": func() error {
			_, err := b.cdn.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String("another")})
			return err
		},
	}
	for name, attempt := range denied {
		t.Run(name, func(t *testing.T) {
			wantCode(t, attempt(), "AccessDenied")
		})
	}
	for _, bucket := range []string{incoming, media} {
		wantStatus(t, send(t, http.MethodGet, b.server.Endpoint()+"/"+bucket+"/uploads/a.txt", nil, nil), http.StatusForbidden)
	}
}

func TestProvisionMayBeRepeatedWithAnotherLayout(t *testing.T) {
	b := newTestBundle(t)
	b.put(t, media, "a", "published")
	layout := Layout{IncomingBucket: incoming, MediaBucket: media, CORSOrigins: []string{"https://app.example"}}
	for range 2 {
		if err := Provision(t.Context(), b.root, layout); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.get(t, media, "a", nil); got != "published" {
		t.Errorf("object is %q after provisioning again", got)
	}
	_, err := b.cdn.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(media), Key: aws.String("a")})
	wantCode(t, err, "AccessDenied") // the layout names no CDN any more

	object := b.server.Endpoint() + "/" + incoming + "/uploads/a"
	wantStatus(t, send(t, http.MethodOptions, object, preflightHeader("https://app.example"), nil), http.StatusOK)
	wantStatus(t, send(t, http.MethodOptions, object, preflightHeader("https://evil.example"), nil), http.StatusForbidden)
}

func TestBrowsersMayUpload(t *testing.T) {
	b := newTestBundle(t)
	object := b.server.Endpoint() + "/" + incoming + "/uploads/a.jpg"
	preflight := send(t, http.MethodOptions, object, preflightHeader("https://app.example"), nil)
	wantStatus(t, preflight, http.StatusOK)
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Methods": "PUT, POST, GET, HEAD",
		"Access-Control-Allow-Headers": "content-type, if-none-match, x-amz-checksum-sha256",
		"Access-Control-Max-Age":       "3000",
	} {
		if got := preflight.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}

	content := []byte("content")
	signed := presignPut(t, b, "uploads/a.jpg", content)
	header := signed.SignedHeader.Clone()
	header.Set("Origin", "https://app.example")
	response := send(t, http.MethodPut, signed.URL, header, content)
	wantStatus(t, response, http.StatusOK)
	if got := response.header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("Access-Control-Allow-Origin is %q, want *", got)
	}
	for _, name := range []string{"ETag", "x-amz-version-id", "x-amz-checksum-sha256"} {
		if exposed := response.header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, name) {
			t.Errorf("a page may not read %s, only %s", name, exposed)
		}
	}

	other := send(t, http.MethodOptions, b.server.Endpoint()+"/"+media+"/uploads/a.jpg", preflightHeader("https://app.example"), nil)
	if got := other.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("pages may write to the media bucket: %q", got)
	}
}

func preflightHeader(origin string) http.Header {
	return http.Header{
		"Origin":                         {origin},
		"Access-Control-Request-Method":  {http.MethodPut},
		"Access-Control-Request-Headers": {"content-type,if-none-match,x-amz-checksum-sha256"},
	}
}
