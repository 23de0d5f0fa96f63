package sqs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// gateInterval is how often an open gate is asked; gateBackoff to gateLimit, how often a shut one.
	gateInterval = time.Second
	gateBackoff  = 250 * time.Millisecond
	gateLimit    = 5 * time.Second
	// gateTimeout is how long the check may take before the gate counts as shut.
	gateTimeout = 5 * time.Second
)

// gate lets receivers through while check returns nil. It is asked from one place at a steady pace, whatever the
// number of receivers and messages, and shutting it also ends the polls that wait for messages.
type gate struct {
	check  func(context.Context) error // nil: always open
	paused prometheus.Gauge
	logger *slog.Logger
	asked  chan struct{} // a request to check now

	mu      sync.Mutex
	opening context.Context    // alive while the gate is open; nil while shut
	shut    context.CancelFunc // ends opening
	opened  chan struct{}      // closed when opening begins
	refused bool               // the last check failed
}

func newGate(check func(context.Context) error, paused prometheus.Gauge, logger *slog.Logger) *gate {
	return &gate{check: check, paused: paused, logger: logger, asked: make(chan struct{}, 1), opened: make(chan struct{})}
}

// watch keeps asking until ctx ends.
func (g *gate) watch(ctx context.Context) {
	if g.check == nil {
		g.set(ctx, nil)
		return
	}
	for failures := 0; ; {
		err := g.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		g.set(ctx, err)
		if err != nil {
			failures++
			if !sleep(ctx, fullJitter(gateBackoff, gateLimit, failures)) {
				return
			}
			continue
		}
		failures = 0
		if !g.rest(ctx) {
			return
		}
	}
}

// rest waits until an open gate should be asked again, and reports whether ctx was still alive then.
func (g *gate) rest(ctx context.Context) bool {
	timer := time.NewTimer(gateInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.asked:
		return true
	case <-ctx.Done():
		return false
	}
}

func (g *gate) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	return g.check(ctx)
}

// set opens or shuts the gate, and logs when that is a change.
func (g *gate) set(ctx context.Context, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err != nil && !g.refused:
		g.refused = true
		g.paused.Set(1)
		g.logger.Warn("receiving paused", "error", err)
		if g.opening != nil {
			g.shut()
			g.opening, g.opened = nil, make(chan struct{})
		}
	case err == nil && g.opening == nil:
		if g.refused {
			g.refused = false
			g.paused.Set(0)
			g.logger.Info("receiving resumed")
		}
		g.opening, g.shut = context.WithCancel(ctx)
		close(g.opened)
	}
}

// pass waits until the gate is open and returns a context that ends when the gate shuts or ctx ends; false when ctx
// ended first.
func (g *gate) pass(ctx context.Context) (context.Context, bool) {
	for {
		g.mu.Lock()
		opening, opened := g.opening, g.opened
		g.mu.Unlock()
		if opening != nil {
			return opening, true
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// askSoon has an open gate checked without delay.
func (g *gate) askSoon() {
	select {
	case g.asked <- struct{}{}:
	default:
	}
}

func (g *gate) isPaused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}
