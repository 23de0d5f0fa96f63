package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sluice-media/sluice/handlers/intake"
	"github.com/sluice-media/sluice/handlers/ops"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/failpoint"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// flushTimeout is how long the end of a process waits for its last changes to be announced.
const flushTimeout = 2 * time.Second

// backends are what both the API and the workers stand on.
type backends struct {
	Database sagas.Config    `embed:"" prefix:"database-"`
	S3       storage.Config  `embed:"" prefix:"s3-"`
	SQS      sqs.Config      `embed:"" prefix:"sqs-"`
	Pipeline pipeline.Config `embed:""`
	Incoming intake.Config   `embed:"" prefix:"incoming-"`

	ClamdTestSignatures bool `help:"Warn, in /readyz and the log, that the scanner knows test signatures only."`
}

// Validate reports every mistake at once.
func (b backends) Validate() error {
	return errors.Join(b.Database.Validate(), b.S3.Validate(), b.SQS.Validate(), b.Pipeline.Validate())
}

// connected are the backends in use.
type connected struct {
	pool       *pgxpool.Pool
	store      *sagas.Store
	objects    *storage.Client
	queues     *sqs.Queues
	sqsMetrics *sqs.Metrics
	publisher  *sqs.Publisher
	runner     *pipeline.Runner
	registry   *prometheus.Registry

	testSignatures bool
}

// loadAWS takes credentials and region from wherever the SDK finds them.
func loadAWS(ctx context.Context) (aws.Config, error) {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("loading AWS credentials: %w", err)
	}
	failpoint.AWS(&c)
	return c, nil
}

// connect opens everything; close is its counterpart.
func (b backends) connect(ctx context.Context, log *slog.Logger) (*connected, error) {
	aws, err := loadAWS(ctx)
	if err != nil {
		return nil, err
	}
	pool, err := sagas.Connect(ctx, b.Database)
	if err != nil {
		return nil, err
	}
	if b.ClamdTestSignatures {
		log.Warn("the scanner knows test signatures only")
	}
	c := &connected{testSignatures: b.ClamdTestSignatures, pool: pool, store: sagas.NewStore(pool, worker()), registry: prometheus.NewRegistry()}
	c.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c.objects = storage.New(aws, b.S3) //nolint:contextcheck // finding out where a bucket is needs no network
	c.queues = sqs.NewQueues(sqs.NewClient(aws, b.SQS), b.SQS.Prefix)
	c.sqsMetrics = sqs.NewMetrics(c.registry)
	c.publisher = sqs.NewPublisher(c.queues, c.sqsMetrics)
	c.runner = pipeline.NewRunner(b.Pipeline, c.store, c.publisher, pipeline.NewMetrics(c.registry), log)
	return c, nil
}

// close sends what is still to be sent and lets go of the connections.
func (c *connected) close(ctx context.Context) error {
	err := c.publisher.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	err = errors.Join(err, c.store.Flush(ctx))
	c.pool.Close()
	return err
}

// checks are what /readyz asks.
func (c *connected) checks() []ops.Check {
	checks := []ops.Check{
		ops.Ping("database", func(ctx context.Context) error { return sagas.CheckSchema(ctx, c.pool) }),
		ops.Ping("s3", c.objects.Ping),
		ops.Ping("sqs", func(ctx context.Context) error {
			_, _, _, err := c.queues.Depth(ctx, pipeline.EventsTopic)
			return err
		}),
	}
	if c.testSignatures {
		checks = append(checks, ops.Check{Name: "signatures", Run: func(context.Context) (string, error) {
			return "test signatures only", nil
		}})
	}
	return checks
}

// worker names this process in the history.
func worker() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
