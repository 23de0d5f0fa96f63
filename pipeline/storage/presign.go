package storage

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// PutPermission says which single PUT a client may make.
type PutPermission struct {
	Key      string
	Type     string // Content-Type, always signed
	Size     int64  // exact Content-Length; 0 leaves it open
	MaxSize  int64  // bytes that an open Size may come to, which only a form can be held to; 0: as many as a form carries
	SHA256   []byte // signed and checked by S3, where the provider can; nil leaves it open
	OnlyOnce bool   // sign If-None-Match: * or what the provider has instead, so that S3 refuses a second PUT
	Lifetime time.Duration
}

// PartPermission says which part of a multipart upload a client may send.
type PartPermission struct {
	Key      string
	UploadID string
	Number   int    // from 1
	Size     int64  // exact Content-Length; 0 leaves it open
	SHA256   []byte // signed and checked by S3, where the provider can; only for an upload created with checksums
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

// field is a header, with its name in lower case, or a parameter of a query.
type field struct{ name, value string }

// PresignPut signs a PUT into the incoming bucket.
func (c *Client) PresignPut(ctx context.Context, p PutPermission) (PresignedRequest, error) {
	headers := append(c.checksum(p.SHA256), field{"content-type", p.Type})
	if p.OnlyOnce && c.profile.onceName != "" {
		headers = append(headers, field{c.profile.onceName, c.profile.onceValue})
	}
	req, err := c.signer.sign(ctx, p.Key, []field{{"x-id", "PutObject"}}, headers, p.Size, p.Lifetime)
	if err != nil {
		return PresignedRequest{}, fmt.Errorf("presigning a PUT of %s/%s: %w", c.Incoming, p.Key, err)
	}
	return req, nil
}

// PresignPart signs a part of a multipart upload into the incoming bucket.
func (c *Client) PresignPart(ctx context.Context, p PartPermission) (PresignedRequest, error) {
	fail := func(err error) (PresignedRequest, error) {
		return PresignedRequest{}, fmt.Errorf("presigning part %d of %s/%s: %w", p.Number, c.Incoming, p.Key, err)
	}
	if p.Number < 1 || p.Number > MaxParts {
		return fail(fmt.Errorf("part numbers go from 1 to %d", MaxParts))
	}
	if p.Size < 0 || p.Size > MaxPut {
		return fail(fmt.Errorf("%d bytes: a part has at most %d", p.Size, MaxPut))
	}
	query := []field{{"partNumber", strconv.Itoa(p.Number)}, {"uploadId", p.UploadID}, {"x-id", "UploadPart"}}
	req, err := c.signer.sign(ctx, p.Key, query, c.checksum(p.SHA256), p.Size, p.Lifetime)
	if err != nil {
		return fail(err)
	}
	return req, nil
}

// checksum is the header that has S3 compare the SHA-256, where there is one and the provider can.
func (c *Client) checksum(sum []byte) []field {
	if sum == nil || !c.profile.sha256 {
		return nil
	}
	return []field{{"x-amz-checksum-sha256", *encoded(sum)}}
}

// UploadURL is the URL of the incoming bucket as clients reach it: every presigned request goes to its origin.
func (c *Client) UploadURL() (string, error) {
	t, err := c.signer.target()
	if err != nil {
		return "", err
	}
	return t.url, nil
}
