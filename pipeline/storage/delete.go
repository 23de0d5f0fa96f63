package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// maxDeletes is the most objects that one DeleteObjects takes.
const maxDeletes = 1000

// removeTries is how often what is left of a key is removed. Two that remove the same at once get in each other's
// way, and not every store calls it success that a version is gone already.
const removeTries = 3

// RemoveVersion deletes one version of an object for good; of an object without versions, the object.
func (c *Client) RemoveVersion(ctx context.Context, r Ref) error {
	_, err := c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.Bucket, Key: &r.Key, VersionId: optional(r.VersionID)})
	if err != nil {
		return failed("removing", r, err)
	}
	return nil
}

// RemoveObject deletes every version and every delete marker of one key. What is written while it runs may stay.
func (c *Client) RemoveObject(ctx context.Context, bucket, key string) error {
	if key == "" {
		return fmt.Errorf("removing from bucket %s: no key", bucket)
	}
	return c.removeAll(ctx, bucket, key, func(found string) bool { return found == key })
}

// RemoveFolder does so for every key that begins with folder, which ends in a slash.
func (c *Client) RemoveFolder(ctx context.Context, bucket, folder string) error {
	if strings.Trim(folder, "/") == "" || !strings.HasSuffix(folder, "/") {
		return fmt.Errorf("removing from bucket %s: %q is not a folder", bucket, folder)
	}
	return c.removeAll(ctx, bucket, folder, func(string) bool { return true })
}

// removeAll has a listing decide whether anything is left of which a try could not tell.
func (c *Client) removeAll(ctx context.Context, bucket, prefix string, ours func(key string) bool) error {
	var err error
	for range removeTries {
		if err = c.removeOnce(ctx, bucket, prefix, ours); err == nil || ctx.Err() != nil || IsUnavailable(err) {
			return err
		}
	}
	return err
}

// removeOnce lists to the end before it deletes: a page's marker may not outlive the version that it names.
func (c *Client) removeOnce(ctx context.Context, bucket, prefix string, ours func(key string) bool) error {
	found, err := c.versions(ctx, bucket, prefix, ours)
	if err != nil {
		return err
	}
	var errs []error
	for batch := range slices.Chunk(found, maxDeletes) {
		errs = append(errs, c.removeBatch(ctx, bucket, batch))
	}
	return errors.Join(errs...)
}

// versions finds every version and every delete marker under prefix whose key is ours.
func (c *Client) versions(ctx context.Context, bucket, prefix string, ours func(key string) bool) ([]types.ObjectIdentifier, error) {
	var found []types.ObjectIdentifier
	add := func(key, version *string) {
		if ours(aws.ToString(key)) {
			found = append(found, types.ObjectIdentifier{Key: key, VersionId: version})
		}
	}
	pages := s3.NewListObjectVersionsPaginator(c.s3, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the versions of %s/%s: %w", bucket, prefix, err)
		}
		for _, v := range page.Versions {
			add(v.Key, v.VersionId)
		}
		for _, m := range page.DeleteMarkers {
			add(m.Key, m.VersionId)
		}
	}
	return found, nil
}

// removeBatch deletes up to maxDeletes versions. S3 answers 200 whatever becomes of each.
func (c *Client) removeBatch(ctx context.Context, bucket string, batch []types.ObjectIdentifier) error {
	out, err := c.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &bucket, Delete: &types.Delete{Objects: batch, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return fmt.Errorf("removing %d versions from bucket %s: %w", len(batch), bucket, err)
	}
	var errs []error
	for _, e := range out.Errors {
		if !isAbsent(aws.ToString(e.Code)) {
			errs = append(errs, fmt.Errorf("removing %s/%s, version %s: %s: %s",
				bucket, aws.ToString(e.Key), aws.ToString(e.VersionId), aws.ToString(e.Code), aws.ToString(e.Message)))
		}
	}
	return errors.Join(errs...)
}

// AbortMultiparts ends every multipart upload of one key and lets go of their parts. A part that is being sent
// meanwhile may stay until the bucket's lifecycle ends it (AbortIncompleteMultipartUpload).
func (c *Client) AbortMultiparts(ctx context.Context, bucket, key string) error {
	var found []string
	pages := s3.NewListMultipartUploadsPaginator(c.s3, &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("listing the multipart uploads of %s/%s: %w", bucket, key, err)
		}
		for _, u := range page.Uploads {
			if aws.ToString(u.Key) == key {
				found = append(found, aws.ToString(u.UploadId))
			}
		}
	}
	var errs []error
	for _, id := range found {
		_, err := c.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: &id})
		if err != nil && !isAbsent(errorCode(err)) {
			errs = append(errs, fmt.Errorf("aborting a multipart upload of %s/%s: %w", bucket, key, err))
		}
	}
	return errors.Join(errs...)
}

// isAbsent reports that what was to be removed is not there: somebody was first.
func isAbsent(code string) bool {
	return code == "NoSuchKey" || code == "NoSuchVersion" || code == "NoSuchUpload" || code == "NotFound"
}

// errorCode is S3's name for an error (Amazon S3 API reference, "Error responses").
func errorCode(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}
