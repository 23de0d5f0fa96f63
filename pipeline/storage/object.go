package storage

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Object is what S3 knows of an object.
type Object struct {
	Ref
	Type   string // media type as stored
	Size   int64  // bytes
	SHA256 []byte // nil unless the uploader gave it and S3 checked it
}

// Head reads an object's properties.
func (c *Client) Head(ctx context.Context, r Ref) (Object, error) {
	out, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &r.Bucket, Key: &r.Key, VersionId: optional(r.VersionID), IfMatch: quoted(r.ETag),
		ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return Object{}, failed("reading the properties of", r, err)
	}
	r.ETag, r.VersionID = unquoted(out.ETag), version(out.VersionId)
	o := Object{Ref: r, Type: aws.ToString(out.ContentType), Size: aws.ToInt64(out.ContentLength), SHA256: digest(out.ChecksumSHA256)}
	return o, nil
}

// Get opens an object. The caller closes the body; reading it may fail at any point.
func (c *Client) Get(ctx context.Context, r Ref) (io.ReadCloser, error) {
	return c.get(ctx, r, nil)
}

// GetPrefix opens the first n bytes of an object, or all of it when it is shorter. An empty object has no
// prefix: ask Head first.
func (c *Client) GetPrefix(ctx context.Context, r Ref, n int64) (io.ReadCloser, error) {
	return c.get(ctx, r, aws.String(fmt.Sprintf("bytes=0-%d", n-1)))
}

func (c *Client) get(ctx context.Context, r Ref, byteRange *string) (io.ReadCloser, error) {
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &r.Bucket, Key: &r.Key, VersionId: optional(r.VersionID), IfMatch: quoted(r.ETag), Range: byteRange,
	})
	if err != nil {
		return nil, failed("reading", r, err)
	}
	return out.Body, nil
}

// Properties are stored with an object and sent with it by the CDN.
type Properties struct {
	Type         string
	CacheControl string
}

// Put writes a small object, whose body must be seekable, and returns it pinned.
func (c *Client) Put(ctx context.Context, bucket, key string, body io.ReadSeeker, p Properties) (Ref, error) {
	r := Ref{Bucket: bucket, Key: key}
	out, err := c.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: body, ContentType: optional(p.Type), CacheControl: optional(p.CacheControl),
	})
	if err != nil {
		return Ref{}, failed("writing", r, err)
	}
	r.ETag, r.VersionID = unquoted(out.ETag), version(out.VersionId)
	return r, nil
}
