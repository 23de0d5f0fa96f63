package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	service = "s3"

	// maxLifetime is the longest that a presigned request may live.
	// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
	maxLifetime = 7 * 24 * time.Hour

	// roomy is how many parameters or headers a request may have before they move.
	roomy = 10
)

// signer signs what a client may do in one bucket: the same URL to the byte as that of the SDK's presign client.
type signer struct {
	credentials aws.CredentialsProvider
	last        atomic.Pointer[signingKey]
	target      func() (target, error)
	now         func() time.Time
}

// target is where requests for the bucket go.
type target struct {
	url    string // of the bucket, without a slash at the end
	path   string // of that URL, escaped
	host   string // that clients send as Host
	region string // that signatures are for
}

func newSigner(o s3.Options, bucket string) *signer {
	return &signer{
		credentials: cached(o.Credentials),
		target:      sync.OnceValues(func() (target, error) { return resolve(o, bucket) }),
		now:         time.Now,
	}
}

func cached(p aws.CredentialsProvider) aws.CredentialsProvider {
	if _, is := p.(*aws.CredentialsCache); is || p == nil {
		return p
	}
	return aws.NewCredentialsCache(p)
}

// resolve asks the SDK's rules where the bucket is. It touches no network.
func resolve(o s3.Options, bucket string) (target, error) {
	endpoint, err := o.EndpointResolverV2.ResolveEndpoint(context.Background(), s3.EndpointParameters{
		Bucket: &bucket, Region: &o.Region, Endpoint: o.BaseEndpoint, ForcePathStyle: &o.UsePathStyle,
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
		Accelerate:   &o.UseAccelerate, UseArnRegion: &o.UseARNRegion,
		DisableMultiRegionAccessPoints: &o.DisableMultiRegionAccessPoints,
		UseGlobalEndpoint:              aws.Bool(false), UseObjectLambdaEndpoint: aws.Bool(false),
	})
	if err != nil {
		return target{}, fmt.Errorf("finding the endpoint of bucket %s: %w", bucket, err)
	}
	t := target{url: endpoint.URI.String(), path: endpoint.URI.EscapedPath(), host: hostOf(endpoint.URI), region: o.Region}
	if options, ok := auth.GetAuthOptions(&endpoint.Properties); ok && len(options) > 0 {
		if region, ok := smithyhttp.GetSigV4SigningRegion(&options[0].SignerProperties); ok {
			t.region = region
		}
	}
	return t, nil
}

// hostOf is what clients of the URL send as Host, which has no port that is the scheme's own.
func hostOf(u url.URL) string {
	switch u.Scheme {
	case "http":
		return strings.TrimSuffix(u.Host, ":80")
	case "https":
		return strings.TrimSuffix(u.Host, ":443")
	}
	return u.Host
}

// sign returns a presigned PUT of key. The query belongs to the operation; size, unless it is 0, and the headers are
// signed.
func (s *signer) sign(ctx context.Context, key string, query, headers []field, size int64, lifetime time.Duration) (PresignedRequest, error) {
	if err := checkLifetime(lifetime); err != nil {
		return PresignedRequest{}, err
	}
	t, err := s.target()
	if err != nil {
		return PresignedRequest{}, err
	}
	credentials, err := s.retrieve(ctx)
	if err != nil {
		return PresignedRequest{}, err
	}
	query, headers = append(make([]field, 0, roomy), query...), append(make([]field, 0, roomy), headers...)
	query = append(query, field{"X-Amz-Expires", strconv.FormatInt(int64(lifetime/time.Second), 10)})
	if size > 0 {
		headers = append(headers, field{"content-length", strconv.FormatInt(size, 10)})
	}
	out := PresignedRequest{Method: http.MethodPut, Headers: make(map[string]string, len(headers))}
	for _, h := range headers {
		out.Headers[http.CanonicalHeaderKey(h.name)] = h.value
	}
	now := s.now().UTC()
	moment := now.Format(momentFormat)
	out.URL = t.presign(credentials, s.key(credentials, dayOf(moment), t.region), moment, key, query, headers)
	out.Expires = expiry(now, lifetime, credentials)
	return out, nil
}

func (s *signer) retrieve(ctx context.Context) (aws.Credentials, error) {
	if s.credentials == nil {
		return aws.Credentials{}, errors.New("there are no credentials")
	}
	credentials, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("getting credentials: %w", err)
	}
	return credentials, nil
}

// expiry is when something signed now stops working: after its lifetime, or with the credentials that signed it.
func expiry(now time.Time, lifetime time.Duration, c aws.Credentials) time.Time {
	expires := now.Add(lifetime)
	if c.CanExpire && c.Expires.Before(expires) {
		return c.Expires
	}
	return expires
}

func checkLifetime(d time.Duration) error {
	if d < time.Second || d > maxLifetime {
		return fmt.Errorf("a lifetime of %s is not between a second and %s", d, maxLifetime)
	}
	return nil
}
