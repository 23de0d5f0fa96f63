package storage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// PresignedPost is an upload by form that its holder may make until it expires: a multipart/form-data POST to URL of
// all Fields, then of the file as the field "file". The fields are a secret: they must not be logged.
type PresignedPost struct {
	URL     string // ends in a slash
	Fields  map[string]string
	Expires time.Time // by this process's clock
}

// ErrUnsupported reports what the provider cannot do. Client.Supports tells it beforehand.
var ErrUnsupported = errors.New("not supported by the S3 provider")

// PresignPost signs the policy of an upload by form into the incoming bucket. It binds what PresignPut binds, except
// that a form cannot be kept from replacing an object: S3 knows no policy condition and no form field for
// If-None-Match (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html), so OnlyOnce is an error.
// Whoever relies on an object that came by a form pins its version.
//
// The policy's form is that of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html.
func (c *Client) PresignPost(ctx context.Context, p PutPermission) (PresignedPost, error) {
	post, err := c.presignPost(ctx, p)
	if err != nil {
		return PresignedPost{}, fmt.Errorf("presigning a POST of %s/%s: %w", c.Incoming, p.Key, err)
	}
	return post, nil
}

func (c *Client) presignPost(ctx context.Context, p PutPermission) (PresignedPost, error) {
	if !c.profile.postPolicy {
		return PresignedPost{}, ErrUnsupported
	}
	if p.OnlyOnce {
		return PresignedPost{}, errors.New("a form cannot be limited to one use")
	}
	fields := map[string]string{
		"key":                   p.Key,
		"Content-Type":          p.Type,
		"success_action_status": strconv.Itoa(http.StatusCreated),
	}
	if p.SHA256 != nil && c.profile.sha256 {
		fields["x-amz-checksum-algorithm"] = "SHA256"
		fields["x-amz-checksum-sha256"] = *encoded(p.SHA256)
	}
	least, most := p.Size, p.Size
	if p.Size == 0 {
		least, most = 1, MaxPut
		if p.MaxSize > 0 {
			most = min(most, p.MaxSize)
		}
	}
	lifetime := p.Lifetime
	if longest := c.profile.postLifetime; longest > 0 {
		lifetime = min(lifetime, longest)
	}
	return c.signer.signPost(ctx, c.Incoming, fields, least, most, lifetime)
}

// policy is the document that a form is held to. Each condition is {field: value} or a list of an operator and its
// operands.
type policy struct {
	Expiration string `json:"expiration"`
	Conditions []any  `json:"conditions"`
}

// signPost adds to the fields what proves that they, and a file of least to most bytes, were permitted.
func (s *signer) signPost(ctx context.Context, bucket string, fields map[string]string, least, most int64, lifetime time.Duration) (PresignedPost, error) {
	if err := checkLifetime(lifetime); err != nil {
		return PresignedPost{}, err
	}
	t, err := s.target()
	if err != nil {
		return PresignedPost{}, err
	}
	credentials, err := s.retrieve(ctx)
	if err != nil {
		return PresignedPost{}, err
	}
	now := s.now().UTC()
	moment := now.Format(momentFormat)
	key := s.key(credentials, dayOf(moment), t.region)
	fields["x-amz-algorithm"] = algorithm
	fields["x-amz-credential"] = credentials.AccessKeyID + "/" + key.scope
	fields["x-amz-date"] = moment
	if credentials.SessionToken != "" {
		fields["x-amz-security-token"] = credentials.SessionToken
	}
	expires := expiry(now, lifetime, credentials)
	document := policy{
		Expiration: expires.UTC().Format("2006-01-02T15:04:05.000Z"),
		Conditions: []any{map[string]string{"bucket": bucket}, []any{"content-length-range", least, most}},
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		document.Conditions = append(document.Conditions, map[string]string{name: fields[name]})
	}
	text, err := json.Marshal(document)
	if err != nil {
		return PresignedPost{}, err
	}
	fields["policy"] = base64.StdEncoding.EncodeToString(text)
	// The signature of a policy: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html
	fields["x-amz-signature"] = key.sign(fields["policy"])
	return PresignedPost{URL: t.url + "/", Fields: fields, Expires: expires}, nil
}
