// Package storagetest gives a test its own buckets on a real S3 server.
package storagetest

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline/storage"
)

// New returns a client on two new versioned buckets of the server at SLUICE_S3_ENDPOINT. They are emptied and
// removed when the test ends.
func New(t testing.TB) *storage.Client {
	t.Helper()
	c := Config(t)
	return storage.New(AWS(t), c)
}

// Config returns the configuration of two new buckets.
func Config(t testing.TB) storage.Config {
	t.Helper()
	endpoint := os.Getenv("SLUICE_S3_ENDPOINT")
	if endpoint == "" {
		t.Fatal("SLUICE_S3_ENDPOINT is not set: run the tests by `make test`, or load the environment of a running stack")
	}
	id := strings.ReplaceAll(uuid.NewString(), "-", "")[:20]
	c := storage.Config{Endpoint: endpoint, IncomingBucket: "incoming-" + id, MediaBucket: "media-" + id}
	admin := Admin(t, endpoint)
	for _, bucket := range []string{c.IncomingBucket, c.MediaBucket} {
		makeBucket(t, admin, bucket)
	}
	return c
}

// AWS returns the credentials and region of the environment.
func AWS(t testing.TB) aws.Config {
	t.Helper()
	conf, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// Admin returns a plain S3 client, for what Sluice itself never does.
func Admin(t testing.TB, endpoint string) *s3.Client {
	t.Helper()
	return s3.NewFromConfig(AWS(t), func(o *s3.Options) {
		o.BaseEndpoint = &endpoint
		o.UsePathStyle = true
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
}

func makeBucket(t testing.TB, admin *s3.Client, bucket string) {
	t.Helper()
	ctx := context.Background()
	if _, err := admin.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatalf("creating bucket %s: %v", bucket, err)
	}
	t.Cleanup(func() { removeBucket(t, admin, bucket) })
	_, err := admin.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket:                  &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatalf("turning on versions in bucket %s: %v", bucket, err)
	}
}

func removeBucket(t testing.TB, admin *s3.Client, bucket string) {
	t.Helper()
	ctx := context.Background()
	pages := s3.NewListObjectVersionsPaginator(admin, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Errorf("listing bucket %s: %v", bucket, err)
			return
		}
		remove := func(key, version *string) {
			if _, err := admin.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: key, VersionId: version}); err != nil {
				t.Errorf("emptying bucket %s: %v", bucket, err)
			}
		}
		for _, v := range page.Versions {
			remove(v.Key, v.VersionId)
		}
		for _, m := range page.DeleteMarkers {
			remove(m.Key, m.VersionId)
		}
	}
	if _, err := admin.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket}); err != nil {
		t.Errorf("removing bucket %s: %v", bucket, err)
	}
}
