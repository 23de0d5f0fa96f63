package storage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

const (
	copyPart    = 512 << 20 // bytes, of what is copied in parts; larger where 10,000 of them would not do
	copyAtOnce  = 8         // parts
	copyCleanup = 30 * time.Second
)

// Copy copies exactly the pinned object from, of size bytes, and gives the copy the properties p. Nothing is written
// when from has changed. It may be repeated, and done by several at once.
func (c *Client) Copy(ctx context.Context, from Ref, size int64, toBucket, toKey string, p Properties) (Ref, error) {
	to := Ref{Bucket: toBucket, Key: toKey}
	if !c.profile.copyIfMatch && from.VersionID == "" {
		return Ref{}, fmt.Errorf("copying %s to %s: without a version the provider cannot be held to the pinned object", from, to)
	}
	if size > c.LargeCopy {
		return c.copyParts(ctx, from, to, p)
	}
	out, err := c.s3.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: &to.Bucket, Key: &to.Key, CopySource: source(from), CopySourceIfMatch: c.sourceCondition(from),
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: optional(p.Type), CacheControl: optional(p.CacheControl),
	}, c.patient)
	if err != nil {
		return Ref{}, failed(fmt.Sprintf("copying %s to", from), to, err)
	}
	if out.CopyObjectResult != nil {
		to.ETag = unquoted(out.CopyObjectResult.ETag)
	}
	to.VersionID = version(out.VersionId)
	return to, nil
}

// copyParts copies by a multipart upload, each of whose parts is conditional on the pinned object. Copies of the same
// object at the same time are uploads of their own, of which the last to complete replaces the others by the same bytes.
func (c *Client) copyParts(ctx context.Context, from, to Ref, p Properties) (_ Ref, err error) {
	object, err := c.Head(ctx, from)
	if err != nil {
		return Ref{}, err
	}
	plan := Parts{Total: object.Size, Size: min(c.LargeCopy, max(copyPart, leastPart(object.Size)))}
	uploadID, err := c.createMultipart(ctx, to, p, false)
	if err != nil {
		return Ref{}, err
	}
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), copyCleanup)
		defer cancel()
		err = errors.Join(err, c.abortMultipart(ctx, to, uploadID))
	}()
	parts := make([]Part, plan.Count())
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(copyAtOnce)
	for i := range parts {
		group.Go(func() (err error) {
			parts[i], err = c.copyPart(groupCtx, object.Ref, to, uploadID, plan, i+1)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Ref{}, err
	}
	return c.completeMultipart(ctx, to, uploadID, parts)
}

func (c *Client) copyPart(ctx context.Context, from, to Ref, uploadID string, plan Parts, number int) (Part, error) {
	offset, size := plan.Part(number)
	out, err := c.s3.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket: &to.Bucket, Key: &to.Key, UploadId: &uploadID, PartNumber: aws.Int32(int32(number)),
		CopySource: source(from), CopySourceIfMatch: c.sourceCondition(from),
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+size-1)),
	}, c.patient)
	if err != nil {
		return Part{}, failed(fmt.Sprintf("copying part %d of %s to", number, from), to, err)
	}
	if out.CopyPartResult == nil {
		return Part{}, fmt.Errorf("copying part %d of %s to %s: the answer is empty", number, from, to)
	}
	return Part{Number: number, Size: size, ETag: unquoted(out.CopyPartResult.ETag)}, nil
}

// sourceCondition is what keeps a copy from taking other bytes than the pinned ones. Where the provider has nothing of the
// kind the version has to do, which never changes.
func (c *Client) sourceCondition(from Ref) *string {
	if !c.profile.copyIfMatch {
		return nil
	}
	return quoted(from.ETag)
}

// source names an object in x-amz-copy-source.
func source(r Ref) *string {
	s := r.Bucket + "/" + escaped(r.Key)
	if r.VersionID != "" {
		s += "?versionId=" + url.QueryEscape(r.VersionID)
	}
	return &s
}

// escaped is key as S3 wants it in x-amz-copy-source: URL-encoded, where a plus sign would mean a space.
func escaped(key string) string {
	return strings.ReplaceAll((&url.URL{Path: key}).EscapedPath(), "+", "%2B")
}
