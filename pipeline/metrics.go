package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sluice-media/sluice/sagas"
)

// stale is the outcome label of a message whose work an earlier delivery had done.
const stale = "stale"

// Metrics are what operators see of the line.
type Metrics struct {
	handled  *prometheus.CounterVec   // stage, outcome
	failed   *prometheus.CounterVec   // stage
	seconds  *prometheus.HistogramVec // stage
	inFlight *prometheus.GaugeVec     // stage
	age      *prometheus.HistogramVec // stage
	outcomes *prometheus.CounterVec   // state
	toReady  prometheus.Histogram
}

// NewMetrics registers the line's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	factory := promauto.With(reg)
	m := &Metrics{
		handled: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_stage_handled_total",
			Help: "Uploads that a stage handled, by the state it moved them to; stale: an earlier delivery had done so.",
		}, []string{"stage", "outcome"}),
		failed: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_stage_failed_total",
			Help: "Tries of a stage that ended in an error.",
		}, []string{"stage"}),
		seconds: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sluice_stage_seconds",
			Help:    "Time that a stage worked on an upload until it had an outcome.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 14),
		}, []string{"stage"}),
		inFlight: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_stage_in_flight",
			Help: "Uploads that a stage is working on.",
		}, []string{"stage"}),
		age: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sluice_queue_age_seconds",
			Help:    "Age of a message, from when it was sent to when its stage took it.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 14),
		}, []string{"stage"}),
		outcomes: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_uploads_total",
			Help: "Uploads that reached an outcome, by state.",
		}, []string{"state"}),
		toReady: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_presign_to_ready_seconds",
			Help:    "Time from the presigned URL to the published file, the client's transfer included.",
			Buckets: prometheus.ExponentialBuckets(0.1, 2, 14),
		}),
	}
	for _, stage := range Stages() {
		m.failed.WithLabelValues(stage)
		m.inFlight.WithLabelValues(stage)
	}
	for _, state := range sagas.TerminalStates() {
		m.outcomes.WithLabelValues(string(state))
	}
	return m
}

func (m *Metrics) taken(stage string, sent time.Time) {
	if !sent.IsZero() {
		m.age.WithLabelValues(stage).Observe(time.Since(sent).Seconds())
	}
}

func (m *Metrics) committed(stage string, from sagas.State, u sagas.Upload) {
	m.handled.WithLabelValues(stage, string(u.State)).Inc()
	if from == u.State || !u.State.Terminal() {
		return
	}
	m.outcomes.WithLabelValues(string(u.State)).Inc()
	if u.State == sagas.Ready {
		m.toReady.Observe(u.UpdatedAt.Sub(u.CreatedAt).Seconds())
	}
}
