package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ports are consecutive, from one base: API, CDN edge, S3, SQS, PostgreSQL, clamd, worker metrics, Prometheus.
type ports struct {
	base int
}

func (p ports) api() int        { return p.base }
func (p ports) edge() int       { return p.base + 1 }
func (p ports) s3() int         { return p.base + 2 }
func (p ports) sqs() int        { return p.base + 3 }
func (p ports) postgres() int   { return p.base + 4 }
func (p ports) clamd() int      { return p.base + 5 }
func (p ports) metrics() int    { return p.base + 6 }
func (p ports) prometheus() int { return p.base + 7 }

// all lists them.
func (p ports) all() (numbers []int) {
	for i := range portCount {
		numbers = append(numbers, p.base+i)
	}
	return numbers
}

// portCount is how many ports a stack may use.
const portCount = 8

var portUses = [portCount]string{
	"the API", "the CDN edge", "S3", "SQS", "PostgreSQL", "clamd", "the worker's metrics", "Prometheus",
}

func newPorts(base int) (ports, error) {
	if base < 1 || base+portCount > 1<<16 {
		return ports{}, fmt.Errorf("SLUICE_LOCAL_PORT_BASE is %d: it must leave room for %d ports up to 65535", base, portCount)
	}
	return ports{base: base}, nil
}

func address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// requireFree returns an error that names every port that is in use. unused are those that this stack will not need.
// It waits for patience at most until they are free, for what an earlier stack left behind to end.
func (p ports) requireFree(ctx context.Context, patience time.Duration, unused ...int) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		busy, err := p.busy(ctx, unused)
		if err != nil || len(busy) == 0 {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return fmt.Errorf("%s: stop what uses it, or set SLUICE_LOCAL_PORT_BASE (now %d) to move all %d ports",
				strings.Join(busy, ", "), p.base, portCount)
		}
	}
}

func (p ports) busy(ctx context.Context, unused []int) (busy []string, err error) {
	for i, use := range portUses {
		port := p.base + i
		if slices.Contains(unused, port) {
			continue
		}
		switch err := probe(ctx, port); {
		case errors.Is(err, syscall.EADDRINUSE):
			busy = append(busy, fmt.Sprintf("port %d, meant for %s, is busy", port, use))
		case err != nil:
			return nil, fmt.Errorf("port %d, meant for %s: %w", port, use, err)
		}
	}
	return busy, nil
}

func probe(ctx context.Context, port int) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address(port))
	if err != nil {
		return err
	}
	return listener.Close()
}

// freePorts picks ports at random below those that the kernel gives to outgoing connections (32768 and up), which could
// take one between this check and its use.
func freePorts(ctx context.Context) (ports, error) {
	const lowest, highest, attempts = 10000, 32000, 100
	var last error
	for range attempts {
		p := ports{base: lowest + rand.IntN(highest-lowest)} //nolint:gosec // Nothing depends on it being hard to guess.
		busy, err := p.busy(ctx, nil)
		if err == nil && len(busy) == 0 {
			return p, nil
		}
		last = errors.Join(err, errors.New(strings.Join(busy, ", ")))
	}
	return ports{}, fmt.Errorf("no %d consecutive free ports in %d attempts: %w", portCount, attempts, last)
}
