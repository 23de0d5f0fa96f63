package storage

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluice-media/sluice/sagas"
)

// Provider is whose implementation of S3 the buckets are on.
type Provider string

// The providers whose differences are known.
const (
	AWS       Provider = "aws"
	R2        Provider = "r2"  // Cloudflare R2
	B2        Provider = "b2"  // Backblaze B2
	GCS       Provider = "gcs" // Google Cloud Storage by its XML API
	MinIO     Provider = "minio"
	VersityGW Provider = "versitygw"
)

// profile is what a provider has of what Sluice would like to use. Without onceName a second PUT replaces the object,
// and without sha256 only the verify stage compares the checksum: safe both, since what is published is pinned and
// was verified, but noticed later.
//
// Parts are of equal size for all of them, as R2 wants it (https://developers.cloudflare.com/r2/objects/multipart-objects/).
type profile struct {
	virtualHosted bool          // the bucket is in the host name, not in the path
	postPolicy    bool          // takes an upload by POST with a policy as PresignPost signs it
	postLifetime  time.Duration // how long it takes a form after its date; 0: as long as its policy says
	onceName      string        // header by which a PUT refuses to replace an object, in lower case; empty: there is none
	onceValue     string
	sha256        bool  // checks x-amz-checksum-sha256
	copyIfMatch   bool  // copies on the condition of the source's ETag
	largeCopy     int64 // bytes that one request can copy
	noVersions    bool  // an object is pinned by its ETag alone
	encodingBlind bool  // changes Accept-Encoding on the way, which must not be signed then
}

const ifNoneMatch = "if-none-match"

var profiles = map[Provider]profile{
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
	AWS: {
		virtualHosted: true, postPolicy: true, onceName: ifNoneMatch, onceValue: "*", sha256: true, copyIfMatch: true, largeCopy: MaxPut,
	},
	// No forms: https://github.com/transloadit/uppy/issues/5052. It keeps no versions: an object is pinned by its ETag alone.
	// https://developers.cloudflare.com/r2/api/s3/api/, .../r2/api/s3/conditional-operations/, .../r2/platform/limits/
	R2: {onceName: ifNoneMatch, onceValue: "*", sha256: true, copyIfMatch: true, largeCopy: MaxPut - 5<<20, noVersions: true},
	// No forms: as R2. A PUT with If-None-Match is refused: https://github.com/sathinduga/obsidian-s3-sync-and-backup/issues/78.
	// Its documentation of CopyObject has no conditions (https://www.backblaze.com/apidocs/s3-copy-object), but it keeps
	// versions always. Of checksums in SHA-256 it says nothing.
	B2: {largeCopy: MaxPut},
	// https://cloud.google.com/storage/docs/request-preconditions. Its forms want x-goog- fields and a signature of their own
	// (https://cloud.google.com/storage/docs/xml-api/post-object-forms). It cannot copy a range into a part, and needs
	// not: https://github.com/milvus-io/milvus/pull/52748. Accept-Encoding: https://github.com/aws/aws-sdk-go-v2/issues/1816.
	GCS: {onceName: "x-goog-if-generation-match", onceValue: "0", copyIfMatch: true, largeCopy: MaxObject, encodingBlind: true},
	// https://docs.min.io/enterprise/aistor-object-store/developers/s3-api-compatibility, https://github.com/minio/minio/pull/17244
	MinIO: {postPolicy: true, onceName: ifNoneMatch, onceValue: "*", sha256: true, copyIfMatch: true, largeCopy: MaxPut},
	// What the tests of this package run on. Forms: s3api/middlewares/object-post-auth.go of its source.
	VersityGW: {postPolicy: true, postLifetime: time.Hour, onceName: ifNoneMatch, onceValue: "*", sha256: true, copyIfMatch: true, largeCopy: MaxPut},
}

func providerNames() []string {
	var names []string
	for p := range profiles {
		names = append(names, string(p))
	}
	slices.Sort(names)
	return names
}

// hosts are the domains of the providers' endpoints.
var hosts = map[string]Provider{
	"amazonaws.com":            AWS,
	"amazonaws.com.cn":         AWS,
	"r2.cloudflarestorage.com": R2,
	"backblazeb2.com":          B2,
	"storage.googleapis.com":   GCS,
}

// provider is the one that was configured, or else whom the endpoint belongs to by its name. An unknown name is taken
// for MinIO, which has everything: a store that lacks something then refuses it, which is noticed, while a weaker
// profile would do without it in silence.
func (c Config) provider() Provider {
	switch {
	case c.Provider != "":
		return c.Provider
	case c.owner() != "":
		return c.owner()
	}
	return MinIO
}

// owner is whom the endpoint belongs to by its name, or empty.
func (c Config) owner() Provider {
	if c.Endpoint == "" {
		return AWS
	}
	if u, err := url.Parse(c.Endpoint); err == nil {
		for domain, p := range hosts {
			if host := u.Hostname(); host == domain || strings.HasSuffix(host, "."+domain) {
				return p
			}
		}
	}
	return ""
}

// servers are what the stores call themselves in the header Server of their answers. R2 and B2 have the names of what
// stands before them, which others have, too.
var servers = map[string]Provider{"AmazonS3": AWS, "UploadServer": GCS, "MinIO": MinIO, "VERSITYGW": VersityGW}

// ServerProvider tells a provider from the header Server of its answers, or returns an empty one.
func ServerProvider(server string) Provider { return servers[server] }

// Provider returns whose differences the client goes by, and whom the endpoint belongs to by its name: an empty Provider
// when that is unknown.
func (c *Client) Provider() (used, owner Provider) { return c.provider, c.owner }

// Lack is something that a provider does not have.
type Lack string

// The lacks. What each comes to is said at profile.
const (
	LackForms     Lack = "no uploads by form (POST)"
	LackSingleUse Lack = "no PUT that works once only"
	LackSHA256    Lack = "no SHA-256 in a PUT"
	LackCopyIf    Lack = "no conditions on copies"
	LackVersions  Lack = "no versions"
)

// Lacks lists what the provider does not have of what Sluice would like to use, and so does without.
func (c *Client) Lacks() (all []Lack) {
	for lack, lacks := range map[Lack]bool{
		LackForms: !c.profile.postPolicy, LackSingleUse: c.profile.onceName == "", LackSHA256: !c.profile.sha256,
		LackCopyIf: !c.profile.copyIfMatch, LackVersions: c.profile.noVersions,
	} {
		if lacks {
			all = append(all, lack)
		}
	}
	slices.Sort(all)
	return all
}

// blindSigner signs requests without their Accept-Encoding.
type blindSigner struct{ s3.HTTPSignerV4 }

// SignHTTP implements s3.HTTPSignerV4.
func (b blindSigner) SignHTTP(
	ctx context.Context, credentials aws.Credentials, r *http.Request, payloadHash, service, region string, at time.Time,
	options ...func(*v4.SignerOptions),
) error {
	r.Header.Del("Accept-Encoding")
	return b.HTTPSignerV4.SignHTTP(ctx, credentials, r, payloadHash, service, region, at, options...)
}

// Supports reports whether the provider takes uploads by that method.
func (c *Client) Supports(m sagas.Method) bool {
	switch m {
	case sagas.MethodPut, sagas.MethodMultipart:
		return true
	case sagas.MethodPost:
		return c.profile.postPolicy
	default:
		return false
	}
}
