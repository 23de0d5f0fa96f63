// Package storage is Sluice's only S3 client: it signs what clients may do, and reads, writes and copies objects
// for the stages.
//
// Two buckets: incoming, where clients upload and renditions wait, and media, which the CDN reads. incoming must
// be versioned, since everything after intake works on one pinned version. Both want a lifecycle rule with
// AbortIncompleteMultipartUpload, for what a process that was killed had begun.
//
// Providers differ in what they have of S3; the table of profiles in provider.go says in what, and from where that is
// known.
//
// IAM actions, on incoming/*: s3:PutObject, s3:GetObject, s3:GetObjectVersion; on the incoming bucket:
// s3:ListBucket (without it S3 answers 403, not 404, for an object that is not there); on media/*: s3:PutObject.
// These cover what is sent or copied in parts, too, but for s3:ListMultipartUploadParts on incoming/*, to resume and to
// complete, and s3:AbortMultipartUpload on incoming/* and media/*.
// To clean up (delete.go), on both buckets: s3:ListBucketVersions and s3:ListBucketMultipartUploads, and on their objects
// s3:DeleteObject, s3:DeleteObjectVersion and s3:AbortMultipartUpload.
package storage

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluice-media/sluice/sagas"
)

var (
	// ErrNotFound reports an object, or that version of it, that does not exist.
	ErrNotFound = errors.New("no such object")

	// ErrChanged reports an object that is no longer the pinned one.
	ErrChanged = errors.New("the object is not the pinned one")
)

// Client does what Sluice does with S3. It is safe for concurrent use.
type Client struct {
	Incoming string // bucket
	Media    string // bucket

	// LargeCopy is the size in bytes up to which Copy is one request. What is larger is copied in parts of at most
	// this size. It is the most that the provider allows, unless a test wants less.
	LargeCopy int64

	provider Provider
	owner    Provider // of the endpoint by its name; empty: unknown
	profile  profile
	s3       *s3.Client
	patient  func(*s3.Options) // for requests during which S3 may move gigabytes before it answers
	signer   *signer
}

// New returns a client with the credentials and region of conf.
func New(conf aws.Config, c Config) *Client {
	conf.HTTPClient = transport(time.Minute)
	provider := c.provider()
	profile := profiles[provider]
	at := func(endpoint string) func(*s3.Options) {
		return func(o *s3.Options) {
			o.UsePathStyle = !profile.virtualHosted
			if provider != AWS {
				o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
				o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
			}
			if profile.encodingBlind {
				o.HTTPSignerV4 = blindSigner{o.HTTPSignerV4}
			}
			if endpoint != "" {
				o.BaseEndpoint = &endpoint
			}
		}
	}
	public := c.PublicEndpoint
	if public == "" {
		public = c.Endpoint
	}
	patient := transport(10 * time.Minute)
	return &Client{
		Incoming:  c.IncomingBucket,
		Media:     c.MediaBucket,
		LargeCopy: profile.largeCopy,
		provider:  provider,
		owner:     c.owner(),
		profile:   profile,
		s3:        s3.NewFromConfig(conf, at(c.Endpoint)),
		patient:   func(o *s3.Options) { o.HTTPClient = patient },
		signer:    newSigner(s3.NewFromConfig(conf, at(public)).Options(), c.IncomingBucket),
	}
}

// transport gives S3 so long to begin an answer, and twice as long between any two bytes of it, which counts from before a
// request where its connection was idle.
func transport(patience time.Duration) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithReadTimeout(2 * patience).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 64
		t.IdleConnTimeout = min(t.IdleConnTimeout, patience)
		t.ResponseHeaderTimeout = patience
	})
}

// Ref names one object. With VersionID and ETag it is pinned: an operation on it fails with ErrChanged or
// ErrNotFound rather than touch other bytes.
type Ref struct {
	Bucket    string
	Key       string
	VersionID string // empty: the current version
	ETag      string // with or without quotes; empty: whatever is there
}

// Pinned is exactly the object that intake found for u: what every later stage reads, and the only one it may.
func Pinned(u sagas.Upload) Ref {
	return Ref{Bucket: u.Bucket, Key: u.Key, VersionID: u.VersionID, ETag: u.ETag}
}

// Renditions is the folder of u's renditions: in the incoming bucket where they are made, and in the media bucket.
func Renditions(u sagas.Upload) string { return "thumbnails/" + u.ID.String() + "/" }

// IsGone reports that a pinned object was not there as it was pinned. Trying again helps only with a store that hides it
// for a moment.
func IsGone(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrChanged) }

func (r Ref) String() string { return r.Bucket + "/" + r.Key }

// Ping checks that the incoming bucket can be reached with these credentials.
func (c *Client) Ping(ctx context.Context) error {
	if _, err := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.Incoming}); err != nil {
		return fmt.Errorf("reaching bucket %s: %w", c.Incoming, err)
	}
	return nil
}

// failed gives an S3 error its meaning. HEAD has no error body, so the status has to do; where there is one, it tells
// a bucket that does not exist, which is a mistake in the configuration, from an object that does not.
func failed(doing string, r Ref, err error) error {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		switch status := response.HTTPStatusCode(); {
		case status == http.StatusNotFound && errorCode(err) != "NoSuchBucket":
			err = errors.Join(ErrNotFound, err)
		case status == http.StatusPreconditionFailed:
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
	return aws.String(`"` + strings.Trim(etag, `"`) + `"`)
}

func unquoted(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

// version is empty for the version id that S3 shows for an object of a bucket without versions.
func version(id *string) string {
	if aws.ToString(id) == "null" {
		return ""
	}
	return aws.ToString(id)
}

// digest is the SHA-256 in a checksum of S3, or nil when there is none of the whole object or part.
func digest(checksum *string) []byte {
	sum, err := base64.StdEncoding.DecodeString(aws.ToString(checksum))
	if err != nil || len(sum) != sha256.Size {
		return nil
	}
	return sum
}

// encoded is a SHA-256 as S3 wants it.
func encoded(sum []byte) *string {
	if sum == nil {
		return nil
	}
	return aws.String(base64.StdEncoding.EncodeToString(sum))
}
