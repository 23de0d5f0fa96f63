package storage_test

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluice-media/sluice/pipeline/storage"
)

// presignerAt lets the SDK presign as at that time.
type presignerAt struct {
	time.Time
	*v4.Signer
}

func (p presignerAt) PresignHTTP(
	ctx context.Context, credentials aws.Credentials, r *http.Request,
	payloadHash, service, region string, _ time.Time, options ...func(*v4.SignerOptions),
) (string, http.Header, error) {
	return p.Signer.PresignHTTP(ctx, credentials, r, payloadHash, service, region, p.Time, options...)
}

// theSDK is the presign client that Sluice does without.
func theSDK(conf aws.Config, options func(*s3.Options)) *s3.PresignClient {
	return s3.NewPresignClient(s3.NewFromConfig(conf, options, func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	}), func(o *s3.PresignOptions) {
		o.Presigner = presignerAt{at, v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })}
	})
}

func TestSignsWhatTheSDKWould(t *testing.T) {
	for name, where := range map[string]struct {
		token   string
		config  storage.Config
		options func(*s3.Options)
	}{
		"AWS":                   {"", storage.Config{IncomingBucket: "examplebucket"}, func(*s3.Options) {}},
		"a session":             {"a+token/=", storage.Config{IncomingBucket: "examplebucket"}, func(*s3.Options) {}},
		"a bucket with dots":    {"", storage.Config{IncomingBucket: "example.bucket"}, func(*s3.Options) {}},
		"an access point":       {"", storage.Config{IncomingBucket: "arn:aws:s3:eu-central-1:123456789012:accesspoint/uploads"}, func(*s3.Options) {}},
		"an endpoint":           {"", storage.Config{IncomingBucket: "examplebucket", Endpoint: "http://minio:9000"}, pathStyle("http://minio:9000")},
		"an endpoint in a path": {"", storage.Config{IncomingBucket: "examplebucket", Endpoint: "https://cdn.example/s3"}, pathStyle("https://cdn.example/s3")},
		"a port that goes":      {"", storage.Config{IncomingBucket: "examplebucket", Endpoint: "https://s3.example:443"}, pathStyle("https://s3.example:443")},
		"a port that goes, too": {"", storage.Config{IncomingBucket: "examplebucket", Endpoint: "http://s3.example:80"}, pathStyle("http://s3.example:80")},
		"a public endpoint":     {"", storage.Config{IncomingBucket: "examplebucket", Endpoint: "http://minio:9000", PublicEndpoint: "https://up.example"}, pathStyle("https://up.example")},
	} {
		t.Run(name, func(t *testing.T) {
			c := storage.New(exampleAWS(where.token), where.config)
			c.SetClock(at)
			sdk := theSDK(exampleAWS(where.token), where.options)
			puts, _, parts := permissions()
			for name, p := range puts {
				got, err := c.PresignPut(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				want, err := sdk.PresignPutObject(t.Context(), putInput(c.Incoming, p), s3.WithPresignExpires(p.Lifetime))
				compare(t, "PUT, "+name, got, want, err)
			}
			for name, p := range parts {
				got, err := c.PresignPart(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				want, err := sdk.PresignUploadPart(t.Context(), partInput(c.Incoming, p), s3.WithPresignExpires(p.Lifetime))
				compare(t, "part, "+name, got, want, err)
			}
		})
	}
}

// The key is derived anew when anything changes that it is derived from.
func TestSignsWithTheKeyOfTheMoment(t *testing.T) {
	sign := func(c *storage.Client) storage.PresignedRequest {
		req, err := c.PresignPut(t.Context(), permission("uploads/a"))
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	conf, secret := exampleAWS(""), ""
	conf.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: secret, CanExpire: true, Expires: time.Now().Add(-time.Minute)}, nil
	})
	fresh := func() *storage.Client {
		return storage.New(conf, storage.Config{IncomingBucket: "examplebucket"})
	}
	used := fresh()
	for _, moment := range []struct {
		now    time.Time
		secret string
	}{{at, "first"}, {at, "first"}, {at, "second"}, {at.Add(24 * time.Hour), "second"}} {
		secret = moment.secret
		other := fresh()
		used.SetClock(moment.now)
		other.SetClock(moment.now)
		if got, want := sign(used), sign(other); got.URL != want.URL {
			t.Errorf("%s, the %s secret: signed %s, want %s", moment.now, secret, got.URL, want.URL)
		}
	}
}

func pathStyle(endpoint string) func(*s3.Options) {
	return func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &endpoint, true }
}

func putInput(bucket string, p storage.PutPermission) *s3.PutObjectInput {
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &p.Key, ContentType: &p.Type}
	if p.Size > 0 {
		in.ContentLength = &p.Size
	}
	if p.SHA256 != nil {
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(p.SHA256))
	}
	if p.OnlyOnce {
		in.IfNoneMatch = aws.String("*")
	}
	return in
}

func partInput(bucket string, p storage.PartPermission) *s3.UploadPartInput {
	in := &s3.UploadPartInput{Bucket: &bucket, Key: &p.Key, UploadId: &p.UploadID, PartNumber: aws.Int32(int32(p.Number))}
	if p.Size > 0 {
		in.ContentLength = &p.Size
	}
	if p.SHA256 != nil {
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(p.SHA256))
	}
	return in
}

func compare(t *testing.T, name string, got storage.PresignedRequest, want *v4.PresignedHTTPRequest, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != want.Method || got.URL != want.URL {
		t.Errorf("%s: signed\n%s %s, the SDK\n%s %s", name, got.Method, got.URL, want.Method, want.URL)
	}
	headers := map[string]string{}
	for name := range want.SignedHeader {
		if name != "Host" {
			headers[name] = want.SignedHeader.Get(name)
		}
	}
	if !maps.Equal(got.Headers, headers) {
		t.Errorf("%s: the headers are %v, the SDK's %v", name, got.Headers, headers)
	}
}

// The SDK signs its policy by the clock on the wall, so its clock is set to this one's.
func TestSignsPoliciesAsTheSDKDoes(t *testing.T) {
	conf := exampleAWS("a+token/=")
	post, err := theSDK(conf, func(*s3.Options) {}).PresignPostObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("examplebucket"), Key: aws.String("uploads/a")})
	if err != nil {
		t.Fatal(err)
	}
	day := strings.Split(post.Values["X-Amz-Credential"], "/")[1]
	credentials, err := conf.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := storage.Signature(credentials, day, conf.Region, post.Values["policy"]), post.Values["X-Amz-Signature"]; got != want {
		t.Errorf("signature %s, the SDK's %s", got, want)
	}
}

func BenchmarkPresignPut(b *testing.B) {
	puts, _, _ := permissions()
	p := puts["everything"]
	b.Run("sluice", func(b *testing.B) {
		c := storage.New(exampleAWS(""), storage.Config{IncomingBucket: "examplebucket"})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.PresignPut(b.Context(), p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sdk", func(b *testing.B) {
		sdk := theSDK(exampleAWS(""), func(*s3.Options) {})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sdk.PresignPutObject(b.Context(), putInput("examplebucket", p), s3.WithPresignExpires(p.Lifetime)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
