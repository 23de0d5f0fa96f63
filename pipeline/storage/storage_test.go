package storage_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
)

func TestAPinnedObjectStaysPinned(t *testing.T) {
	c := storagetest.New(t)
	first := put(t, c, "uploads/a b+ü.jpg", "first")
	second := put(t, c, "uploads/a b+ü.jpg", "second")
	for name, tc := range map[string]struct {
		ref  storage.Ref
		want string
		err  error
	}{
		"the first version":       {first, "first", nil},
		"the second version":      {second, "second", nil},
		"the current one":         {storage.Ref{Bucket: first.Bucket, Key: first.Key}, "second", nil},
		"only the first ETag":     {storage.Ref{Bucket: first.Bucket, Key: first.Key, ETag: first.ETag}, "", storage.ErrChanged},
		"version and ETag differ": {storage.Ref{Bucket: first.Bucket, Key: first.Key, VersionID: second.VersionID, ETag: first.ETag}, "", storage.ErrChanged},
		"no such key":             {storage.Ref{Bucket: first.Bucket, Key: "uploads/none"}, "", storage.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := c.Head(t.Context(), tc.ref)
			if !errors.Is(err, tc.err) {
				t.Errorf("Head: %v, want %v", err, tc.err)
			}
			if err == nil && (o.Size != int64(len(tc.want)) || o.Type != "text/plain") {
				t.Errorf("Head: %+v", o)
			}
			if got, err := get(t, c, tc.ref); got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("Get: %q, %v; want %q, %v", got, err, tc.want, tc.err)
			}
			copied, err := c.Copy(t.Context(), tc.ref, int64(len(tc.want)), c.Media, tc.ref.Key, storage.Properties{Type: "image/jpeg"})
			if !errors.Is(err, tc.err) {
				t.Errorf("Copy: %v, want %v", err, tc.err)
			}
			if err != nil {
				return
			}
			if got, err := get(t, c, copied); got != tc.want || err != nil {
				t.Errorf("the copy is %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

// A stage takes ErrNotFound for the object's end. A mistaken bucket name must not end every upload.
func TestAMissingBucketIsNotAMissingObject(t *testing.T) {
	conf := storagetest.Config(t)
	conf.IncomingBucket = "nobodys-bucket"
	c := storage.New(storagetest.AWS(t), conf)
	r := storage.Ref{Bucket: c.Incoming, Key: "uploads/a"}
	_, readErr := get(t, c, r)
	_, copyErr := c.Copy(t.Context(), r, 1, c.Media, r.Key, storage.Properties{})
	_, listErr := c.ListParts(t.Context(), r.Key, "x")
	for doing, err := range map[string]error{"reading": readErr, "copying": copyErr, "listing": listErr, "aborting": c.AbortMultipart(t.Context(), r.Key, "x")} {
		if err == nil || errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v", doing, err)
		}
	}
}

func TestGetPrefix(t *testing.T) {
	c := storagetest.New(t)
	ref := put(t, c, "uploads/a", "0123456789")
	for n, want := range map[int64]string{1: "0", 4: "0123", 10: "0123456789", 3072: "0123456789"} {
		body, err := c.GetPrefix(t.Context(), ref, n)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, body); got != want {
			t.Errorf("the first %d bytes are %q, want %q", n, got, want)
		}
	}
}

func TestHeadKnowsTheChecksumThatS3Checked(t *testing.T) {
	c := storagetest.New(t)
	body := "hello"
	sum := sha256.Sum256([]byte(body))
	p := permission("uploads/sum")
	p.Size, p.SHA256 = int64(len(body)), sum[:]
	if status := send(t, sign(t, c, p), body, nil); status != 200 {
		t.Fatalf("PUT answered %d", status)
	}
	o, err := c.Head(t.Context(), storage.Ref{Bucket: c.Incoming, Key: p.Key})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(o.SHA256, sum[:]) {
		t.Errorf("SHA-256 is %x, want %x", o.SHA256, sum)
	}
}

func TestConfigReportsEveryMistake(t *testing.T) {
	err := storage.Config{Endpoint: "localhost:9000", PublicEndpoint: "ftp://x", Provider: "dropbox", IncomingBucket: "same", MediaBucket: "same"}.Validate()
	for _, want := range []string{"s3 endpoint", "s3 public-endpoint", "s3 provider \"dropbox\" is none of aws, b2, gcs, minio, r2, versitygw", "both \"same\""} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func put(t *testing.T, c *storage.Client, key, body string) storage.Ref {
	t.Helper()
	ref, err := c.Put(t.Context(), c.Incoming, key, strings.NewReader(body), storage.Properties{Type: "text/plain"})
	if err != nil {
		t.Fatal(err)
	}
	if ref.ETag == "" || ref.VersionID == "" {
		t.Fatalf("not pinned: %+v", ref)
	}
	return ref
}

func get(t *testing.T, c *storage.Client, r storage.Ref) (string, error) {
	t.Helper()
	body, err := c.Get(t.Context(), r)
	if err != nil {
		return "", err
	}
	return readAll(t, body), nil
}

func readAll(t *testing.T, body io.ReadCloser) string {
	t.Helper()
	b, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}
