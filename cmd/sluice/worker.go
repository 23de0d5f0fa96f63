package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-media/sluice/handlers/intake"
	"github.com/sluice-media/sluice/handlers/notify"
	"github.com/sluice-media/sluice/handlers/ops"
	"github.com/sluice-media/sluice/handlers/publish"
	"github.com/sluice-media/sluice/handlers/scan"
	"github.com/sluice-media/sluice/handlers/thumbnail"
	"github.com/sluice-media/sluice/handlers/verify"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/sqs"
)

// settleGrace is what a subscriber needs after its handlers' grace to send its last acknowledgements.
const settleGrace = 15 * time.Second

type workerCommand struct {
	Stages        []string `predictor:"stage" help:"Stages to run." default:"${stages}"`
	MetricsListen string   `help:"Address for /metrics, /healthz and /readyz." default:"127.0.0.1:8086"`
	MediaURL      string   `help:"URL under which published files are served." default:"http://127.0.0.1:8081"`

	Backends  backends         `embed:""`
	Verify    verify.Config    `embed:""`
	Scan      scan.Config      `embed:""`
	Thumbnail thumbnail.Config `embed:"" prefix:"thumbnail-"`
	Publish   publish.Config   `embed:"" prefix:"publish-"`
	Notify    notify.Config    `embed:"" prefix:"webhook-"`

	Sweep pipeline.SweepConfig `embed:"" prefix:"sweep-"`
}

// Validate reports every mistake at once. kong asks it before the parts, whose mistakes it would report one by one.
func (c *workerCommand) Validate() error {
	return errors.Join(c.checkStages(), c.Backends.Validate(), c.Verify.Validate(), c.Scan.Validate(),
		c.Thumbnail.Validate(), c.Publish.Validate(), c.Notify.Validate(), c.Sweep.Validate())
}

func (c *workerCommand) checkStages() error {
	var errs []error
	for _, name := range c.Stages {
		if !slices.Contains(pipeline.Stages(), name) {
			errs = append(errs, fmt.Errorf("stages: %q is not one of %s", name, strings.Join(pipeline.Stages(), ", ")))
		}
	}
	if len(c.Stages) == 0 {
		errs = append(errs, errors.New("stages is empty"))
	}
	return errors.Join(errs...)
}

// Run works until ctx is done, then finishes what it has begun.
func (c *workerCommand) Run(ctx context.Context, log *slog.Logger) (err error) {
	defer runtime.KeepAlive(ballast())
	backends, err := c.Backends.connect(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backends.close(ctx)) }()

	arrivals := intake.New(c.Backends.Incoming, backends.objects)
	scanner := scan.New(c.Scan, backends.objects)
	teller := notify.New(c.Notify, c.MediaURL)
	steps := pipeline.Steps{
		arrivals,
		verify.New(c.Verify, backends.objects),
		scanner,
		thumbnail.New(c.Thumbnail, backends.objects),
		publish.New(c.Publish, backends.objects),
	}
	stages := append(slices.Clone(steps), pipeline.Settling{Steps: steps}, teller)
	needs := needs{pipeline.Scan: scanner.Ping, pipeline.Notify: teller.Ready}

	router, err := c.router(backends, stages, needs, log)
	if err != nil {
		return err
	}
	checks := backends.checks()
	if slices.Contains(c.Stages, pipeline.Scan) {
		checks = append(checks, ops.Ping("clamd", scanner.Ping))
		backends.registry.MustRegister(scanner.SignatureAge())
	}
	sweeper := pipeline.NewSweeper(c.Sweep, backends.runner, arrivals, steps, backends.registry, log)
	gauges := pipeline.NewGauges(backends.registry, backends.store, backends.queues, log)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return router.Run(ctx) })
	group.Go(func() error { sweeper.Run(ctx); return nil })
	group.Go(func() error { gauges.Run(ctx); return nil })
	group.Go(func() error {
		return ops.Serve(ctx, c.MetricsListen, ops.Handler(backends.registry, checks, log), log)
	})
	return group.Wait()
}

// needs says what a stage needs beside the database and S3. While that is away, the stage receives nothing.
type needs map[string]func(context.Context) error

// router gives each stage that this worker runs a subscriber of its own.
func (c *workerCommand) router(b *connected, stages []pipeline.Stage, needs needs, log *slog.Logger) (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{
		CloseTimeout: c.Backends.SQS.Subscriber.DrainGrace + settleGrace,
	}, watermill.NewSlogLogger(log))
	if err != nil {
		return nil, fmt.Errorf("making the router: %w", err)
	}
	router.AddMiddleware(middleware.Recoverer)
	ready := pipeline.Gate(b.store.Ping, b.objects.Ping)
	for _, stage := range stages {
		name := stage.Name()
		if !slices.Contains(c.Stages, name) {
			continue
		}
		config := c.Backends.SQS.Subscriber
		config.Gate = ready
		if need, ok := needs[name]; ok {
			config.Gate = pipeline.Gate(ready, need)
		}
		subscriber, err := sqs.NewSubscriber(b.queues, config, b.sqsMetrics, log.With("stage", name))
		if err != nil {
			return nil, err
		}
		router.AddConsumerHandler(name, pipeline.Topic(name), subscriber, b.runner.Handle(stage))
	}
	return router, nil
}
