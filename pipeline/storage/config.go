package storage

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Config says where the objects are.
type Config struct {
	Endpoint       string   `help:"S3 endpoint URL; empty for AWS."`
	PublicEndpoint string   `help:"S3 endpoint URL as clients reach it, for presigned URLs; empty when it is the same."`
	Provider       Provider `help:"Whose S3 it is: aws, r2, b2, gcs, minio or versitygw. Empty: told from the endpoint's host name; AWS without an endpoint, MinIO with an unknown one." placeholder:"NAME"`
	IncomingBucket string   `help:"Versioned bucket that clients upload to." default:"incoming"`
	MediaBucket    string   `help:"Bucket that the CDN reads." default:"media"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	for name, endpoint := range map[string]string{"endpoint": c.Endpoint, "public-endpoint": c.PublicEndpoint} {
		if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, fmt.Errorf("s3 %s: %q is not an http or https URL", name, endpoint))
		}
	}
	if _, known := profiles[c.Provider]; c.Provider != "" && !known {
		errs = append(errs, fmt.Errorf("s3 provider %q is none of %s", c.Provider, strings.Join(providerNames(), ", ")))
	}
	if c.Endpoint == "" && c.Provider != "" && c.Provider != AWS {
		errs = append(errs, fmt.Errorf("s3 provider is %s but s3 endpoint is empty, which means AWS", c.Provider))
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
