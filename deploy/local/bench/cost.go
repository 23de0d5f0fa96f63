package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// smallHistory is how many settled uploads a young installation has.
const smallHistory = 1_000

// measureCost is what one upload costs on its way through all stages.
func measureCost(ctx context.Context, b *bed, e extent, r *report) error {
	q, err := b.startQueues(ctx, 0)
	if err != nil {
		return err
	}
	d, err := b.createSluice(ctx, "cost", smallHistory, smallHistory)
	if err != nil {
		return err
	}
	var runs []lineFigures
	for range e.rounds {
		figures, err := b.measureLine(ctx, lineRun{database: d, queues: q, uploads: e.uploads, workers: 1, slots: e.slots})
		if err != nil {
			return err
		}
		runs = append(runs, figures)
	}
	of := func(figure func(lineFigures) float64) float64 { return medianOf(runs, figure) }
	requests := of(lineFigures.requestsPerUpload)
	writes := of(func(f lineFigures) float64 { return float64(f.statements.Writes) / float64(f.transitions) })
	rows := [][]string{
		{fmt.Sprintf("one worker, %d slots a stage, median of %d × %d uploads", e.slots, e.rounds, e.uploads)},
		{"uploads per second", fmt.Sprintf("%.0f", of(lineFigures.rate))},
		{"worker CPU per upload", micros(seconds(of(lineFigures.cpuPerUpload)))},
		{"Postgres statements per upload", fmt.Sprintf("%.2f, of which %.2f write", of(lineFigures.statementsPerUpload), writes*float64(moves()))},
		{"SQS requests per upload", fmt.Sprintf("%.2f", requests)},
	}
	last := runs[len(runs)-1]
	for _, action := range slices.Sorted(maps.Keys(last.requests)) {
		rows = append(rows, []string{"  " + action, fmt.Sprintf("%.2f", float64(last.requests[action])/float64(last.uploads))})
	}
	if err := r.table("The line: seven stages with nothing to do, real runner, Postgres and SQS", rows...); err != nil {
		return err
	}
	return r.targets(
		target{what: "SQS requests per upload", figure: requests, limit: 3, atMost: true},
		target{what: "Postgres writes per transition", figure: writes, limit: 1, atMost: true},
	)
}

// Where the work is waiting, each stage sleeps for so long, in so few slots that the processors are no part of it.
const (
	waiting      = 200 * time.Millisecond
	waitingSlots = 8
)

// measureWorkers is what a second worker adds when stages wait for something elsewhere.
func measureWorkers(ctx context.Context, b *bed, e extent, r *report) error {
	q, err := b.startQueues(ctx, 0)
	if err != nil {
		return err
	}
	d, err := b.createSluice(ctx, "workers", smallHistory, smallHistory)
	if err != nil {
		return err
	}
	var ratios, one, two []float64
	for range e.rounds {
		run := lineRun{database: d, queues: q, uploads: e.waiting, slots: waitingSlots, sleep: waiting}
		var rates [3]float64 // by number of workers
		for run.workers = 1; run.workers <= 2; run.workers++ {
			figures, err := b.measureLine(ctx, run)
			if err != nil {
				return err
			}
			rates[run.workers] = figures.steadyRate()
		}
		one, two, ratios = append(one, rates[1]), append(two, rates[2]), append(ratios, rates[2]/rates[1])
	}
	if err := r.table(fmt.Sprintf("Workers: each stage sleeps %s, %d slots a stage", waiting, waitingSlots),
		[]string{"one worker, uploads per second", fmt.Sprintf("%.1f", median(one))},
		[]string{"two workers", fmt.Sprintf("%.1f", median(two))},
	); err != nil {
		return err
	}
	return r.targets(target{what: "two workers against one", figure: median(ratios), limit: 1.8})
}

func (f lineFigures) rate() float64 { return float64(f.uploads) / f.took.Seconds() }

// steadyRate leaves out the beginning and the end, when some stages have nothing to do.
func (f lineFigures) steadyRate() float64 { return 0.6 * float64(f.uploads) / f.middle.Seconds() }

func (f lineFigures) cpuPerUpload() float64 { return f.cpu.Seconds() / float64(f.uploads) }

func (f lineFigures) statementsPerUpload() float64 {
	return float64(f.statements.Reads+f.statements.Writes) / float64(f.uploads)
}

func (f lineFigures) requestsPerUpload() float64 {
	var sum int64
	for _, n := range f.requests {
		sum += n
	}
	return float64(sum) / float64(f.uploads)
}

func medianOf(runs []lineFigures, figure func(lineFigures) float64) float64 {
	values := make([]float64, len(runs))
	for i, f := range runs {
		values[i] = figure(f)
	}
	return median(values)
}
