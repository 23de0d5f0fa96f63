package s3

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestPostPolicy(t *testing.T) {
	b := newTestBundle(t)
	const key = "uploads/posted by a form.jpg"
	policy, err := awss3.NewPresignClient(b.root).PresignPostObject(t.Context(),
		&awss3.PutObjectInput{Bucket: aws.String(incoming), Key: aws.String(key)},
		func(o *awss3.PresignPostOptions) {
			o.Conditions = []any{
				[]any{"content-length-range", 5, 10},
				map[string]string{"Content-Type": "image/jpeg"},
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	policy.Values["Content-Type"] = "image/jpeg"

	tests := map[string]struct {
		change func(map[string]string)
		size   int
		status int
	}{
		"too short":      {func(map[string]string) {}, 4, http.StatusBadRequest},
		"too long":       {func(map[string]string) {}, 11, http.StatusBadRequest},
		"other key":      {func(f map[string]string) { f["key"] = "uploads/other.jpg" }, 7, http.StatusForbidden},
		"other type":     {func(f map[string]string) { f["Content-Type"] = "text/html" }, 7, http.StatusForbidden},
		"unsigned field": {func(f map[string]string) { f["x-amz-meta-a"] = "b" }, 7, http.StatusForbidden},
		"bad signature":  {func(f map[string]string) { f["X-Amz-Signature"] = flipLast(f["X-Amz-Signature"]) }, 7, http.StatusForbidden},
		"other policy":   {func(f map[string]string) { f["policy"] = "e30=" }, 7, http.StatusForbidden},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fields := map[string]string{}
			for field, value := range policy.Values {
				fields[field] = value
			}
			test.change(fields)
			wantStatus(t, postForm(t, policy.URL, fields, bytes.Repeat([]byte("x"), test.size)), test.status)
		})
	}
	if events := b.events.records(t); len(events) != 0 {
		t.Fatalf("refused forms caused events: %+v", events)
	}

	response := postForm(t, policy.URL, policy.Values, []byte("1234567"))
	wantStatus(t, response, http.StatusNoContent)
	event := b.events.only(t)
	if event.EventName != createdPost || event.S3.Object.Key != "uploads/posted+by+a+form.jpg" || event.S3.Object.Size != 7 {
		t.Errorf("event %+v", event)
	}
	if version := response.header.Get("X-Amz-Version-Id"); version == "" || event.S3.Object.VersionID != version {
		t.Errorf("event has version %q, the answer %q", event.S3.Object.VersionID, version)
	}
	if got := b.get(t, incoming, key, nil); got != "1234567" {
		t.Errorf("stored %q", got)
	}
}

func postForm(t *testing.T, url string, fields map[string]string, content []byte) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := form.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	file, err := form.CreateFormFile("file", "a.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return send(t, http.MethodPost, url, http.Header{"Content-Type": {form.FormDataContentType()}}, body.Bytes())
}

func TestMultipartUpload(t *testing.T) {
	b := newTestBundle(t)
	parts := [][]byte{bytes.Repeat([]byte("a"), 5<<20), bytes.Repeat([]byte("b"), 5<<20), []byte("the end")}
	key := aws.String("uploads/long.mp4")
	upload, err := b.root.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{
		Bucket: aws.String(incoming), Key: key, ContentType: aws.String("video/mp4"),
	})
	if err != nil {
		t.Fatal(err)
	}
	presigner := awss3.NewPresignClient(b.root)
	completed := &types.CompletedMultipartUpload{}
	for i, part := range parts {
		number := aws.Int32(int32(i + 1))
		signed, err := presigner.PresignUploadPart(t.Context(), &awss3.UploadPartInput{
			Bucket: aws.String(incoming), Key: key, UploadId: upload.UploadId, PartNumber: number,
			ContentLength: aws.Int64(int64(len(part))), ChecksumSHA256: aws.String(checksum(part)),
		})
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, send(t, http.MethodPut, signed.URL, signed.SignedHeader, part[1:]), http.StatusForbidden)
		response := send(t, http.MethodPut, signed.URL, signed.SignedHeader, part)
		wantStatus(t, response, http.StatusOK)
		completed.Parts = append(completed.Parts, types.CompletedPart{
			PartNumber: number, ETag: aws.String(response.header.Get("ETag")),
		})
	}
	listed, err := b.root.ListParts(t.Context(), &awss3.ListPartsInput{Bucket: aws.String(incoming), Key: key, UploadId: upload.UploadId})
	if err != nil {
		t.Fatal(err)
	}
	if len(listed.Parts) != len(parts) {
		t.Errorf("%d parts listed, want %d", len(listed.Parts), len(parts))
	}
	if events := b.events.records(t); len(events) != 0 {
		t.Fatalf("events before completion: %+v", events)
	}

	out, err := b.root.CompleteMultipartUpload(t.Context(), &awss3.CompleteMultipartUploadInput{
		Bucket: aws.String(incoming), Key: key, UploadId: upload.UploadId, MultipartUpload: completed,
	})
	if err != nil {
		t.Fatal(err)
	}
	event := b.events.only(t)
	object := event.S3.Object
	if event.EventName != createdComplete || object.Key != *key || object.Size != 10<<20+7 {
		t.Errorf("event %+v", event)
	}
	if object.ETag != strings.Trim(*out.ETag, `"`) || !strings.HasSuffix(object.ETag, "-3") || object.VersionID != *out.VersionId {
		t.Errorf("event has ETag %s and version %s, the answer %s and %s", object.ETag, object.VersionID, *out.ETag, *out.VersionId)
	}
}

