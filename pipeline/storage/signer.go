package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
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
	url    url.URL // of the bucket, without a slash at the end
	region string  // that signatures are for
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
	t := target{url: endpoint.URI, region: o.Region}
	if options, ok := auth.GetAuthOptions(&endpoint.Properties); ok && len(options) > 0 {
		if region, ok := smithyhttp.GetSigV4SigningRegion(&options[0].SignerProperties); ok {
			t.region = region
		}
	}
	return t, nil
}

// sign returns a presigned PUT of key. The query belongs to the operation; size, unless it is 0, and the headers are
// signed.
func (s *signer) sign(ctx context.Context, key string, query url.Values, header http.Header, size int64, lifetime time.Duration) (PresignedRequest, error) {
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
	query.Set("X-Amz-Expires", strconv.FormatInt(int64(lifetime/time.Second), 10))
	if size > 0 {
		header.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	now := s.now().UTC()
	out := PresignedRequest{
		Method:  http.MethodPut,
		URL:     t.presign(credentials, s.key(credentials, now.Format(dayFormat), t.region), key, query, header, now),
		Headers: make(map[string]string, len(header)),
		Expires: expiry(now, lifetime, credentials),
	}
	for name := range header {
		out.Headers[name] = header.Get(name)
	}
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
