// Package ops is what operators and load balancers see of a process: whether it lives, whether what it depends on
// answers, and its metrics.
package ops

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const checkTimeout = 3 * time.Second

// Check asks after one thing that the process depends on.
type Check struct {
	Name string

	// Run returns within its context. The detail is shown to anyone, the error only logged.
	Run func(ctx context.Context) (detail string, err error)
}

// Ping makes a check of a function that has nothing to say when all is well.
func Ping(name string, ping func(context.Context) error) Check {
	return Check{Name: name, Run: func(ctx context.Context) (string, error) { return "", ping(ctx) }}
}

// The values of Readiness.Status and Result.Status.
const (
	OK      = "ok"
	Failing = "failing"
)

// Readiness is the answer of /readyz. Status is failing when one of the checks is.
type Readiness struct {
	Status string            `json:"status" enum:"ok,failing"`
	Checks map[string]Result `json:"checks"`
}

// Result is what one check found.
type Result struct {
	Status string `json:"status" enum:"ok,failing"`
	Detail string `json:"detail,omitempty"`
}

// Ready runs all checks at once.
func Ready(ctx context.Context, checks []Check, log *slog.Logger) Readiness {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make([]Result, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			detail, err := c.Run(ctx)
			results[i] = Result{Status: OK, Detail: detail}
			if err != nil {
				log.WarnContext(ctx, "not ready", "check", c.Name, "error", err)
				results[i].Status = Failing
			}
		})
	}
	wg.Wait()
	r := Readiness{Status: OK, Checks: map[string]Result{}}
	for i, c := range checks {
		r.Checks[c.Name] = results[i]
		if results[i].Status != OK {
			r.Status = Failing
		}
	}
	return r
}

// Handler serves /healthz, /readyz and /metrics, for a process that serves nothing else.
func Handler(reg *prometheus.Registry, checks []Check, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"status": OK}, log)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		r := Ready(req.Context(), checks, log)
		status := http.StatusOK
		if r.Status != OK {
			status = http.StatusServiceUnavailable
		}
		write(w, status, r, log)
	})
	return mux
}

func write(w http.ResponseWriter, status int, body any, log *slog.Logger) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Debug("could not answer", "error", err)
	}
}
