package storage_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
)

// multipartBundle is a multipart upload under way.
type multipartBundle struct {
	*storage.Client
	key, uploadID string
	body          string
	plan          storage.Parts
}

func newMultipart(t *testing.T, checksums bool) multipartBundle {
	t.Helper()
	b := multipartBundle{Client: storagetest.New(t), key: "uploads/a b+ü.bin", body: strings.Repeat("0123456789abcdef", 12<<20/16) + "the end"}
	b.plan = storage.Parts{Total: int64(len(b.body)), Size: storage.MinPart}
	var err error
	b.uploadID, err = b.CreateMultipart(t.Context(), b.key, storage.Properties{Type: "video/mp4"}, checksums)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b multipartBundle) part(number int) string {
	offset, size := b.plan.Part(number)
	return b.body[offset : offset+size]
}

func (b multipartBundle) sign(t *testing.T, number int, sum bool) storage.PresignedRequest {
	t.Helper()
	p := storage.PartPermission{Key: b.key, UploadID: b.uploadID, Number: number, Size: int64(len(b.part(number))), Lifetime: time.Minute}
	if sum {
		s := sha256.Sum256([]byte(b.part(number)))
		p.SHA256 = s[:]
	}
	req, err := b.PresignPart(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func (b multipartBundle) upload(t *testing.T, sum bool, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if got := send(t, b.sign(t, n, sum), b.part(n), nil); got != http.StatusOK {
			t.Fatalf("part %d: S3 answered %d", n, got)
		}
	}
}

func (b multipartBundle) parts(t *testing.T) []storage.Part {
	t.Helper()
	parts, err := b.ListParts(t.Context(), b.key, b.uploadID)
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

func TestMultipartUpload(t *testing.T) {
	for name, sums := range map[string]bool{"without checksums": false, "with checksums": true} {
		t.Run(name, func(t *testing.T) {
			b := newMultipart(t, sums)
			b.upload(t, sums, 3, 1, 2, 1) // in any order, and again
			parts := b.parts(t)
			if len(parts) != b.plan.Count() {
				t.Fatalf("S3 has %+v", parts)
			}
			for i, p := range parts {
				_, size := b.plan.Part(i + 1)
				sum := sha256.Sum256([]byte(b.part(i + 1)))
				if p.Number != i+1 || p.Size != size || p.ETag == "" || bytes.Equal(p.SHA256, sum[:]) != sums {
					t.Errorf("part %d is %+v", i+1, p)
				}
			}
			parts[1].ETag = `"` + parts[1].ETag + `"` // as browsers quote it
			ref, err := b.CompleteMultipart(t.Context(), b.key, b.uploadID, parts)
			if err != nil || ref.ETag == "" || ref.VersionID == "" {
				t.Fatalf("%+v, %v", ref, err)
			}
			o, err := b.Head(t.Context(), ref)
			if err != nil || o.Type != "video/mp4" || o.Size != b.plan.Total || o.SHA256 != nil {
				t.Errorf("%+v, %v", o, err)
			}
			if got, err := get(t, b.Client, ref); got != b.body || err != nil {
				t.Errorf("%d other bytes, %v", len(got), err)
			}
			if _, err := b.ListParts(t.Context(), b.key, b.uploadID); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("afterwards: %v, want ErrNotFound", err)
			}
		})
	}
}

func TestS3HoldsAPartToWhatWasSigned(t *testing.T) {
	b := newMultipart(t, true)
	for name, tc := range map[string]struct {
		body    func(part string) string
		headers map[string]string
		spoil   func(url string) string
		want    int
	}{
		"longer":               {body: func(p string) string { return p + "!" }, want: 403},
		"shorter":              {body: func(p string) string { return p[1:] }, want: 403},
		"other bytes":          {body: strings.ToUpper, want: 400},
		"without its checksum": {headers: map[string]string{"X-Amz-Checksum-Sha256": ""}, want: 403},
		"as another part":      {spoil: func(u string) string { return strings.Replace(u, "partNumber=1", "partNumber=2", 1) }, want: 403},
		"of another upload":    {spoil: func(u string) string { return strings.Replace(u, "uploadId=", "uploadId=x", 1) }, want: 403},
		"as a whole object": {spoil: func(u string) string {
			return strings.Replace(strings.Replace(u, "partNumber=1&", "", 1), "uploadId="+b.uploadID+"&", "", 1)
		}, want: 403},
	} {
		t.Run(name, func(t *testing.T) {
			req, body := b.sign(t, 1, true), b.part(1)
			if tc.spoil != nil {
				signed := req.URL
				if req.URL = tc.spoil(req.URL); req.URL == signed {
					t.Fatal("nothing was spoilt")
				}
			}
			if tc.body != nil {
				body = tc.body(body)
			}
			if got := send(t, req, body, tc.headers); got != tc.want {
				t.Errorf("S3 answered %d, want %d", got, tc.want)
			}
			if parts := b.parts(t); len(parts) != 0 {
				t.Errorf("S3 took %+v", parts)
			}
		})
	}
}

func TestS3WantsTheChecksumsThatAnUploadWasCreatedWith(t *testing.T) {
	b := newMultipart(t, true)
	if got := send(t, b.sign(t, 1, false), b.part(1), nil); got != http.StatusBadRequest {
		t.Errorf("S3 answered %d to a part without one", got)
	}
}

func TestAbortMultipart(t *testing.T) {
	b := newMultipart(t, false)
	b.upload(t, false, 1)
	for range 2 {
		if err := b.AbortMultipart(t.Context(), b.key, b.uploadID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.ListParts(t.Context(), b.key, b.uploadID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("ListParts: %v, want ErrNotFound", err)
	}
	if _, err := b.CompleteMultipart(t.Context(), b.key, b.uploadID, []storage.Part{{Number: 1, ETag: "d41d8cd98f00b204e9800998ecf8427e"}}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("CompleteMultipart: %v, want ErrNotFound", err)
	}
	if got := send(t, b.sign(t, 2, false), b.part(2), nil); got != http.StatusNotFound {
		t.Errorf("another part: S3 answered %d", got)
	}
}

func TestAPartIsWithinTheLimits(t *testing.T) {
	c := storagetest.New(t)
	for name, p := range map[string]storage.PartPermission{
		"number 0":     {Number: 0, Size: 1},
		"number 10001": {Number: 10_001, Size: 1},
		"-1 bytes":     {Number: 1, Size: -1},
		"6 GiB":        {Number: 1, Size: 6 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			p.Key, p.UploadID, p.Lifetime = "uploads/a", "x", time.Minute
			if _, err := c.PresignPart(t.Context(), p); err == nil {
				t.Error("it was signed")
			}
		})
	}
}

func TestListPartsReadsEveryPage(t *testing.T) {
	const parts = 1005 // S3 lists a thousand at a time
	b := newMultipart(t, false)
	reqs := make([]storage.PresignedRequest, parts)
	for i := range reqs {
		var err error
		reqs[i], err = b.PresignPart(t.Context(), storage.PartPermission{Key: b.key, UploadID: b.uploadID, Number: i + 1, Size: 1, Lifetime: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
	}
	var group errgroup.Group
	group.SetLimit(16)
	for _, req := range reqs {
		group.Go(func() error {
			if got := send(t, req, "x", nil); got != http.StatusOK {
				return fmt.Errorf("S3 answered %d", got)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	got := b.parts(t)
	if len(got) != parts {
		t.Fatalf("%d parts, want %d", len(got), parts)
	}
	for i, p := range got {
		if p.Number != i+1 || p.Size != 1 {
			t.Fatalf("%+v in place %d", p, i)
		}
	}
}
