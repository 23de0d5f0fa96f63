package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// EventBridge stands for that service among those that Notified returns.
const EventBridge = "Amazon EventBridge"

// FirstKey returns the first key of a bucket, or nothing when it is empty. IAM action: s3:ListBucket.
func (c *Client) FirstKey(ctx context.Context, bucket string) (string, error) {
	return firstKey(ctx, c.s3, bucket)
}

func firstKey(ctx context.Context, client *s3.Client, bucket string) (string, error) {
	out, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(1)})
	if err != nil {
		return "", fmt.Errorf("listing bucket %s: %w", bucket, err)
	}
	if len(out.Contents) == 0 {
		return "", nil
	}
	return aws.ToString(out.Contents[0].Key), nil
}

// Anonymous returns the first error that someone without credentials gets who lists the bucket, and who reads key from
// it, when that is not empty. Nil means that it worked.
func (c *Client) Anonymous(ctx context.Context, bucket, key string) (list, read error) {
	nobody := s3.New(c.s3.Options(), func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} })
	_, list = firstKey(ctx, nobody, bucket)
	if key == "" {
		return list, nil
	}
	r := Ref{Bucket: bucket, Key: key}
	out, err := nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return list, failed("reading", r, err)
	}
	if err := out.Body.Close(); err != nil {
		return list, failed("reading", r, err)
	}
	return list, nil
}

// Notified returns who is told of an object created under key in the incoming bucket: the ARNs of queues, topics and
// functions, and EventBridge. Not every store can say. IAM action: s3:GetBucketNotification.
func (c *Client) Notified(ctx context.Context, key string) ([]string, error) {
	out, err := c.s3.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &c.Incoming})
	if err != nil {
		return nil, fmt.Errorf("reading the notifications of bucket %s: %w", c.Incoming, err)
	}
	var told []string
	add := func(arn *string, events []types.Event, filter *types.NotificationConfigurationFilter) {
		if slices.ContainsFunc(events, isCreation) && passes(filter, key) {
			told = append(told, aws.ToString(arn))
		}
	}
	for _, q := range out.QueueConfigurations {
		add(q.QueueArn, q.Events, q.Filter)
	}
	for _, t := range out.TopicConfigurations {
		add(t.TopicArn, t.Events, t.Filter)
	}
	for _, f := range out.LambdaFunctionConfigurations {
		add(f.LambdaFunctionArn, f.Events, f.Filter)
	}
	if out.EventBridgeConfiguration != nil {
		told = append(told, EventBridge)
	}
	return told, nil
}

func isCreation(e types.Event) bool { return strings.HasPrefix(string(e), "s3:ObjectCreated:") }

func passes(filter *types.NotificationConfigurationFilter, key string) bool {
	if filter == nil || filter.Key == nil {
		return true
	}
	for _, rule := range filter.Key.FilterRules {
		value := aws.ToString(rule.Value)
		switch types.FilterRuleName(strings.ToLower(string(rule.Name))) {
		case types.FilterRuleNamePrefix:
			if !strings.HasPrefix(key, value) {
				return false
			}
		case types.FilterRuleNameSuffix:
			if !strings.HasSuffix(key, value) {
				return false
			}
		}
	}
	return true
}
