package storage

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// PutPermission says which single PUT a client may make.
type PutPermission struct {
	Key      string
	Type     string // Content-Type, always signed
	Size     int64  // exact Content-Length; 0 leaves it open
	SHA256   []byte // signed and checked by S3; nil leaves it open
	OnlyOnce bool   // sign If-None-Match: *, so that S3 refuses a second PUT
	Lifetime time.Duration
}

// PresignedRequest is a request that its holder may make until it expires. The URL is a secret: it must not be
// logged.
type PresignedRequest struct {
	Method  string
	URL     string
	Headers map[string]string // must be sent exactly so
	Expires time.Time         // by this process's clock
}

// PresignPut signs a PUT into the incoming bucket.
func (c *Client) PresignPut(ctx context.Context, p PutPermission) (PresignedRequest, error) {
	in := &s3.PutObjectInput{Bucket: &c.Incoming, Key: &p.Key, ContentType: &p.Type}
	if p.Size > 0 {
		in.ContentLength = &p.Size
	}
	if p.SHA256 != nil {
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(p.SHA256))
	}
	if p.OnlyOnce {
		in.IfNoneMatch = aws.String("*")
	}
	expires := time.Now().Add(p.Lifetime)
	req, err := c.presign.PresignPutObject(ctx, in, s3.WithPresignExpires(p.Lifetime))
	if err != nil {
		return PresignedRequest{}, fmt.Errorf("presigning a PUT of %s/%s: %w", c.Incoming, p.Key, err)
	}
	out := PresignedRequest{Method: req.Method, URL: req.URL, Headers: map[string]string{}, Expires: expires}
	for name := range req.SignedHeader {
		if name != "Host" {
			out.Headers[name] = req.SignedHeader.Get(name)
		}
	}
	return out, nil
}
