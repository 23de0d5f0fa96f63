package main

import (
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluice-media/sluice/deploy/local/localtest"
)

func TestCloudServesAnyClient(t *testing.T) {
	p := start(t, []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret-of-key", "AWS_REGION=eu-central-1"},
		"cloud", "--s3-addr", "127.0.0.1:0", "--sqs-addr", "127.0.0.1:0", "--data", t.TempDir())
	var endpoints []string
	localtest.Eventually(t, "the line that says it is ready", func() bool {
		endpoints = regexp.MustCompile(`ready: S3 at (\S+), SQS at (\S+)\n`).FindStringSubmatch(p.stdout.String())
		return endpoints != nil || !p.running()
	})
	if endpoints == nil {
		t.Fatalf("it ended: %s", p.stderr)
	}

	ctx := t.Context()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("eu-central-1"),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("key", "secret-of-key", "")))
	if err != nil {
		t.Fatal(err)
	}
	objects := awss3.NewFromConfig(cfg, func(o *awss3.Options) {
		o.BaseEndpoint, o.UsePathStyle = &endpoints[1], true
	})
	if _, err := objects.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String("mine")}); err != nil {
		t.Error(err)
	}
	queues := awssqs.NewFromConfig(cfg, func(o *awssqs.Options) { o.BaseEndpoint = &endpoints[2] })
	if _, err := queues.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: aws.String("mine")}); err != nil {
		t.Error(err)
	}

	p.signal(t, syscall.SIGTERM)
	if status := p.status(t); status != 0 {
		t.Fatalf("status %d: %s", status, p.stderr)
	}
}

func TestCloudNeedsCredentials(t *testing.T) {
	p := start(t, []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, "cloud", "--data", t.TempDir())
	if status := p.status(t); status == 0 || !strings.Contains(p.stderr.String(), "AWS_SECRET_ACCESS_KEY") {
		t.Fatalf("status %d: %s", status, p.stderr)
	}
}
