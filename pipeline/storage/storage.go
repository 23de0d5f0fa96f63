// Package storage is Sluice's only S3 client: it signs what clients may do, and reads, writes and copies objects
// for the stages.
//
// Two buckets: incoming, where clients upload and renditions wait, and media, which the CDN reads. incoming must
// be versioned, since everything after intake works on one pinned version.
//
// IAM actions, on incoming/*: s3:PutObject, s3:GetObject, s3:GetObjectVersion; on the incoming bucket:
// s3:ListBucket (without it S3 answers 403, not 404, for an object that is not there); on media/*: s3:PutObject.
// To clean up (delete.go), on both buckets: s3:ListBucketVersions, and on their objects s3:DeleteObject and
// s3:DeleteObjectVersion; on the incoming bucket s3:ListBucketMultipartUploads, on incoming/* s3:AbortMultipartUpload.
package storage

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/sluice-media/sluice/sagas"
)

var (
	// ErrNotFound reports an object, or that version of it, that does not exist.
	ErrNotFound = errors.New("no such object")

	// ErrChanged reports an object that is no longer the pinned one.
	ErrChanged = errors.New("the object is not the pinned one")
)

// Config says where the objects are.
type Config struct {
	Endpoint       string `help:"S3 endpoint URL; empty for AWS."`
	PublicEndpoint string `help:"S3 endpoint URL as clients reach it, for presigned URLs; empty when it is the same."`
	IncomingBucket string `help:"Versioned bucket that clients upload to." default:"incoming"`
	MediaBucket    string `help:"Bucket that the CDN reads." default:"media"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	for name, endpoint := range map[string]string{"endpoint": c.Endpoint, "public-endpoint": c.PublicEndpoint} {
		if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, fmt.Errorf("s3 %s: %q is not an http or https URL", name, endpoint))
		}
	}
	if c.IncomingBucket == "" {
		errs = append(errs, errors.New("s3 incoming-bucket is empty"))
	}
	if c.MediaBucket == "" {
		errs = append(errs, errors.New("s3 media-bucket is empty"))
	}
	if c.IncomingBucket != "" && c.IncomingBucket == c.MediaBucket {
		errs = append(errs, fmt.Errorf("s3 incoming-bucket and media-bucket are both %q: what is not scanned must not lie where the CDN reads", c.MediaBucket))
	}
	return errors.Join(errs...)
}

// Client does what Sluice does with S3. It is safe for concurrent use.
type Client struct {
	Incoming string // bucket
	Media    string // bucket

	s3      *s3.Client
	presign *s3.PresignClient
}

// New returns a client with the credentials and region of conf.
func New(conf aws.Config, c Config) *Client {
	conf.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 64
		t.ResponseHeaderTimeout = time.Minute
	})
	at := func(endpoint string) func(*s3.Options) {
		return func(o *s3.Options) {
			if endpoint == "" {
				return
			}
			o.BaseEndpoint = aws.String(endpoint)
			o.UsePathStyle = true
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	}
	public := c.PublicEndpoint
	if public == "" {
		public = c.Endpoint
	}
	signer := s3.NewFromConfig(conf, at(public), func(o *s3.Options) {
		// A checksum calculated while presigning would be that of an empty body.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	return &Client{
		Incoming: c.IncomingBucket,
		Media:    c.MediaBucket,
		s3:       s3.NewFromConfig(conf, at(c.Endpoint)),
		presign:  s3.NewPresignClient(signer),
	}
}

// Ref names one object. With VersionID and ETag it is pinned: an operation on it fails with ErrChanged or
// ErrNotFound rather than touch other bytes.
type Ref struct {
	Bucket    string
	Key       string
	VersionID string // empty: the current version
	ETag      string // without quotes; empty: whatever is there
}

// Pinned is exactly the object that intake found for u: what every later stage reads, and the only one it may.
func Pinned(u sagas.Upload) Ref {
	return Ref{Bucket: u.Bucket, Key: u.Key, VersionID: u.VersionID, ETag: u.ETag}
}

// IsGone reports that a pinned object no longer exists as it was pinned. Trying again cannot help.
func IsGone(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrChanged) }

func (r Ref) String() string { return r.Bucket + "/" + r.Key }

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
	o := Object{Ref: r, Type: aws.ToString(out.ContentType), Size: aws.ToInt64(out.ContentLength)}
	if sum, err := base64.StdEncoding.DecodeString(aws.ToString(out.ChecksumSHA256)); err == nil && len(sum) == 32 {
		o.SHA256 = sum
	}
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

// Copy copies exactly the pinned object from, of at most 5 GiB, and gives the copy the properties p. Nothing is
// written when from has changed.
func (c *Client) Copy(ctx context.Context, from Ref, toBucket, toKey string, p Properties) (Ref, error) {
	source := from.Bucket + "/" + escaped(from.Key)
	if from.VersionID != "" {
		source += "?versionId=" + url.QueryEscape(from.VersionID)
	}
	to := Ref{Bucket: toBucket, Key: toKey}
	out, err := c.s3.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: &toBucket, Key: &toKey, CopySource: &source, CopySourceIfMatch: quoted(from.ETag),
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: optional(p.Type), CacheControl: optional(p.CacheControl),
	})
	if err != nil {
		return Ref{}, failed(fmt.Sprintf("copying %s to", from), to, err)
	}
	if out.CopyObjectResult != nil {
		to.ETag = unquoted(out.CopyObjectResult.ETag)
	}
	to.VersionID = version(out.VersionId)
	return to, nil
}

// escaped is key as S3 wants it in x-amz-copy-source: URL-encoded, where a plus sign would mean a space.
func escaped(key string) string {
	return strings.ReplaceAll((&url.URL{Path: key}).EscapedPath(), "+", "%2B")
}

// Ping checks that the incoming bucket can be reached with these credentials.
func (c *Client) Ping(ctx context.Context) error {
	if _, err := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.Incoming}); err != nil {
		return fmt.Errorf("reaching bucket %s: %w", c.Incoming, err)
	}
	return nil
}

// failed gives an S3 error its meaning. HEAD has no error body, so the status has to do.
func failed(doing string, r Ref, err error) error {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		switch response.HTTPStatusCode() {
		case http.StatusNotFound:
			err = errors.Join(ErrNotFound, err)
		case http.StatusPreconditionFailed:
			err = errors.Join(ErrChanged, err)
		}
	}
	return fmt.Errorf("%s %s: %w", doing, r, err)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func quoted(etag string) *string {
	if etag == "" {
		return nil
	}
	return aws.String(`"` + etag + `"`)
}

func unquoted(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

// version is empty for the version id that S3 shows for an object of a bucket without versions.
func version(id *string) string {
	if aws.ToString(id) == "null" {
		return ""
	}
	return aws.ToString(id)
}
