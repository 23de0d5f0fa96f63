package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/sagas"
)

// sampleEvery is how often the gauges ask Postgres and SQS: as often as Prometheus usually scrapes.
const sampleEvery = 15 * time.Second

// Gauges measure what waits: in the queues, and by state in the database.
type Gauges struct {
	store  *sagas.Store
	queues *sqs.Queues
	log    *slog.Logger

	messages *prometheus.GaugeVec // queue, status
	uploads  *prometheus.GaugeVec // state
	oldest   *prometheus.GaugeVec // state
}

// NewGauges registers the gauges.
func NewGauges(reg prometheus.Registerer, store *sagas.Store, queues *sqs.Queues, log *slog.Logger) *Gauges {
	factory := promauto.With(reg)
	return &Gauges{
		store: store, queues: queues, log: log,
		messages: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_queue_messages",
			Help: "Messages in a queue, approximately: visible, in_flight or delayed.",
		}, []string{"queue", "status"}),
		uploads: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_uploads_waiting",
			Help: "Uploads that are not settled: on the line, or with an outcome that is not delivered.",
		}, []string{"state"}),
		oldest: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_uploads_oldest_seconds",
			Help: "Time since the stillest unsettled upload of a state last moved.",
		}, []string{"state"}),
	}
}

// Run samples until ctx ends.
func (g *Gauges) Run(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		if err := g.sample(ctx); err != nil && ctx.Err() == nil {
			g.log.Warn("could not measure what waits", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (g *Gauges) sample(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sampleEvery)
	defer cancel()
	errs := []error{g.sampleBacklogs(ctx)}
	for _, stage := range Stages() {
		for _, topic := range []string{Topic(stage), DeadLetterTopic(stage)} {
			errs = append(errs, g.sampleQueue(ctx, topic))
		}
	}
	return errors.Join(errs...)
}

func (g *Gauges) sampleQueue(ctx context.Context, topic string) error {
	visible, inFlight, delayed, err := g.queues.Depth(ctx, topic)
	if err != nil {
		return err
	}
	name := g.queues.Name(topic)
	g.messages.WithLabelValues(name, "visible").Set(float64(visible))
	g.messages.WithLabelValues(name, "in_flight").Set(float64(inFlight))
	g.messages.WithLabelValues(name, "delayed").Set(float64(delayed))
	return nil
}

func (g *Gauges) sampleBacklogs(ctx context.Context) error {
	backlogs, err := g.store.Backlogs(ctx)
	if err != nil {
		return err
	}
	g.uploads.Reset()
	g.oldest.Reset()
	for _, state := range sagas.States() {
		g.uploads.WithLabelValues(string(state)).Set(0)
		g.oldest.WithLabelValues(string(state)).Set(0)
	}
	for _, b := range backlogs {
		g.uploads.WithLabelValues(string(b.State)).Set(float64(b.Count))
		g.oldest.WithLabelValues(string(b.State)).Set(b.Oldest.Seconds())
	}
	return nil
}
