package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// preflightMaxAge is how long a browser may remember the answer to a CORS
// preflight, in seconds.
const preflightMaxAge = 3000

// Layout is the buckets that Sluice needs and who may read them.
type Layout struct {
	// IncomingBucket takes the uploads. Browsers may write to it with a
	// presigned request.
	IncomingBucket string
	// MediaBucket holds what is published.
	MediaBucket string
	// CORSOrigins are the origins whose pages may upload; empty is any.
	CORSOrigins []string
	// CDNAccessKey may read the objects of MediaBucket. Empty is nobody.
	CDNAccessKey string
}

// Provision makes the layout true with client, which has the root's
// credentials: both buckets exist, are private and keep versions. It may be
// repeated, also with another layout.
func Provision(ctx context.Context, client *awss3.Client, layout Layout) error {
	for _, bucket := range []string{layout.IncomingBucket, layout.MediaBucket} {
		if err := ensureBucket(ctx, client, bucket); err != nil {
			return err
		}
	}
	if err := allowBrowsers(ctx, client, layout.IncomingBucket, layout.CORSOrigins); err != nil {
		return err
	}
	return allowReader(ctx, client, layout.MediaBucket, layout.CDNAccessKey)
}

// ensureBucket creates a bucket that keeps versions.
func ensureBucket(ctx context.Context, client *awss3.Client, bucket string) error {
	_, err := client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &bucket})
	var owned *types.BucketAlreadyOwnedByYou
	var exists *types.BucketAlreadyExists // it belongs to an earlier root account
	if err != nil && !errors.As(err, &owned) && !errors.As(err, &exists) {
		return fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	_, err = client.PutBucketVersioning(ctx, &awss3.PutBucketVersioningInput{
		Bucket:                  &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		return fmt.Errorf("keep versions in bucket %s: %w", bucket, err)
	}
	return nil
}

// allowBrowsers lets pages of the origins use presigned requests and read
// what they need of the answer.
func allowBrowsers(ctx context.Context, client *awss3.Client, bucket string, origins []string) error {
	if len(origins) == 0 {
		origins = []string{"*"}
	}
	_, err := client.PutBucketCors(ctx, &awss3.PutBucketCorsInput{
		Bucket: &bucket,
		CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{{
			AllowedOrigins: origins,
			AllowedMethods: []string{"PUT", "POST", "GET", "HEAD"},
			AllowedHeaders: []string{"*"},
			ExposeHeaders: []string{
				"ETag", "Location", "x-amz-version-id", "x-amz-request-id",
				"x-amz-checksum-sha256", "x-amz-checksum-crc64nvme",
			},
			MaxAgeSeconds: aws.Int32(preflightMaxAge),
		}}},
	})
	if err != nil {
		return fmt.Errorf("set CORS of bucket %s: %w", bucket, err)
	}
	return nil
}

// allowReader makes accessKey the only account besides the root that may read
// objects of the bucket.
func allowReader(ctx context.Context, client *awss3.Client, bucket, accessKey string) error {
	if accessKey == "" {
		_, err := client.DeleteBucketPolicy(ctx, &awss3.DeleteBucketPolicyInput{Bucket: &bucket})
		if err != nil {
			return fmt.Errorf("delete the policy of bucket %s: %w", bucket, err)
		}
		return nil
	}
	policy, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []map[string]any{{
			"Sid":       "CDNReads",
			"Effect":    "Allow",
			"Principal": map[string]any{"AWS": []string{accessKey}},
			"Action":    []string{"s3:GetObject"},
			"Resource":  []string{"arn:aws:s3:::" + bucket + "/*"},
		}},
	})
	if err != nil {
		return fmt.Errorf("render the policy of bucket %s: %w", bucket, err)
	}
	_, err = client.PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String(string(policy))})
	if err != nil {
		return fmt.Errorf("set the policy of bucket %s: %w", bucket, err)
	}
	return nil
}
