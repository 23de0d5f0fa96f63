package storage

import (
	"maps"
	"net/url"
	"slices"
	"strings"

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

// profile is what a provider has of what Sluice would like to use.
type profile struct {
	virtualHosted bool   // the bucket is in the host name, not in the path
	postPolicy    bool   // takes an upload by POST with a signed policy
	onceName      string // header by which a PUT refuses to replace an object; empty: there is none
	onceValue     string
	sha256        bool // checks x-amz-checksum-sha256
}

const ifNoneMatch = "If-None-Match"

var profiles = map[Provider]profile{
	AWS:       {virtualHosted: true, postPolicy: true, onceName: ifNoneMatch, onceValue: "*", sha256: true},
	R2:        {onceName: ifNoneMatch, onceValue: "*", sha256: true},
	B2:        {sha256: true},
	GCS:       {postPolicy: true, onceName: "x-goog-if-generation-match", onceValue: "0"},
	MinIO:     {postPolicy: true, onceName: ifNoneMatch, onceValue: "*", sha256: true},
	VersityGW: {postPolicy: true, onceName: ifNoneMatch, onceValue: "*", sha256: true},
}

func providerNames() []string {
	var names []string
	for p := range maps.Keys(profiles) {
		names = append(names, string(p))
	}
	slices.Sort(names)
	return names
}

// hosts are the ends of the host names that providers give to their endpoints.
var hosts = map[string]Provider{
	".amazonaws.com":            AWS,
	".amazonaws.com.cn":         AWS,
	".r2.cloudflarestorage.com": R2,
	".backblazeb2.com":          B2,
	"storage.googleapis.com":    GCS,
}

// provider is the one that was configured, or else whom the endpoint belongs to by its name. An unknown name is taken
// for MinIO, which has everything: a store that lacks something then refuses it, which is noticed, while a weaker
// profile would do without it in silence.
func (c Config) provider() Provider {
	switch {
	case c.Provider != "":
		return c.Provider
	case c.Endpoint == "":
		return AWS
	}
	if u, err := url.Parse(c.Endpoint); err == nil {
		for end, p := range hosts {
			if strings.HasSuffix(u.Hostname(), end) {
				return p
			}
		}
	}
	return MinIO
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
