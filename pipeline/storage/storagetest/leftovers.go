package storagetest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluice-media/sluice/pipeline/storage"
)

// Keys lists, sorted and once each, the keys of which a bucket of the server at SLUICE_S3_ENDPOINT holds anything at
// all: a version, a delete marker or an unfinished multipart upload.
func Keys(t testing.TB, bucket string) []string {
	t.Helper()
	ctx := context.Background()
	admin := Admin(t, os.Getenv("SLUICE_S3_ENDPOINT"))
	var keys []string
	pages := s3.NewListObjectVersionsPaginator(admin, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatalf("listing bucket %s: %v", bucket, err)
		}
		for _, v := range page.Versions {
			keys = append(keys, aws.ToString(v.Key))
		}
		for _, m := range page.DeleteMarkers {
			keys = append(keys, aws.ToString(m.Key))
		}
	}
	keys = append(keys, Unfinished(t, bucket)...)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Unfinished lists the keys of the multipart uploads in a bucket that are neither completed nor aborted.
func Unfinished(t testing.TB, bucket string) []string {
	t.Helper()
	uploads, err := Admin(t, os.Getenv("SLUICE_S3_ENDPOINT")).ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatalf("listing the multipart uploads of bucket %s: %v", bucket, err)
	}
	var keys []string
	for _, u := range uploads.Uploads {
		keys = append(keys, aws.ToString(u.Key))
	}
	return keys
}

// Answering returns c with the endpoint of a proxy, which passes everything on but POSTs whose query has the name:
// those it answers itself, with 200 and body.
func Answering(t testing.TB, c storage.Config, name, body string) storage.Config {
	t.Helper()
	server, err := url.Parse(c.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(server)
		r.Out.Host = r.In.Host // it is signed
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !r.URL.Query().Has(name) {
			through.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		if _, err := io.WriteString(w, body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(proxy.Close)
	c.Endpoint = proxy.URL
	return c
}
