package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/deploy/local/supervise"
	"github.com/sluice-media/sluice/pipeline"
)

const (
	// pollDrained is how often the queues are asked whether everything is done.
	pollDrained = 10 * time.Millisecond
	// lineLimit is when a run has gone wrong.
	lineLimit = 3 * time.Minute
)

// lineRun is one measurement of the whole line: so many uploads whose events arrive at once.
type lineRun struct {
	database *database
	queues   *queues
	uploads  int
	workers  int           // processes
	slots    int           // of each stage of each worker
	sleep    time.Duration // of each stage
}

// lineFigures are what it took.
type lineFigures struct {
	finished
	uploads    int
	cpu        time.Duration // of the workers
	requests   map[string]int64
	statements statementCounts
}

// measureLine runs workers over uploads from initiated until their outcome is notified, and checks that each made
// each move once.
func (b *bed) measureLine(ctx context.Context, run lineRun) (figures lineFigures, err error) {
	ctx, cancel := context.WithTimeout(ctx, lineLimit)
	defer cancel()
	prefix := "line-" + uuid.NewString() + "-"
	var names []string
	for _, stage := range pipeline.Stages() {
		names = append(names, prefix+pipeline.Topic(stage))
		if err := run.queues.fill(ctx, prefix+pipeline.Topic(stage), nil); err != nil {
			return figures, err
		}
	}
	before, err := run.queues.requests(ctx)
	if err != nil {
		return figures, err
	}
	workers, err := b.startWorkers(ctx, run, prefix)
	if err != nil {
		return figures, err
	}
	defer func() {
		for _, w := range workers {
			err = errors.Join(err, w.service.Stop(context.WithoutCancel(ctx)))
		}
	}()
	events, err := run.database.begin(ctx, run.uploads)
	if err != nil {
		return figures, err
	}
	if err := run.queues.awaitPolls(ctx, before["ReceiveMessage"]+int64(len(names)*run.workers)); err != nil {
		return figures, err
	}

	cpuBefore, err := cpuOf(workers)
	if err != nil {
		return figures, err
	}
	if before, err = run.queues.requests(ctx); err != nil {
		return figures, err
	}
	if err := run.queues.fill(ctx, prefix+pipeline.EventsTopic, events); err != nil {
		return figures, err
	}
	if err := run.queues.awaitDrained(ctx, names); err != nil {
		return figures, err
	}
	cpuAfter, err := cpuOf(workers)
	if err != nil {
		return figures, err
	}
	after, err := run.queues.requests(ctx)
	if err != nil {
		return figures, err
	}
	figures = lineFigures{uploads: run.uploads, cpu: cpuAfter - cpuBefore, requests: workerRequests(before, after)}
	for _, w := range workers {
		if err := w.service.Stop(ctx); err != nil {
			return figures, err
		}
		counts, err := readStatements(w.statements)
		if err != nil {
			return figures, err
		}
		figures.statements.Reads += counts.Reads
		figures.statements.Writes += counts.Writes
	}
	workers = nil
	figures.finished, err = run.database.finish(ctx, run.uploads)
	return figures, err
}

// workerProcess is a worker and the file that it leaves.
type workerProcess struct {
	service    *supervise.Service
	statements string
}

func (b *bed) startWorkers(ctx context.Context, run lineRun, prefix string) ([]workerProcess, error) {
	var workers []workerProcess
	for i := range run.workers {
		name := prefix + "worker-" + strconv.Itoa(i)
		statements := filepath.Join(b.dir, name+".json")
		service, err := b.supervisor.Start(ctx, supervise.Spec{
			Name: name,
			Path: b.program,
			Args: []string{
				"worker", "--database-url", run.database.url, "--sqs-endpoint", run.queues.endpoint, "--sqs-prefix", prefix,
				"--sqs-slots", strconv.Itoa(run.slots), "--sleep", run.sleep.String(), "--log", filepath.Join(b.dir, name+".log"), "--statements", statements,
			},
		})
		if err != nil {
			return nil, err
		}
		workers = append(workers, workerProcess{service, statements})
	}
	return workers, nil
}

func cpuOf(workers []workerProcess) (sum time.Duration, err error) {
	for _, w := range workers {
		used, err := cpuTime(w.service.PID())
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// awaitPolls waits until the workers poll each queue.
func (q *queues) awaitPolls(ctx context.Context, polls int64) error {
	return await(ctx, "the workers to poll", func() (bool, error) {
		requests, err := q.requests(ctx)
		return requests["ReceiveMessage"] >= polls, err
	})
}

// awaitDrained waits until no message is left: a stage deletes its message after it has sent the next.
func (q *queues) awaitDrained(ctx context.Context, names []string) error {
	return await(ctx, "the line to run empty", func() (bool, error) {
		left, err := q.left(ctx, names...)
		return left == 0, err
	})
}

func await(ctx context.Context, what string, holds func() (bool, error)) error {
	poll := time.NewTicker(pollDrained)
	defer poll.Stop()
	for {
		if ok, err := holds(); err != nil || ok {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
}

// workerRequests are the requests of workers in between: this program itself asks for attributes only.
func workerRequests(before, after map[string]int64) map[string]int64 {
	between := map[string]int64{}
	for action, n := range after {
		if action != "GetQueueAttributes" && action != "GetQueueUrl" && n > before[action] {
			between[action] = n - before[action]
		}
	}
	return between
}
