package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/sagas"
)

type metrics struct {
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	presigned *prometheus.CounterVec // method
	parts     prometheus.Counter
	completed *prometheus.CounterVec // method
	streams   prometheus.Gauge
	refused   *prometheus.CounterVec // reason
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_http_requests_total", Help: "Requests answered, by the pattern of their route.",
		}, []string{"method", "route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_http_request_seconds", Help: "Time to answer a request, by the pattern of its route. Without those that waited for a change.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		presigned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_presigned_total", Help: "Permissions to upload that were handed out.",
		}, []string{"method"}),
		parts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_presigned_parts_total", Help: "Permissions to send a part of a file that were handed out.",
		}),
		completed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_completed_total", Help: "Uploads whose file was found when the client said that it had sent it.",
		}, []string{"method"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_event_streams", Help: "Streams of events that are open.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_refused_total", Help: "Requests that were well formed and refused, by the code of the problem.",
		}, []string{"reason"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.presigned, m.parts, m.completed, m.streams, m.refused} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	for _, method := range []sagas.Method{sagas.MethodPut, sagas.MethodPost, sagas.MethodMultipart} {
		m.presigned.WithLabelValues(string(method))
		m.completed.WithLabelValues(string(method))
	}
	return m, nil
}
