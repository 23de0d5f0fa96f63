package sqs

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The values of the label "how" of sluice_sqs_settled_messages_total.
const (
	settledAck     = "ack"     // handled and deleted
	settledNack    = "nack"    // failed, to come back after its backoff
	settledRelease = "release" // given back unhandled
	settledLost    = "lost"    // its lease ended first
)

// The values of the label "action".
const (
	actionReceive = "receive"
	actionExtend  = "extend"
	actionDelete  = "delete"
	actionReturn  = "return"
	actionSend    = "send"
)

// Metrics count what the transport does, by topic. One Metrics serves all subscribers and publishers of a process.
type Metrics struct {
	received *prometheus.CounterVec   // topic
	settled  *prometheus.CounterVec   // topic, how
	sent     *prometheus.CounterVec   // topic
	errors   *prometheus.CounterVec   // topic, action
	batch    *prometheus.HistogramVec // topic, action
	inFlight *prometheus.GaugeVec     // topic
	paused   *prometheus.GaugeVec     // topic
}

// NewMetrics registers the metrics, named sluice_sqs_…, with registerer; nil registers them nowhere.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	const namespace, subsystem = "sluice", "sqs"
	factory := promauto.With(registerer)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return factory.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: name, Help: help,
		}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return factory.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: name, Help: help,
		}, []string{"topic"})
	}
	return &Metrics{
		received: counter("received_messages_total", "Messages received.", "topic"),
		settled:  counter("settled_messages_total", "Received messages by what became of them: ack, nack, release, lost.", "topic", "how"),
		sent:     counter("sent_messages_total", "Messages sent.", "topic"),
		errors:   counter("errors_total", "Requests and batch entries that failed after all attempts, by action.", "topic", "action"),
		batch: factory.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "batch_messages",
			Help:    "Messages in one request, by action; empty receives included.",
			Buckets: []float64{0, 1, 2, 5, 9, 10},
		}, []string{"topic", "action"}),
		inFlight: gauge("in_flight_messages", "Messages whose handlers have not finished."),
		paused:   gauge("paused", "1 while the gate keeps the subscriber from receiving."),
	}
}
