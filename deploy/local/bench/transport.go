package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const (
	// warmUp is how long a consumer runs before it is measured.
	warmUp = 500 * time.Millisecond
	// networkLatency is about that of SQS from within its region.
	networkLatency = 10 * time.Millisecond
	// transportSlots are as many messages in the air as the stock subscriber has in manySubscribes batches.
	transportSlots = manySubscribes * sqsBatch
)

// The consumers that are compared.
var (
	stockDefaults = stockConsumer("watermill-aws, defaults", 1, nil)
	stockBatches  = stockConsumer(fmt.Sprintf("watermill-aws, %d × Subscribe, batches", manySubscribes), manySubscribes, inBatches)
	bareLoops     = bareConsumer(16)
	ours          = sluiceConsumer(transportSlots)
)

// measureTransport compares ways to take messages off a queue, without and with the latency of a network.
func measureTransport(ctx context.Context, b *bed, e extent, r *report) error {
	near, err := b.compareConsumers(ctx, 0, e)
	if err != nil {
		return err
	}
	far, err := b.compareConsumers(ctx, networkLatency, e)
	if err != nil {
		return err
	}
	rows := [][]string{{"messages consumed per second", "0 ms", "client CPU/msg", networkLatency.String(), "client CPU/msg"}}
	for _, c := range []consumer{stockDefaults, stockBatches, bareLoops, ours} {
		n, f := near[c.name], far[c.name]
		rows = append(rows, []string{c.name, fmt.Sprintf("%.0f", n.rate()), micros(n.cpu()), fmt.Sprintf("%.0f", f.rate()), micros(f.cpu())})
	}
	if err := r.table("Transport: one queue, nothing to do with its messages", rows...); err != nil {
		return err
	}
	return r.targets(
		target{what: "10 ms: against watermill-aws at its defaults", figure: far[ours.name].against(far[stockDefaults.name]), limit: 100},
		target{what: "10 ms: against 64 × Subscribe with batches", figure: far[ours.name].against(far[stockBatches.name]), limit: 1.5},
		target{what: "0 ms: against bare batch loops", figure: near[ours.name].against(near[bareLoops.name]), limit: 0.8},
	)
}

// throughput is how fast messages leave a queue for good, and the consumer's CPU time for each.
type throughput struct {
	rate float64 // messages a second
	cpu  time.Duration
}

// rounds are the measurements of one consumer, in the order in which they were made.
type rounds []throughput

func (r rounds) rate() float64 { return r.median(func(t throughput) float64 { return t.rate }) }

func (r rounds) cpu() time.Duration {
	return seconds(r.median(func(t throughput) float64 { return t.cpu.Seconds() }))
}

func (r rounds) median(figure func(throughput) float64) float64 {
	values := make([]float64, len(r))
	for i, t := range r {
		values[i] = figure(t)
	}
	return median(values)
}

// against is the median of the ratios to another consumer in the same round, since what else the machine does may
// change from round to round.
func (r rounds) against(other rounds) float64 {
	ratios := make([]float64, len(r))
	for i := range r {
		ratios[i] = r[i].rate / other[i].rate
	}
	return median(ratios)
}

// compareConsumers measures each consumer in turn, round after round, and returns each one's rounds by name.
func (b *bed) compareConsumers(ctx context.Context, latency time.Duration, e extent) (map[string]rounds, error) {
	q, err := b.startQueues(ctx, latency)
	if err != nil {
		return nil, err
	}
	measured := map[string]rounds{}
	for range e.turns {
		for _, c := range []consumer{stockDefaults, stockBatches, bareLoops, ours} {
			messages := e.messages
			if c.name == stockDefaults.name {
				messages /= 10
			}
			t, err := q.consume(ctx, c, messages, e.window)
			if err != nil {
				return nil, err
			}
			measured[c.name] = append(measured[c.name], t)
		}
	}
	return measured, q.service.Stop(ctx)
}

// jobBody is what a job's message looks like on the queue.
func jobBody() string {
	id := uuid.NewString()
	return fmt.Sprintf(`{"id":"%s-3","payload":{"upload_id":%q}}`, id, id)
}

// consume measures c over length on a queue of so many messages, or until the queue is empty.
func (q *queues) consume(ctx context.Context, c consumer, messages int, length time.Duration) (throughput, error) {
	bodies := make([]string, messages)
	for i := range bodies {
		bodies[i] = jobBody()
	}
	queue := "transport-" + uuid.NewString()
	if err := q.fill(ctx, queue, bodies); err != nil {
		return throughput{}, err
	}
	consuming, stop := context.WithCancel(ctx)
	defer stop()
	var handled atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- c.run(consuming, q, queue, func() { handled.Add(1) }) }()

	rest(ctx, warmUp, func() bool { return false })
	before, err := q.reading(ctx, queue)
	if err != nil {
		return throughput{}, err
	}
	rest(ctx, length, func() bool { return handled.Load() >= int64(messages) })
	after, err := q.reading(ctx, queue)
	if err != nil {
		return throughput{}, err
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		return throughput{}, fmt.Errorf("%s: %w", c.name, err)
	}
	if err := q.drop(ctx, queue); err != nil {
		return throughput{}, err
	}
	consumed := before.left - after.left
	if consumed <= 0 {
		return throughput{}, fmt.Errorf("%s consumed nothing", c.name)
	}
	return throughput{
		rate: float64(consumed) / after.at.Sub(before.at).Seconds(),
		cpu:  (after.cpu - before.cpu) / time.Duration(consumed),
	}, ctx.Err()
}

// reading is how far a consumer of this process has come.
type reading struct {
	at   time.Time
	left int64
	cpu  time.Duration
}

func (q *queues) reading(ctx context.Context, queue string) (r reading, err error) {
	if r.left, err = q.left(ctx, queue); err != nil {
		return r, err
	}
	r.at = time.Now()
	r.cpu, err = cpuTime(os.Getpid())
	return r, err
}

// rest waits for length, until enough, or until ctx ends.
func rest(ctx context.Context, length time.Duration, enough func() bool) {
	deadline := time.NewTimer(length)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !enough() {
		select {
		case <-poll.C:
		case <-deadline.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
