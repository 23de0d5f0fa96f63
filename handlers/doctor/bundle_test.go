package doctor

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-media/sluice/handlers/scan"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/sqs/sqstest"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

const (
	page  = "https://app.example.com"
	other = "https://other.example.com"
)

// testBundle is a Sluice as it should be, but without workers.
type testBundle struct {
	config  Config
	deps    Deps
	queues  *sqstest.Server
	storage storage.Config
	admin   *s3.Client
}

func newTestBundle(t *testing.T) *testBundle {
	t.Helper()
	var topics []string
	for _, stage := range pipeline.Stages() {
		topics = append(topics, pipeline.Topic(stage))
	}
	clamd := os.Getenv("SLUICE_CLAMD_ADDRESS")
	if clamd == "" {
		t.Fatal("SLUICE_CLAMD_ADDRESS is not set: run the tests by `make test`, or load the environment of a running stack")
	}
	pool := sagatest.Pool(t)
	b := &testBundle{
		queues:  sqstest.New(t, topics...),
		storage: storagetest.Config(t),
		config: Config{
			AllowedOrigins: []string{page, other}, EventWait: 200 * time.Millisecond,
			MaxReceives: sqstest.MaxReceiveCount - 1, ScanMaxSize: 1 << 20, TestSignatures: true,
		},
	}
	b.storage.Provider = storage.VersityGW
	conf := storagetest.AWS(t)
	b.admin = storagetest.Admin(t, b.storage.Endpoint)
	b.deps = Deps{
		Credentials: conf.Credentials, Objects: storage.New(conf, b.storage), SQS: b.queues.Client, Queues: b.queues.Queues,
		Pool: pool, Store: storeOf(pool), Clamd: scan.NewClamd(clamd),
	}
	b.allow(t, page, other)
	for _, stage := range pipeline.Stages() {
		b.set(t, pipeline.DeadLetterTopic(stage), "MessageRetentionPeriod", "1209600")
	}
	return b
}

func (b *testBundle) doctor() *Doctor { return New(b.config, b.deps) }

// allow sets the CORS rule of the incoming bucket.
func (b *testBundle) allow(t *testing.T, origins ...string) {
	t.Helper()
	_, err := b.admin.PutBucketCors(t.Context(), &s3.PutBucketCorsInput{
		Bucket: &b.storage.IncomingBucket,
		CORSConfiguration: &s3types.CORSConfiguration{CORSRules: []s3types.CORSRule{{
			AllowedOrigins: origins, AllowedMethods: []string{"PUT"}, AllowedHeaders: []string{"*"}, ExposeHeaders: []string{"ETag"},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// set changes an attribute of a topic's queue.
func (b *testBundle) set(t *testing.T, topic, name, value string) {
	t.Helper()
	url, err := b.deps.Queues.URL(t.Context(), topic)
	if err == nil {
		_, err = b.deps.SQS.SetQueueAttributes(t.Context(), &awssqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{name: value}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// publish puts an object into the media bucket.
func (b *testBundle) publish(t *testing.T) {
	t.Helper()
	if _, err := b.deps.Objects.Put(t.Context(), b.storage.MediaBucket, "uploads/a.jpg", strings.NewReader("a"), storage.Properties{}); err != nil {
		t.Fatal(err)
	}
}

// nowhere is a pool on a database that is not there.
func nowhere(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := sagas.Connect(context.Background(), sagas.Config{
		URL: "postgres://sluice@127.0.0.1:1/sluice?sslmode=disable", MaxConns: 2, ConnectTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func storeOf(pool *pgxpool.Pool) *sagas.Store { return sagas.NewStore(pool, "doctor") }

// wantFinding checks one of the findings.
func wantFinding(t *testing.T, findings []Finding, check string, status Status, says string) {
	t.Helper()
	for _, f := range findings {
		if f.Check != check {
			continue
		}
		if f.Status != status || !strings.Contains(f.Detail+"; "+f.Fix, says) || (f.Status == OK) != (f.Fix == "") || strings.Contains(f.Detail, "\n") {
			t.Errorf("found %+v, want %s: %s", f, status, says)
		}
		if strings.Contains(f.Detail, "X-Amz-Signature") {
			t.Errorf("%s shows a signature", f.Detail)
		}
		return
	}
	t.Errorf("%s is not among %+v", check, findings)
}

func strangers() aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "NOBODY", SecretAccessKey: "nothing", Source: "test"}, nil
	})
}
