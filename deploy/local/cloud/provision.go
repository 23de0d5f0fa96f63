package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluice-media/sluice/deploy/local/s3"
)

const (
	defaultQueuePrefix     = "sluice-"
	defaultMaxReceiveCount = 20
	deadLetterSuffix       = "-dlq"
	events                 = "s3-events"

	visibilityTimeout   = "30"      // seconds
	maximumMessageSize  = "262144"  // bytes
	deadLetterRetention = "1209600" // seconds: 14 days, the longest there is
)

// queues are Sluice's queues without their prefix, in the order in which an
// upload passes them.
func queues() []string {
	return []string{events, "verify", "scan", "thumbnail", "publish", "settle", "notify"}
}

// Provision creates Sluice's buckets and queues on a cloud that listens on
// S3Addr and SQSAddr of cfg. Every queue has a dead-letter queue, named as the
// queue with "-dlq" at its end. It may be repeated, also with another cfg:
// what exists is changed to it, and keeps its objects and messages.
func Provision(ctx context.Context, cfg Config) error {
	if cfg.IncomingBucket == "" || cfg.MediaBucket == "" {
		return errors.New("provision cloud: IncomingBucket and MediaBucket are required")
	}
	buckets := s3.NewClient("http://"+cfg.S3Addr, cfg.Region, cfg.AccessKey, cfg.SecretKey)
	err := s3.Provision(ctx, buckets, s3.Layout{
		IncomingBucket: cfg.IncomingBucket,
		MediaBucket:    cfg.MediaBucket,
		CORSOrigins:    cfg.CORSOrigins,
		CDNAccessKey:   cfg.CDNAccessKey,
	})
	if err != nil {
		return err
	}
	client := newSQSClient(cfg)
	for _, name := range queues() {
		receives := cmp.Or(cfg.MaxReceiveCount, defaultMaxReceiveCount)
		if name == events {
			receives = defaultMaxReceiveCount
		}
		name = cmp.Or(cfg.QueuePrefix, defaultQueuePrefix) + name
		if err := ensureQueueWithDeadLetters(ctx, client, name, receives); err != nil {
			return err
		}
	}
	return nil
}

func newSQSClient(cfg Config) *awssqs.Client {
	return awssqs.New(awssqs.Options{
		BaseEndpoint: aws.String("http://" + cfg.SQSAddr),
		Region:       cfg.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.SecretKey, ""),
	})
}

func ensureQueueWithDeadLetters(ctx context.Context, client *awssqs.Client, name string, maxReceiveCount int) error {
	deadLetterURL, err := ensureQueue(ctx, client, name+deadLetterSuffix, map[string]string{
		string(types.QueueAttributeNameMessageRetentionPeriod): deadLetterRetention,
	})
	if err != nil {
		return err
	}
	arn := types.QueueAttributeNameQueueArn
	deadLetters, err := client.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{
		QueueUrl:       &deadLetterURL,
		AttributeNames: []types.QueueAttributeName{arn},
	})
	if err != nil {
		return fmt.Errorf("read the ARN of queue %s%s: %w", name, deadLetterSuffix, err)
	}
	redrive, err := json.Marshal(map[string]any{
		"deadLetterTargetArn": deadLetters.Attributes[string(arn)],
		"maxReceiveCount":     maxReceiveCount,
	})
	if err != nil {
		return fmt.Errorf("render the redrive policy of queue %s: %w", name, err)
	}
	_, err = ensureQueue(ctx, client, name, map[string]string{
		string(types.QueueAttributeNameRedrivePolicy): string(redrive),
	})
	return err
}

// ensureQueue creates a queue or changes it to the attributes, and returns its
// URL. The creation asks for no attributes: those of an existing queue may
// differ.
func ensureQueue(ctx context.Context, client *awssqs.Client, name string, attributes map[string]string) (string, error) {
	queue, err := client.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		return "", fmt.Errorf("create queue %s: %w", name, err)
	}
	all := map[string]string{
		string(types.QueueAttributeNameVisibilityTimeout):  visibilityTimeout,
		string(types.QueueAttributeNameMaximumMessageSize): maximumMessageSize,
	}
	maps.Copy(all, attributes)
	_, err = client.SetQueueAttributes(ctx, &awssqs.SetQueueAttributesInput{QueueUrl: queue.QueueUrl, Attributes: all})
	if err != nil {
		return "", fmt.Errorf("set the attributes of queue %s: %w", name, err)
	}
	return *queue.QueueUrl, nil
}