// TestConditionalCopy is how Sluice publishes: exactly the version and ETag
// that were scanned, whatever has been written over them since.
func TestConditionalCopy(t *testing.T) {
	b := newTestBundle(t)
	const key = "uploads/a b+c.txt"
	scanned := b.put(t, incoming, key, "scanned")
	b.put(t, incoming, key, "written over it")
	b.events.records(t)
	source := func(versionID string) *string {
		return aws.String(fmt.Sprintf("%s/uploads/a%%20b%%2Bc.txt?versionId=%s", incoming, versionID))
	}

	out, err := b.root.CopyObject(t.Context(), &awss3.CopyObjectInput{
		Bucket: aws.String(media), Key: aws.String(key),
		CopySource: source(*scanned.VersionId), CopySourceIfMatch: scanned.ETag,
		MetadataDirective: types.MetadataDirectiveReplace,
		ContentType:       aws.String("image/png"), CacheControl: aws.String("public, max-age=31536000, immutable"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if *out.CopySourceVersionId != *scanned.VersionId {
		t.Errorf("copied version %s, want %s", *out.CopySourceVersionId, *scanned.VersionId)
	}
	if got := b.get(t, media, key, nil); got != "scanned" {
		t.Errorf("published %q", got)
	}
	head, err := b.root.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(media), Key: aws.String(key)})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ContentType != "image/png" || *head.CacheControl != "public, max-age=31536000, immutable" {
		t.Errorf("published as %s, %s", *head.ContentType, *head.CacheControl)
	}

	_, err = b.root.CopyObject(t.Context(), &awss3.CopyObjectInput{
		Bucket: aws.String(media), Key: aws.String("other"),
		CopySource: aws.String(incoming + "/uploads/a%20b%2Bc.txt"), CopySourceIfMatch: scanned.ETag,
	})
	wantCode(t, err, "PreconditionFailed")
	_, err = b.root.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(media), Key: aws.String("other")})
	wantCode(t, err, "NotFound")
	if events := b.events.records(t); len(events) != 0 {
		t.Errorf("events of a bucket without notifications: %+v", events)
	}
}

func TestCopyEvent(t *testing.T) {
	b := newTestBundle(t)
	b.put(t, media, "source", "content")
	out, err := b.root.CopyObject(t.Context(), &awss3.CopyObjectInput{
		Bucket: aws.String(incoming), Key: aws.String("uploads/copy"), CopySource: aws.String(media + "/source"),
	})
	if err != nil {
		t.Fatal(err)
	}
	event := b.events.only(t)
	object := event.S3.Object
	if event.EventName != createdCopy || object.Key != "uploads/copy" || object.Size != 7 ||
		object.ETag != strings.Trim(*out.CopyObjectResult.ETag, `"`) || object.VersionID != *out.VersionId {
		t.Errorf("event %+v", event)
	}
}

func TestDeleteKeepsOldVersions(t *testing.T) {
	b := newTestBundle(t)
	first := b.put(t, incoming, "uploads/a", "one")
	deleted, err := b.root.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: aws.String(incoming), Key: aws.String("uploads/a")})
	if err != nil {
		t.Fatal(err)
	}
	if deleted.DeleteMarker == nil || !*deleted.DeleteMarker {
		t.Errorf("no delete marker: %+v", deleted)
	}
	_, err = b.root.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(incoming), Key: aws.String("uploads/a")})
	wantCode(t, err, "NoSuchKey")
	if got := b.get(t, incoming, "uploads/a", first.VersionId); got != "one" {
		t.Errorf("the old version is %q", got)
	}
}
