package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/sluice-media/sluice/deploy/local/s3"
)

const eventsQueue = "sluice-s3-events"

// testBundle is a running cloud and the root's clients of it.
type testBundle struct {
	cloud *Cloud
	cfg   Config // with the addresses that the cloud listens on
	s3    *awss3.Client
	sqs   *awssqs.Client
}

func testConfig(dir string) Config {
	return Config{
		DataDir: dir, S3Addr: "127.0.0.1:0", SQSAddr: "127.0.0.1:0", Region: "eu-central-1",
		AccessKey: "root", SecretKey: "root-secret", CDNAccessKey: "cdn", CDNSecretKey: "cdn-secret",
		EventsQueue: eventsQueue, IncomingBucket: "incoming", MediaBucket: "media",
	}
}

// startTestBundle starts a cloud that the test closes.
func startTestBundle(t *testing.T, cfg Config) *testBundle {
	t.Helper()
	cloud, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.S3Addr, cfg.SQSAddr = cloud.S3Addr(), cloud.SQSAddr()
	return &testBundle{
		cloud: cloud, cfg: cfg,
		s3:  s3.NewClient("http://"+cfg.S3Addr, cfg.Region, cfg.AccessKey, cfg.SecretKey),
		sqs: newSQSClient(cfg),
	}
}

// newTestBundle starts a provisioned cloud for the length of the test.
func newTestBundle(t *testing.T) *testBundle {
	t.Helper()
	b := startTestBundle(t, testConfig(t.TempDir()))
	t.Cleanup(func() { b.close(t) })
	b.provision(t, b.cfg)
	return b
}

func (b *testBundle) provision(t *testing.T, cfg Config) {
	t.Helper()
	if err := Provision(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func (b *testBundle) close(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := b.cloud.Close(ctx); err != nil {
		t.Error(err)
	}
}

func (b *testBundle) put(t *testing.T, key, content string) *awss3.PutObjectOutput {
	t.Helper()
	out, err := b.s3.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String("incoming"), Key: &key, Body: strings.NewReader(content),
	})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return out
}

func (b *testBundle) queueURL(t *testing.T, name string) *string {
	t.Helper()
	out, err := b.sqs.GetQueueUrl(t.Context(), &awssqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		t.Fatalf("find queue %s: %v", name, err)
	}
	return out.QueueUrl
}

func (b *testBundle) attributes(t *testing.T, name string) map[string]string {
	t.Helper()
	out, err := b.sqs.GetQueueAttributes(t.Context(), &awssqs.GetQueueAttributesInput{
		QueueUrl: b.queueURL(t, name), AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		t.Fatalf("read the attributes of queue %s: %v", name, err)
	}
	return out.Attributes
}

// eventKeys returns the keys of the events that wait in the events queue.
func (b *testBundle) eventKeys(t *testing.T) []string {
	t.Helper()
	out, err := b.sqs.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{
		QueueUrl: b.queueURL(t, eventsQueue), MaxNumberOfMessages: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]string, 0, len(out.Messages))
	for _, message := range out.Messages {
		var body struct {
			Records []struct {
				S3 struct {
					Object struct{ Key string }
				}
			}
		}
		if err := json.Unmarshal([]byte(*message.Body), &body); err != nil || len(body.Records) != 1 {
			t.Fatalf("event %s: %v", *message.Body, err)
		}
		keys = append(keys, body.Records[0].S3.Object.Key)
	}
	slices.Sort(keys)
	return keys
}

func TestUploadsReachTheEventsQueue(t *testing.T) {
	b := newTestBundle(t)
	b.put(t, "thumbnails/a/200.jpg", "x")
	b.put(t, "uploads/a b.jpg", "x")
	if got := b.eventKeys(t); !slices.Equal(got, []string{"uploads/a+b.jpg"}) {
		t.Errorf("events of %v, want only uploads/a+b.jpg", got)
	}
}

func TestFaultsMayBeSetWhileRunning(t *testing.T) {
	b := newTestBundle(t)
	if err := b.cloud.Faults().Set(s3.FaultPlan{Drop: 1}); err != nil {
		t.Fatal(err)
	}
	b.put(t, "uploads/a", "x")
	if err := b.cloud.Faults().Set(s3.FaultPlan{Duplicate: 1}); err != nil {
		t.Fatal(err)
	}
	b.put(t, "uploads/b", "x")
	if got := b.eventKeys(t); !slices.Equal(got, []string{"uploads/b", "uploads/b"}) {
		t.Errorf("events of %v, want two of uploads/b", got)
	}
}

