package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/sagas"
)

// settleGrace is what a subscriber needs after its handlers' grace to send its last acknowledgements.
const settleGrace = 15 * time.Second

// workerCommand is `sluice worker` as far as delivery goes: the real runner, store, transport and log, with all their
// defaults, around stages that have nothing to do.
type workerCommand struct {
	Database sagas.Config    `embed:"" prefix:"database-"`
	SQS      sqs.Config      `embed:"" prefix:"sqs-"`
	Pipeline pipeline.Config `embed:""`

	Sleep      time.Duration `help:"How long each stage waits, as for something slow elsewhere."`
	Log        string        `help:"File for the log." required:""`
	Statements string        `help:"File for the number of statements, written at the end." required:""`
}

// idleStage passes every upload on.
type idleStage struct {
	name  string
	sleep time.Duration
}

// results are the states that the stages of the line lead to. Settle and notify leave the state as it is.
var results = map[string]sagas.State{
	pipeline.Intake:    sagas.Uploaded,
	pipeline.Verify:    sagas.Verified,
	pipeline.Scan:      sagas.Clean,
	pipeline.Thumbnail: sagas.Processed,
	pipeline.Publish:   sagas.Ready,
}

// moves is how many transitions an upload makes after its beginning: one for each result, and one for its delivery.
func moves() int { return len(results) + 1 }

func (s idleStage) Name() string { return s.name }

func (s idleStage) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	if s.sleep > 0 {
		select {
		case <-time.After(s.sleep):
		case <-ctx.Done():
			return pipeline.Outcome{}, context.Cause(ctx)
		}
	}
	switch s.name {
	case pipeline.Intake:
		return pipeline.Advance(sagas.Uploaded, sagas.Facts{ETag: "9e107d9d372bb6826bd81d3542a419d6", VersionID: "1"}), nil
	case pipeline.Settle, pipeline.Notify:
		return pipeline.Advance(u.State, sagas.Facts{}), nil
	default:
		return pipeline.Advance(results[s.name], sagas.Facts{}), nil
	}
}

// Run works until ctx ends.
func (c *workerCommand) Run(ctx context.Context) (err error) {
	file, err := os.Create(c.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	log := slog.New(slog.NewTextHandler(file, nil))

	statements := &statementCounter{}
	pool, err := tracedPool(ctx, c.Database, statements)
	if err != nil {
		return err
	}
	defer pool.Close()
	registry := prometheus.NewRegistry()
	store := sagas.NewStore(pool, fmt.Sprintf("bench/%d", os.Getpid()))
	queues := sqs.NewQueues(sqs.NewClient((&queues{endpoint: c.SQS.Endpoint}).aws(), c.SQS), c.SQS.Prefix)
	transport := sqs.NewMetrics(registry)
	publisher := sqs.NewPublisher(queues, transport)
	runner := pipeline.NewRunner(c.Pipeline, store, publisher, pipeline.NewMetrics(registry), log)

	router, err := message.NewRouter(message.RouterConfig{
		CloseTimeout: c.SQS.Subscriber.DrainGrace + settleGrace,
	}, watermill.NewSlogLogger(log))
	if err != nil {
		return err
	}
	router.AddMiddleware(middleware.Recoverer)
	c.SQS.Subscriber.Gate = pipeline.Gate(store.Ping)
	for _, name := range pipeline.Stages() {
		subscriber, err := sqs.NewSubscriber(queues, c.SQS.Subscriber, transport, log.With("stage", name))
		if err != nil {
			return err
		}
		router.AddConsumerHandler(name, pipeline.Topic(name), subscriber, runner.Handle(idleStage{name, c.Sleep}))
	}
	return errors.Join(router.Run(ctx), publisher.Close(), statements.write(c.Statements))
}

// tracedPool is the store's pool with something that watches its statements.
func tracedPool(ctx context.Context, c sagas.Config, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	pool, err := sagas.Connect(ctx, c)
	if err != nil {
		return nil, err
	}
	config := pool.Config()
	pool.Close()
	config.ConnConfig.Tracer = tracer
	return pgxpool.NewWithConfig(ctx, config)
}

func (c *statementCounter) write(path string) error {
	counts, err := json.Marshal(statementCounts{Reads: c.reads.Load(), Writes: c.writes.Load()})
	if err != nil {
		return err
	}
	return os.WriteFile(path, counts, 0o600)
}
