// Package s3 runs an S3 server inside the process: versitygw over a folder,
// with the bucket notifications that versitygw itself lacks.
//
// The server verifies SigV4 (header and presigned), If-None-Match, POST
// policies and checksums, and keeps object versions. It has no lifecycle rules
// and no notification API (notifications are part of Config), it ignores
// If-None-Match on the destination of a copy, and it stores objects as files,
// so that the keys "x" and "x/y" cannot exist together.
//
// # One server per process
//
// The gateway addresses buckets relative to the working directory: Start
// changes the working directory of the whole process to the data folder and
// Close changes it back. While a server runs, other code in the process must
// use absolute paths and give child processes their folder (exec.Cmd.Dir).
package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

const (
	maxConnections = 10_000
	maxRequests    = 5_000
	maxParts       = 10_000 // per multipart upload, as in S3
)

// ErrRunning is returned by Start while another server runs in this process.
var ErrRunning = errors.New("an S3 server already runs in this process")

// running guards the working directory and the gateway's own package state,
// both of which exist once per process.
var running sync.Mutex

// Config describes a server.
type Config struct {
	// Dir holds the objects, their old versions and the accounts. Its file
	// system must support extended attributes (ext4, xfs, btrfs, overlay).
	Dir string
	// Addr is the host:port to listen on. Port 0 takes a free port.
	Addr string
	// Region that clients sign for.
	Region string
	// RootAccessKey and RootSecretKey may do everything.
	RootAccessKey, RootSecretKey string
	// Accounts may do what their role and the bucket policies allow. They
	// are kept in Dir: one that is left out later still exists.
	Accounts []Account
	// Notifications lists who is told of created objects.
	Notifications []Notification
	// Faults disturbs the notifications. Nil means a fresh, harmless one.
	Faults *Faults
	// Logger gets the server's own messages. Nil discards them.
	Logger *slog.Logger
}

// Server is a running S3 server.
type Server struct {
	addr    string
	cfg     Config
	events  *notifier
	stop    context.CancelFunc
	stopped chan struct{} // closed after runErr is set
	runErr  error
}

// Start starts a server, which listens when Start returns. ctx bounds the
// start only: the server runs until Close.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Faults == nil {
		cfg.Faults = NewFaults(1)
	}
	if !running.TryLock() {
		return nil, ErrRunning
	}
	server, err := start(ctx, cfg)
	if err != nil {
		running.Unlock()
		return nil, fmt.Errorf("start S3 server on %s: %w", cfg.Addr, err)
	}
	return server, nil
}

func (cfg Config) validate() error {
	var errs []error
	required := func(name, value string) {
		if value == "" {
			errs = append(errs, fmt.Errorf("S3 server: %s is required", name))
		}
	}
	required("Dir", cfg.Dir)
	required("Addr", cfg.Addr)
	required("Region", cfg.Region)
	required("RootAccessKey", cfg.RootAccessKey)
	required("RootSecretKey", cfg.RootSecretKey)
	for i, account := range cfg.Accounts {
		required(fmt.Sprintf("Accounts[%d].AccessKey", i), account.AccessKey)
		required(fmt.Sprintf("Accounts[%d].SecretKey", i), account.SecretKey)
		if account.AccessKey == cfg.RootAccessKey {
			errs = append(errs, fmt.Errorf("S3 server: Accounts[%d] has the root's access key", i))
		}
	}
	for i, n := range cfg.Notifications {
		required(fmt.Sprintf("Notifications[%d].Bucket", i), n.Bucket)
		if n.Sink == nil {
			errs = append(errs, fmt.Errorf("S3 server: Notifications[%d].Sink is required", i))
		}
	}
	return errors.Join(errs...)
}

func start(ctx context.Context, cfg Config) (_ *Server, err error) {
	workDir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("remember the working directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Chdir(workDir))
		}
	}()

	addr, err := resolveAddr(ctx, cfg.Addr)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	store, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	accounts, err := openAccounts(filepath.Join(dir, "accounts"), cfg)
	if err != nil {
		store.Shutdown()
		return nil, err
	}

	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	server := &Server{
		addr:    addr,
		cfg:     cfg,
		events:  newNotifier(cfg.Notifications, cfg.Faults, cfg.Logger),
		stop:    stop,
		stopped: make(chan struct{}),
	}
	listening := make(chan struct{})
	gateway := &embedgw.Config{
		RootUserAccess:    cfg.RootAccessKey,
		RootUserSecret:    cfg.RootSecretKey,
		Region:            cfg.Region,
		Ports:             []string{addr},
		MaxConnections:    maxConnections,
		MaxRequests:       maxRequests,
		MultipartMaxParts: maxParts,
		KeepAlive:         true,
		Quiet:             true,
		IAMService:        accounts,
		S3Options: []s3api.Option{
			s3api.WithMiddleware("/", drainBody),
			s3api.WithOnListen(func() { close(listening) }),
		},
	}
	decorated := &notifyingBackend{Backend: store, events: server.events, region: cfg.Region}
	go server.run(runCtx, decorated, gateway, workDir)

	select {
	case <-listening:
		cfg.Logger.Info("S3 server listens", "addr", addr, "dir", dir)
		return server, nil
	case <-server.stopped:
		stop()
		return nil, server.runErr
	case <-ctx.Done():
		stop()
		<-server.stopped
		return nil, ctx.Err()
	}
}

// run serves until ctx ends, then leaves the process as Start found it.
func (s *Server) run(ctx context.Context, be backend.Backend, gateway *embedgw.Config, workDir string) {
	err := embedgw.RunVersityGW(ctx, be, gateway)
	if err != nil && ctx.Err() == nil {
		s.cfg.Logger.Error("S3 server stopped", "error", err)
	}
	s.runErr = errors.Join(err, os.Chdir(workDir))
	close(s.stopped)
}

// Addr returns the host:port that the server listens on.
func (s *Server) Addr() string { return s.addr }

// Endpoint returns the server's base URL, for example http://127.0.0.1:8082.
func (s *Server) Endpoint() string { return "http://" + s.addr }

// Faults returns what disturbs the server's notifications.
func (s *Server) Faults() *Faults { return s.cfg.Faults }

// RootClient returns a client with the root credentials.
func (s *Server) RootClient() *awss3.Client {
	return NewClient(s.Endpoint(), s.cfg.Region, s.cfg.RootAccessKey, s.cfg.RootSecretKey)
}

// Close finishes the requests under way (for ten seconds at most), then
// delivers the notifications that a fault still holds back. It returns early
// with ctx's error when ctx ends first. It is called once.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	select {
	case <-s.stopped:
	case <-ctx.Done():
		return fmt.Errorf("stop S3 server: %w", ctx.Err())
	}
	s.events.close(ctx)
	running.Unlock()
	if s.runErr != nil {
		return fmt.Errorf("stop S3 server: %w", s.runErr)
	}
	return nil
}

// resolveAddr replaces port 0, which the gateway could not report back, by a
// port that is free now.
func resolveAddr(ctx context.Context, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("parse the address: %w", err)
	}
	if port != "0" {
		return addr, nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	free := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", fmt.Errorf("release the free port %s: %w", free, err)
	}
	return free, nil
}
