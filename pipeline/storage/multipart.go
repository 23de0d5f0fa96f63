package storage

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// ErrPartsRefused reports parts that S3 does not join: one was replaced since it was listed, or is smaller than MinPart
// without being the last.
var ErrPartsRefused = errors.New("the parts cannot be joined")

// partsRefused are S3's names for that.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
var partsRefused = []string{"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}

// Part is one part of a multipart upload, as S3 has it.
type Part struct {
	Number int    // from 1
	Size   int64  // bytes
	ETag   string // with or without quotes
	SHA256 []byte // nil unless the upload was created with checksums
}

// CreateMultipart begins a multipart upload into the incoming bucket. With checksums each part must be sent with its
// SHA-256, and S3 refuses one that is sent without; without them S3 may refuse a part that has one.
func (c *Client) CreateMultipart(ctx context.Context, key string, p Properties, checksums bool) (uploadID string, err error) {
	return c.createMultipart(ctx, Ref{Bucket: c.Incoming, Key: key}, p, checksums)
}

func (c *Client) createMultipart(ctx context.Context, r Ref, p Properties, checksums bool) (string, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket: &r.Bucket, Key: &r.Key, ContentType: optional(p.Type), CacheControl: optional(p.CacheControl),
	}
	if checksums && c.profile.sha256 {
		in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithmSha256, types.ChecksumTypeComposite
	}
	out, err := c.s3.CreateMultipartUpload(ctx, in)
	if err != nil {
		return "", failed("beginning a multipart upload of", r, err)
	}
	return aws.ToString(out.UploadId), nil
}

// ListParts returns the parts that S3 has of a multipart upload, in the order of their numbers. The error is
// ErrNotFound when there is no such upload: it was completed or aborted.
func (c *Client) ListParts(ctx context.Context, key, uploadID string) ([]Part, error) {
	r := Ref{Bucket: c.Incoming, Key: key}
	pages := s3.NewListPartsPaginator(c.s3, &s3.ListPartsInput{Bucket: &r.Bucket, Key: &r.Key, UploadId: &uploadID})
	var parts []Part
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, failed("listing the parts of", r, err)
		}
		for _, p := range page.Parts {
			parts = append(parts, Part{
				Number: int(aws.ToInt32(p.PartNumber)), Size: aws.ToInt64(p.Size), ETag: unquoted(p.ETag), SHA256: digest(p.ChecksumSHA256),
			})
		}
	}
	return parts, nil
}

// CompleteMultipart makes the object of the parts, which are in the order of their numbers, and returns it. The error
// is ErrNotFound when there is no such upload, as after another completion; whether the object is there only Head can
// tell then, and after any other error, too.
func (c *Client) CompleteMultipart(ctx context.Context, key, uploadID string, parts []Part) (Ref, error) {
	return c.completeMultipart(ctx, Ref{Bucket: c.Incoming, Key: key}, uploadID, parts)
}

func (c *Client) completeMultipart(ctx context.Context, r Ref, uploadID string, parts []Part) (Ref, error) {
	completed := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		completed[i] = types.CompletedPart{PartNumber: aws.Int32(int32(p.Number)), ETag: quoted(p.ETag), ChecksumSHA256: encoded(p.SHA256)}
	}
	out, err := c.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &r.Bucket, Key: &r.Key, UploadId: &uploadID, MultipartUpload: &types.CompletedMultipartUpload{Parts: completed},
	}, c.patient)
	if err != nil {
		if slices.Contains(partsRefused, errorCode(err)) {
			err = errors.Join(ErrPartsRefused, err)
		}
		return Ref{}, failed("completing the multipart upload of", r, err)
	}
	r.ETag, r.VersionID = unquoted(out.ETag), version(out.VersionId)
	return r, nil
}

// AbortMultipart removes a multipart upload and its parts. One that is gone already is fine. A part that is being sent
// meanwhile may survive, says S3: abort again later, or leave it to the bucket's lifecycle.
func (c *Client) AbortMultipart(ctx context.Context, key, uploadID string) error {
	return c.abortMultipart(ctx, Ref{Bucket: c.Incoming, Key: key}, uploadID)
}

func (c *Client) abortMultipart(ctx context.Context, r Ref, uploadID string) error {
	_, err := c.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &r.Bucket, Key: &r.Key, UploadId: &uploadID})
	if err == nil {
		return nil
	}
	if err = failed("aborting the multipart upload of", r, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
