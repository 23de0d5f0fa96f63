package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

// responseTimeout is when a backend has gone wrong.
const responseTimeout = 30 * time.Second

// load is a crowd of clients, each with one connection and one request at a time.
type load struct {
	to          *backend
	connections int
	prepare     func(n int, r *fasthttp.Request)        // the n-th request, from 0
	answered    func(n int, r *fasthttp.Response) error // what is done with the answer to it; nil: nothing
	status      int                                     // that every answer must have
	rate        float64                                 // requests a second in all; 0: as fast as they are answered
}

// presigns is a load of requests for permission.
func (s *backend) presigns(connections int) load {
	return load{
		to: s, connections: connections, status: s.granted,
		prepare: func(n int, r *fasthttp.Request) { s.presign(n%users, r) },
	}
}

// fire makes requests for so long, waits for the last answers, and returns how long each took, in order.
func (l load) fire(ctx context.Context, during time.Duration) ([]time.Duration, error) {
	ending, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	took := make([][]time.Duration, l.connections)
	clients, _ := errgroup.WithContext(ctx)
	for i := range l.connections {
		clients.Go(func() (err error) {
			took[i], err = l.client(ending, i)
			return err
		})
	}
	if err := clients.Wait(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := slices.Concat(took...)
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has answered nothing within %s", l.to.name, during)
	}
	if l.status == l.to.granted {
		l.to.answers += int64(len(all))
	}
	slices.Sort(all)
	return all, nil
}

// client makes every connections-th request, beginning with the first-th, until ctx ends.
func (l load) client(ctx context.Context, first int) (took []time.Duration, err error) {
	connection := &fasthttp.HostClient{
		Addr: l.to.address, MaxConns: 1, NoDefaultUserAgentHeader: true, ReadTimeout: responseTimeout, WriteTimeout: responseTimeout,
	}
	defer connection.CloseIdleConnections()
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.UseHostHeader = true
	request.Header.SetHost(l.to.address)
	next := l.pace()
	for n := first; next(ctx); n += l.connections {
		l.prepare(n, request)
		began := time.Now()
		if err := connection.Do(request, response); err != nil {
			return nil, fmt.Errorf("%s: %w", request.URI().Path(), err)
		}
		took = append(took, time.Since(began))
		if response.StatusCode() != l.status {
			return nil, fmt.Errorf("%s: answered %d: %.200s", request.URI().Path(), response.StatusCode(), response.Body())
		}
		if l.answered != nil {
			if err := l.answered(n, response); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}

// pace returns what waits for a client's next turn, and says whether there is one before ctx ends.
func (l load) pace() func(ctx context.Context) bool {
	if l.rate == 0 {
		return func(ctx context.Context) bool { return ctx.Err() == nil }
	}
	turns := time.NewTicker(seconds(float64(l.connections) / l.rate))
	return func(ctx context.Context) bool {
		select {
		case <-turns.C:
			return true
		case <-ctx.Done():
			turns.Stop()
			return false
		}
	}
}

// usage is the CPU time that a measurement's processes have used.
type usage struct {
	api, postgres, client time.Duration
}

func (b *bed) usage(s *backend) (u usage, err error) {
	if u.api, err = cpuTime(s.service.PID()); err != nil {
		return u, err
	}
	if u.postgres, err = treeTime(b.postgres.PID()); err != nil {
		return u, err
	}
	u.client, err = cpuTime(os.Getpid())
	return u, err
}

// apiFigures are what a window of requests came to.
type apiFigures struct {
	took       []time.Duration // each answer, sorted
	during     time.Duration
	used       usage
	rss, grown int64 // bytes of the API: at the end, and how much of it since the beginning
}

// measure warms up and measures a window.
func (b *bed) measure(ctx context.Context, l load, e apiExtent) (f apiFigures, err error) {
	if err := b.checkpoint(ctx); err != nil {
		return f, err
	}
	if _, err := l.fire(ctx, e.warmUp); err != nil {
		return f, err
	}
	rss, err := residentSize(l.to.service.PID())
	if err != nil {
		return f, err
	}
	before, err := b.usage(l.to)
	if err != nil {
		return f, err
	}
	began := time.Now()
	if f.took, err = l.fire(ctx, e.window); err != nil {
		return f, err
	}
	f.during = time.Since(began)
	after, err := b.usage(l.to)
	if err != nil {
		return f, err
	}
	f.used = usage{after.api - before.api, after.postgres - before.postgres, after.client - before.client}
	f.rss, err = residentSize(l.to.service.PID())
	f.grown = f.rss - rss
	return f, err
}

func (f apiFigures) rate() float64 { return float64(len(f.took)) / f.during.Seconds() }

// each is a CPU time by request, in seconds.
func (f apiFigures) each(used time.Duration) float64 { return used.Seconds() / float64(len(f.took)) }

// quantile of the times that answers took, in seconds.
func (f apiFigures) quantile(q float64) float64 {
	return f.took[min(int(q*float64(len(f.took))), len(f.took)-1)].Seconds()
}
