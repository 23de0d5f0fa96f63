package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-media/sluice/deploy/local/sqs"
)

// The one account of the SQS server.
const (
	region    = "us-east-1"
	accessKey = "bench"
	secretKey = "bench-secret"
)

// fillers is how many messages are put on a queue at once: they share the writes to the server's journal.
const fillers = 64

// headerTimeout is how long a client may take to send a request's header.
const headerTimeout = 10 * time.Second

// queuesCommand serves SQS with a delay before each request, as a network has. Beside it, without delay:
//
//	POST /-/queues/NAME   makes the queue, with a message for each line of the body
//	GET  /-/requests      how many requests of each action there were
type queuesCommand struct {
	Listen  string        `help:"Address, host:port." required:""`
	Dir     string        `help:"Data folder." required:""`
	Latency time.Duration `help:"Delay before each request."`
}

// Run serves until ctx ends.
func (c *queuesCommand) Run(ctx context.Context) error {
	server, err := sqs.Open(sqs.Config{
		Dir: c.Dir, Region: region, Credentials: map[string]string{accessKey: secretKey},
		CompactAt: 1 << 40, // never: it would strike one consumer and not the other
	})
	if err != nil {
		return err
	}
	requests := &requestCounter{by: map[string]int64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /-/queues/{name}", func(w http.ResponseWriter, r *http.Request) { fillQueue(server, w, r) })
	mux.HandleFunc("GET /-/requests", requests.show)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		requests.count(r)
		if c.Latency > 0 {
			time.Sleep(c.Latency)
		}
		server.ServeHTTP(w, r)
	})
	listening := &http.Server{Addr: c.Listen, Handler: mux, ReadHeaderTimeout: headerTimeout}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		stopped <- errors.Join(server.Close(), listening.Close())
	})
	if err := listening.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, server.Close())
	}
	return <-stopped
}

func fillQueue(server *sqs.Server, w http.ResponseWriter, r *http.Request) {
	err := server.CreateQueue(r.Context(), r.PathValue("name"), map[string]string{"VisibilityTimeout": "30"})
	senders, ctx := errgroup.WithContext(r.Context())
	senders.SetLimit(fillers)
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		body := lines.Text()
		senders.Go(func() error { return server.Send(ctx, r.PathValue("name"), body) })
	}
	if err := errors.Join(err, lines.Err(), senders.Wait()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// requestCounter counts requests by action.
type requestCounter struct {
	mu sync.Mutex
	by map[string]int64
}

func (c *requestCounter) count(r *http.Request) {
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[action]++
}

func (c *requestCounter) show(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := json.NewEncoder(w).Encode(c.by); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
