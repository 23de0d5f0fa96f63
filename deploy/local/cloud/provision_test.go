package cloud

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluice-media/sluice/deploy/local/s3"
)

func TestProvisionedQueues(t *testing.T) {
	b := newTestBundle(t)
	listed, err := b.sqs.ListQueues(t.Context(), &awssqs.ListQueuesInput{QueueNamePrefix: aws.String("sluice-")})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(listed.QueueUrls))
	for _, url := range listed.QueueUrls {
		got = append(got, url[strings.LastIndex(url, "/")+1:])
	}
	want := make([]string, 0, 2*len(queues()))
	for _, name := range []string{"s3-events", "verify", "scan", "thumbnail", "publish", "settle", "notify"} {
		want = append(want, "sluice-"+name, "sluice-"+name+"-dlq")
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("queues %v, want %v", got, want)
	}

	for _, name := range queues() {
		name = "sluice-" + name
		deadLetters := b.attributes(t, name+"-dlq")
		wantAttributes(t, name+"-dlq", deadLetters, map[string]string{
			"MessageRetentionPeriod": "1209600", "MaximumMessageSize": "262144", "RedrivePolicy": "",
		})
		wantAttributes(t, name, b.attributes(t, name), map[string]string{
			"VisibilityTimeout": "30", "MaximumMessageSize": "262144",
			"RedrivePolicy": `{"deadLetterTargetArn":"` + deadLetters["QueueArn"] + `","maxReceiveCount":20}`,
		})
	}
}

func wantAttributes(t *testing.T, queue string, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("queue %s has %s %q, want %q", queue, name, got[name], value)
		}
	}
}

func TestProvisionMayBeRepeatedWithAnotherConfig(t *testing.T) {
	b := newTestBundle(t)
	b.put(t, "uploads/a", "x")
	cfg := b.cfg
	cfg.MaxReceiveCount = 3
	for range 2 {
		b.provision(t, cfg)
	}
	if policy := b.attributes(t, "sluice-scan")["RedrivePolicy"]; !strings.Contains(policy, `"maxReceiveCount":3}`) {
		t.Errorf("redrive policy %s, want maxReceiveCount 3", policy)
	}
	if got := b.eventKeys(t); !slices.Equal(got, []string{"uploads/a"}) {
		t.Errorf("events of %v after provisioning again, want uploads/a", got)
	}
}

func TestProvisionWithAnotherPrefix(t *testing.T) {
	b := newTestBundle(t)
	cfg := b.cfg
	cfg.QueuePrefix = "other-"
	b.provision(t, cfg)
	b.queueURL(t, "other-notify-dlq")
}

func TestProvisionedBuckets(t *testing.T) {
	b := newTestBundle(t)
	_, err := b.s3.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String("media"), Key: aws.String("uploads/a"), Body: strings.NewReader("x"),
	})
	if err != nil {
		t.Fatal(err)
	}
	cdn := s3.NewClient("http://"+b.cfg.S3Addr, b.cfg.Region, b.cfg.CDNAccessKey, b.cfg.CDNSecretKey)
	if _, err := cdn.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("media"), Key: aws.String("uploads/a")}); err != nil {
		t.Errorf("the CDN's account reads media: %v", err)
	}
	b.put(t, "uploads/a", "x")
	if _, err := cdn.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("incoming"), Key: aws.String("uploads/a")}); err == nil {
		t.Error("the CDN's account reads incoming")
	}
}

func TestProvisionNeedsBuckets(t *testing.T) {
	if err := Provision(t.Context(), Config{}); err == nil {
		t.Error("provisioned no buckets")
	}
}