func TestRestartKeepsObjectsAndMessages(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Faults = s3.NewFaults(1)
	first := startTestBundle(t, cfg)
	first.provision(t, first.cfg)
	stored := first.put(t, "uploads/in-time", "content")
	if err := cfg.Faults.Set(s3.FaultPlan{Delay: 1, MaxDelay: 1000 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	first.put(t, "uploads/late", "content")
	if got := first.attributes(t, eventsQueue)["ApproximateNumberOfMessages"]; got != "1" {
		t.Errorf("%s events before the late one, want 1", got)
	}
	first.close(t)

	second := startTestBundle(t, cfg)
	defer second.close(t)
	second.provision(t, second.cfg)
	if got := second.eventKeys(t); !slices.Equal(got, []string{"uploads/in-time", "uploads/late"}) {
		t.Errorf("events of %v after a restart", got)
	}
	head, err := second.s3.HeadObject(t.Context(), &awss3.HeadObjectInput{
		Bucket: aws.String("incoming"), Key: aws.String("uploads/in-time"), VersionId: stored.VersionId,
	})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ETag != *stored.ETag {
		t.Errorf("ETag %s after a restart, want %s", *head.ETag, *stored.ETag)
	}
}

func TestEmptyCloudServesAnyClient(t *testing.T) {
	cfg := testConfig(t.TempDir())
	b := startTestBundle(t, Config{
		DataDir: cfg.DataDir, S3Addr: cfg.S3Addr, SQSAddr: cfg.SQSAddr,
		Region: cfg.Region, AccessKey: cfg.AccessKey, SecretKey: cfg.SecretKey,
	})
	defer b.close(t)
	if _, err := b.s3.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("somebodys-bucket")}); err != nil {
		t.Error(err)
	}
	queue, err := b.sqs.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: aws.String("somebodys-queue")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.sqs.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: queue.QueueUrl, MessageBody: aws.String("x")}); err != nil {
		t.Error(err)
	}
}

func TestCDNAccountMayNotUseQueues(t *testing.T) {
	b := newTestBundle(t)
	asCDN := b.cfg
	asCDN.AccessKey, asCDN.SecretKey = b.cfg.CDNAccessKey, b.cfg.CDNSecretKey
	_, err := newSQSClient(asCDN).ListQueues(t.Context(), &awssqs.ListQueuesInput{})
	var apiErr smithy.APIError
	if !errors.As(err, &apiErr) || apiErr.ErrorCode() != "InvalidClientTokenId" {
		t.Errorf("error %v, want InvalidClientTokenId", err)
	}
}

func TestCloseEndsLongPolls(t *testing.T) {
	b := startTestBundle(t, testConfig(t.TempDir()))
	b.provision(t, b.cfg)
	queue := b.queueURL(t, "sluice-verify")
	sent, answered := make(chan struct{}), make(chan struct{})
	polling := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) },
	})
	go func() {
		defer close(answered)
		_, _ = b.sqs.ReceiveMessage(polling, &awssqs.ReceiveMessageInput{QueueUrl: queue, WaitTimeSeconds: 20},
			func(o *awssqs.Options) { o.Retryer = aws.NopRetryer{} })
	}()
	<-sent
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // far less than the poll would wait
	defer cancel()
	if err := b.cloud.Close(ctx); err != nil {
		t.Error(err)
	}
	<-answered
}

func TestStartReportsEveryMistake(t *testing.T) {
	_, err := Start(t.Context(), Config{CDNAccessKey: "cdn", EventsQueue: "q"})
	if err == nil {
		t.Fatal("an empty config was accepted")
	}
	for _, mistake := range []string{"DataDir", "S3Addr", "SQSAddr", "Region", "AccessKey", "SecretKey", "CDNSecretKey", "IncomingBucket"} {
		if !strings.Contains(err.Error(), mistake) {
			t.Errorf("the error does not name %s: %v", mistake, err)
		}
	}
}

func TestStartRefusesBusyPorts(t *testing.T) {
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	busy := listener.Addr().String()
	for name, occupy := range map[string]func(*Config){
		"S3":  func(cfg *Config) { cfg.S3Addr = busy },
		"SQS": func(cfg *Config) { cfg.SQSAddr = busy },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			occupy(&cfg)
			if _, err := Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), busy) || !strings.Contains(err.Error(), name) {
				t.Fatalf("error %v, want one that names %s and %s", err, name, busy)
			}
			startTestBundle(t, testConfig(cfg.DataDir)).close(t) // nothing of the failed start is left
		})
	}
}
