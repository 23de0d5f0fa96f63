// Package cloud runs what Sluice needs of AWS on one machine: the S3 server of
// package s3 and the SQS server of package sqs, in this process, with the
// notifications of one delivered to a queue of the other.
//
// Start alone gives two empty servers on which any client with the root
// credentials may create buckets and queues; Provision creates Sluice's own.
//
// While a Cloud runs, the working directory of the process is a folder of the
// S3 server: see package s3.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/sluice-media/sluice/deploy/local/s3"
	"github.com/sluice-media/sluice/deploy/local/sqs"
)

const (
	// uploadsPrefix starts the keys whose events are sent. Everything that
	// Sluice itself writes has another, so that no output starts the pipeline
	// again.
	uploadsPrefix = "uploads/"
	// headerTimeout is how long a client of SQS may take to send a request's
	// header.
	headerTimeout = 10 * time.Second
)

// Config describes the servers and, for Provision, what is in them.
type Config struct {
	// DataDir holds everything, over restarts.
	DataDir string
	// S3Addr and SQSAddr are the host:port to listen on. Port 0 takes a free
	// port, which S3Addr and SQSAddr of the Cloud tell.
	S3Addr, SQSAddr string
	// Region that clients sign for.
	Region string
	// AccessKey and SecretKey may do everything on both servers.
	AccessKey, SecretKey string
	// CDNAccessKey and CDNSecretKey are an account that may do nothing but
	// read from MediaBucket, once provisioned. Both may be empty.
	CDNAccessKey, CDNSecretKey string

	// EventsQueue is the name of the queue that is told of objects created in
	// IncomingBucket under uploads/. Empty tells nobody.
	EventsQueue string
	// Faults disturbs those events. Nil means none.
	Faults *s3.Faults

	// IncomingBucket takes the uploads and MediaBucket what is published.
	IncomingBucket, MediaBucket string
	// CORSOrigins are the origins whose pages may upload; empty is any.
	CORSOrigins []string
	// QueuePrefix starts the names of Sluice's queues; "sluice-" when empty.
	QueuePrefix string
	// MaxReceiveCount is how often a stage's message is received before it
	// goes to the dead-letter queue; 20 when 0, as it always is for events.
	MaxReceiveCount int

	// Logger gets what an operator should know. Nil discards it.
	Logger *slog.Logger
}

// Cloud is a running pair of servers.
type Cloud struct {
	s3      *s3.Server
	sqs     *sqs.Server
	sqsHTTP *http.Server
	sqsAddr string
}

// Start starts both servers, which listen when it returns. ctx bounds the
// start only: they run until Close.
func Start(ctx context.Context, cfg Config) (*Cloud, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Cloud{}
	if err := c.startSQS(ctx, cfg); err != nil {
		return nil, errors.Join(err, c.closeSQS(ctx))
	}
	if err := c.startS3(ctx, cfg); err != nil {
		return nil, errors.Join(err, c.closeSQS(ctx))
	}
	return c, nil
}

func (cfg Config) validate() error {
	var errs []error
	for _, required := range []struct{ name, value string }{
		{"DataDir", cfg.DataDir}, {"S3Addr", cfg.S3Addr}, {"SQSAddr", cfg.SQSAddr},
		{"Region", cfg.Region}, {"AccessKey", cfg.AccessKey}, {"SecretKey", cfg.SecretKey},
	} {
		if required.value == "" {
			errs = append(errs, fmt.Errorf("cloud: %s is required", required.name))
		}
	}
	if (cfg.CDNAccessKey == "") != (cfg.CDNSecretKey == "") {
		errs = append(errs, errors.New("cloud: CDNAccessKey and CDNSecretKey go together"))
	}
	if cfg.EventsQueue != "" && cfg.IncomingBucket == "" {
		errs = append(errs, errors.New("cloud: EventsQueue needs IncomingBucket"))
	}
	return errors.Join(errs...)
}

func (c *Cloud) startSQS(ctx context.Context, cfg Config) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cfg.SQSAddr)
	if err != nil {
		return fmt.Errorf("start SQS server on %s: %w", cfg.SQSAddr, err)
	}
	c.sqs, err = sqs.Open(sqs.Config{
		Dir:         filepath.Join(cfg.DataDir, "sqs"),
		Region:      cfg.Region,
		Credentials: map[string]string{cfg.AccessKey: cfg.SecretKey},
		Logger:      cfg.Logger,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("start SQS server: %w", err), listener.Close())
	}
	c.sqsAddr = listener.Addr().String()
	c.sqsHTTP = &http.Server{
		Handler:           c.sqs,
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := c.sqsHTTP.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cfg.Logger.Error("SQS server stopped", "error", err)
		}
	}()
	cfg.Logger.Info("SQS server listens", "addr", c.sqsAddr)
	return nil
}

func (c *Cloud) startS3(ctx context.Context, cfg Config) (err error) {
	c.s3, err = s3.Start(ctx, s3.Config{
		Dir:           filepath.Join(cfg.DataDir, "s3"),
		Addr:          cfg.S3Addr,
		Region:        cfg.Region,
		RootAccessKey: cfg.AccessKey,
		RootSecretKey: cfg.SecretKey,
		Accounts:      cfg.accounts(),
		Notifications: cfg.notifications(c.sqs),
		Faults:        cfg.Faults,
		Logger:        cfg.Logger,
	})
	return err
}

func (cfg Config) accounts() []s3.Account {
	if cfg.CDNAccessKey == "" {
		return nil
	}
	return []s3.Account{{AccessKey: cfg.CDNAccessKey, SecretKey: cfg.CDNSecretKey, Role: s3.RoleUser}}
}

func (cfg Config) notifications(queues *sqs.Server) []s3.Notification {
	if cfg.EventsQueue == "" {
		return nil
	}
	return []s3.Notification{{
		Bucket: cfg.IncomingBucket,
		Prefix: uploadsPrefix,
		Sink: func(ctx context.Context, body string) error {
			return queues.Send(ctx, cfg.EventsQueue, body)
		},
	}}
}

// S3Addr returns the host:port of the S3 server.
func (c *Cloud) S3Addr() string { return c.s3.Addr() }

// SQSAddr returns the host:port of the SQS server.
func (c *Cloud) SQSAddr() string { return c.sqsAddr }

// Faults returns what disturbs the events of S3.
func (c *Cloud) Faults() *s3.Faults { return c.s3.Faults() }

// Close finishes the requests under way, sends the events that a fault still
// holds back, and stops both servers. ctx bounds the wait. It is called once.
func (c *Cloud) Close(ctx context.Context) error {
	return errors.Join(c.s3.Close(ctx), c.closeSQS(ctx))
}

// closeSQS ends the long polls first, so that the shutdown need not wait for
// them. What has not been started is left out.
func (c *Cloud) closeSQS(ctx context.Context) error {
	if c.sqsHTTP == nil {
		return nil
	}
	closeErr := c.sqs.Close()
	if err := c.sqsHTTP.Shutdown(ctx); err != nil {
		return errors.Join(closeErr, fmt.Errorf("stop SQS server: %w", err), c.sqsHTTP.Close())
	}
	return closeErr
}
