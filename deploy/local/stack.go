package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/sluice-media/sluice/deploy/local/clamd"
	"github.com/sluice-media/sluice/deploy/local/cloud"
	"github.com/sluice-media/sluice/deploy/local/edge"
	"github.com/sluice-media/sluice/deploy/local/postgres"
	"github.com/sluice-media/sluice/deploy/local/s3"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

const (
	region         = "us-east-1"
	incomingBucket = "incoming"
	mediaBucket    = "media"
	queuePrefix    = "sluice-"
	eventsQueue    = queuePrefix + "s3-events"
)

// stack is what Sluice needs, running: everything but Sluice's own processes.
type stack struct {
	layout  layout
	ports   ports
	secrets secrets
	// durable data survives a crash of the machine, at the price of slower writes.
	durable bool
	// databaseURL names a PostgreSQL server of the operator's, which is used instead of a private one.
	databaseURL string
	// faults disturbs the events of S3; nil means none.
	faults *s3.Faults
	// maxReceiveCount is how often a message is received before it is a dead letter; 0 means cloud's default.
	maxReceiveCount int

	logger     *slog.Logger
	supervisor *supervise.Supervisor
	lifecycle  *lifecycle
	clamd      *supervise.Service
	// database is nil when it is the operator's.
	database *supervise.Service
	viewers  *supervise.Service
}

func (s *stack) clamdConfig() clamd.Config {
	return clamd.Config{Dir: s.layout.service("clamd"), Port: s.ports.clamd()}
}

func (s *stack) postgresConfig() postgres.Config {
	return postgres.Config{
		Dir:      s.layout.service("postgres"),
		Port:     s.ports.postgres(),
		Password: s.secrets.PostgresPassword,
		Durable:  s.durable,
	}
}

func (s *stack) edgeConfig() edge.Config {
	return edge.Config{
		Dir:       s.layout.service("edge"),
		Port:      s.ports.edge(),
		Origin:    s.s3URL(),
		Region:    region,
		Bucket:    mediaBucket,
		AccessKey: s.secrets.CDNAccessKey,
		SecretKey: s.secrets.CDNSecretKey,
	}
}

func (s *stack) s3URL() string  { return "http://" + address(s.ports.s3()) }
func (s *stack) sqsURL() string { return "http://" + address(s.ports.sqs()) }
func (s *stack) apiURL() string { return "http://" + address(s.ports.api()) }

// start starts everything, and returns when all of it answers but clamd, which may still be loading signatures: see
// waitForClamd. What was started before an error is on the lifecycle.
func (s *stack) start(ctx context.Context) error {
	if err := s.startCloud(ctx); err != nil {
		return err
	}
	var err error
	if s.clamd, err = clamd.Launch(ctx, s.supervisor, s.clamdConfig()); err != nil {
		return err
	}
	s.lifecycle.onStop("clamd", s.clamd.Stop)

	if s.databaseURL == "" {
		if s.database, err = postgres.Start(ctx, s.supervisor, s.postgresConfig()); err != nil {
			return err
		}
		s.lifecycle.onStop("PostgreSQL", s.database.Stop)
	}

	if s.viewers, err = edge.Start(ctx, s.supervisor, s.edgeConfig()); err != nil {
		return err
	}
	s.lifecycle.onStop("the CDN edge", s.viewers.Stop)
	return nil
}

func (s *stack) startCloud(ctx context.Context) error {
	config := cloud.Config{
		DataDir:         s.layout.cloud(),
		S3Addr:          address(s.ports.s3()),
		SQSAddr:         address(s.ports.sqs()),
		Region:          region,
		AccessKey:       s.secrets.AccessKey,
		SecretKey:       s.secrets.SecretKey,
		CDNAccessKey:    s.secrets.CDNAccessKey,
		CDNSecretKey:    s.secrets.CDNSecretKey,
		EventsQueue:     eventsQueue,
		IncomingBucket:  incomingBucket,
		MediaBucket:     mediaBucket,
		QueuePrefix:     queuePrefix,
		Faults:          s.faults,
		MaxReceiveCount: s.maxReceiveCount,
		Logger:          s.logger,
	}
	running, err := cloud.Start(ctx, config)
	if err != nil {
		return fmt.Errorf("start S3 and SQS: %w", err)
	}
	s.lifecycle.onStop("S3 and SQS", running.Close)
	if err := cloud.Provision(ctx, config); err != nil {
		return fmt.Errorf("create buckets and queues: %w", err)
	}
	return nil
}

// errLoading means that clamd was still loading signatures when patience ended.
var errLoading = errors.New("clamd is still loading signatures")

// waitForClamd waits until clamd answers. Official signatures take it many seconds to load; past patience the error is
// errLoading, and clamd goes on loading.
func (s *stack) waitForClamd(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errLoading)
	defer cancel()
	return s.clamd.WaitReady(ctx)
}

// environment is what Sluice's processes, tests and other clients of this stack need to know.
func (s *stack) environment(now time.Time) (environment, error) {
	token, err := s.secrets.token(now)
	if err != nil {
		return nil, err
	}
	databaseURL := s.databaseURL
	if databaseURL == "" {
		databaseURL = s.postgresConfig().URL()
	}
	return environment{
		{"AWS_REGION", region},
		{"AWS_ACCESS_KEY_ID", s.secrets.AccessKey},
		{"AWS_SECRET_ACCESS_KEY", s.secrets.SecretKey},
		{"SLUICE_S3_ENDPOINT", s.s3URL()},
		{"SLUICE_S3_PUBLIC_ENDPOINT", s.s3URL()},
		{"SLUICE_S3_PROVIDER", "versitygw"},
		{"SLUICE_S3_INCOMING_BUCKET", incomingBucket},
		{"SLUICE_S3_MEDIA_BUCKET", mediaBucket},
		{"SLUICE_SQS_ENDPOINT", s.sqsURL()},
		{"SLUICE_SQS_PREFIX", queuePrefix},
		{"SLUICE_DATABASE_URL", databaseURL},
		{"SLUICE_CLAMD_ADDRESS", "tcp://" + s.clamdConfig().Address()},
		{"SLUICE_CLAMD_TEST_SIGNATURES", strconv.FormatBool(!s.clamdConfig().Official())},
		{"SLUICE_SCAN_MAX_SIZE", strconv.Itoa(clamd.MaxScanSize)},
		{"SLUICE_MEDIA_URL", s.edgeConfig().URL()},
		{"SLUICE_LISTEN", address(s.ports.api())},
		{"SLUICE_METRICS_LISTEN", address(s.ports.metrics())},
		{"SLUICE_JWT_SECRET", s.secrets.JWTSecret},
		{"SLUICE_URL", s.apiURL()},
		{"SLUICE_TOKEN", token},
		{"VIPS_BLOCK_UNTRUSTED", "1"},
	}, nil
}
