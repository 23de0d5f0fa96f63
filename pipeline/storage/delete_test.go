package storage_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
)

func TestRemoveObjectLeavesNoVersionOfIt(t *testing.T) {
	c := storagetest.New(t)
	admin := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT"))
	const key = "uploads/a.jpg"
	put(t, c, key, "first")
	put(t, c, key, "second")
	deleteMarker(t, admin, c.Incoming, key)
	put(t, c, key, "third")
	put(t, c, key+".other", "its name begins alike")
	put(t, c, "uploads/b.jpg", "another")

	for range 2 {
		if err := c.RemoveObject(t.Context(), c.Incoming, key); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{key + ".other", "uploads/b.jpg"}
	if got := storagetest.Keys(t, c.Incoming); !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
}

func TestRemoveFolder(t *testing.T) {
	c := storagetest.New(t)
	for _, key := range []string{"thumbnails/a/200.jpg", "thumbnails/a/200.jpg", "thumbnails/a/deep/800.jpg", "thumbnails/ab/200.jpg"} {
		put(t, c, key, "rendition")
	}
	for range 2 {
		if err := c.RemoveFolder(t.Context(), c.Incoming, "thumbnails/a/"); err != nil {
			t.Fatal(err)
		}
	}
	if got := storagetest.Keys(t, c.Incoming); !slices.Equal(got, []string{"thumbnails/ab/200.jpg"}) {
		t.Errorf("left are %q", got)
	}
}

func TestRemoveRefusesToEmptyABucket(t *testing.T) {
	c := storagetest.New(t)
	put(t, c, "thumbnails/a", "rendition")
	for _, folder := range []string{"", "/", "thumbnails", "thumbnails/a"} {
		if err := c.RemoveFolder(t.Context(), c.Incoming, folder); err == nil {
			t.Errorf("%q was taken for a folder", folder)
		}
	}
	if err := c.RemoveObject(t.Context(), c.Incoming, ""); err == nil {
		t.Error("no key was taken for one")
	}
	if got := storagetest.Keys(t, c.Incoming); len(got) != 1 {
		t.Errorf("left are %q", got)
	}
}

// More versions than a listing shows and a request deletes at once.
func TestRemoveFolderInBatches(t *testing.T) {
	c := storagetest.New(t)
	for i := range 1010 {
		put(t, c, fmt.Sprintf("thumbnails/a/%d", i), "x")
	}
	if err := c.RemoveFolder(t.Context(), c.Incoming, "thumbnails/a/"); err != nil {
		t.Fatal(err)
	}
	if got := storagetest.Keys(t, c.Incoming); len(got) != 0 {
		t.Errorf("%d are left", len(got))
	}
}

// S3 answers 200 to a DeleteObjects in which nothing was deleted.
func TestRemoveReportsWhatStays(t *testing.T) {
	config := storagetest.Config(t)
	proxied := storage.New(storagetest.AWS(t), storagetest.Answering(t, config, "delete", `<DeleteResult>
		<Error><Key>uploads/a</Key><VersionId>1</VersionId><Code>AccessDenied</Code><Message>not yours</Message></Error>
		<Error><Key>uploads/a</Key><VersionId>2</VersionId><Code>NoSuchVersion</Code></Error></DeleteResult>`))
	put(t, storage.New(storagetest.AWS(t), config), "uploads/a", "x")
	err := proxied.RemoveObject(t.Context(), config.IncomingBucket, "uploads/a")
	if err == nil || !strings.Contains(err.Error(), "AccessDenied") || strings.Contains(err.Error(), "NoSuchVersion") {
		t.Errorf("got %v", err)
	}
}

func TestRemoveObjectBesideOthersThatDoTheSame(t *testing.T) {
	c := storagetest.New(t)
	for range 8 {
		put(t, c, "uploads/a", "x")
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := c.RemoveObject(t.Context(), c.Incoming, "uploads/a"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := storagetest.Keys(t, c.Incoming); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
}

func TestRemoveVersionSparesTheOthers(t *testing.T) {
	c := storagetest.New(t)
	first := put(t, c, "uploads/a", "first")
	second := put(t, c, "uploads/a", "second")
	if err := c.RemoveVersion(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, c, second); got != "second" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := c.Head(t.Context(), first); !storage.IsGone(err) {
		t.Errorf("the first is still there: %v", err)
	}
}

func TestAbortMultiparts(t *testing.T) {
	c := storagetest.New(t)
	admin := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT"))
	for _, key := range []string{"uploads/a", "uploads/a", "uploads/ab"} {
		begun, err := admin.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &c.Incoming, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admin.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: &c.Incoming, Key: &key, UploadId: begun.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part"),
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := c.AbortMultiparts(t.Context(), c.Incoming, "uploads/a"); err != nil {
			t.Fatal(err)
		}
	}
	left, err := admin.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &c.Incoming})
	if err != nil {
		t.Fatal(err)
	}
	if len(left.Uploads) != 1 || *left.Uploads[0].Key != "uploads/ab" {
		t.Errorf("left are %+v", left.Uploads)
	}
	if err := c.AbortMultiparts(t.Context(), c.Incoming, "uploads/ab"); err != nil {
		t.Error(err)
	}
}

func deleteMarker(t *testing.T, admin *s3.Client, bucket, key string) {
	t.Helper()
	if _, err := admin.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}
