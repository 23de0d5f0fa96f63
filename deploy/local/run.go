package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-media/sluice/deploy/local/clamd"
	"github.com/sluice-media/sluice/deploy/local/prometheus"
)

type runCommand struct {
	Data     string `help:"Folder of all data; it stays over restarts." default:".sluice" type:"path" env:"SLUICE_LOCAL_DATA"`
	PortBase int    `help:"First of eight consecutive ports: API, CDN edge, S3, SQS, PostgreSQL, clamd, worker metrics, Prometheus." default:"8080" env:"SLUICE_LOCAL_PORT_BASE"`
	Sluice   string `help:"The sluice program; the one beside sluice-local when not given." type:"path"`
}

const (
	// startLimit and stopLimit bound the start and the stop of everything together.
	startLimit = 2 * time.Minute
	stopLimit  = time.Minute
	// leftoverPatience is how long the ports of a stack that was killed may take to be free.
	leftoverPatience = 10 * time.Second
	// clamdPatience bounds what loading official signatures may add to the start.
	clamdPatience = 5 * time.Second
)

// Run starts everything, shows the operator where it is, and stops it all when ctx ends.
func (c *runCommand) Run(ctx context.Context, console console) (err error) {
	began := time.Now()
	p, err := c.prepare(ctx, console)
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		err = errors.Join(err, p.lifecycle.stop(stopping))
	}()

	if err := p.startAll(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := showBanner(console.stdout, p, time.Since(began)); err != nil {
		return err
	}
	updater := &clamd.Updater{
		Supervisor: p.supervisor,
		Config:     p.clamdConfig(),
		Logger:     p.logger,
		Arrived:    p.announceSignatures,
	}
	updater.Run(ctx)
	_, err = fmt.Fprintln(console.stdout, "\nStopping; the data stays.")
	return err
}

// prepare checks all that can be checked before anything is started.
func (c *runCommand) prepare(ctx context.Context, console console) (_ *product, err error) {
	workDir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	program, err := c.program()
	if err != nil {
		return nil, err
	}
	numbers, err := newPorts(c.PortBase)
	if err != nil {
		return nil, err
	}
	l, err := openLayout(c.Data)
	if err != nil {
		return nil, err
	}
	release, crashed, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, release())
		}
	}()
	keys, created, err := openSecrets(l.secrets())
	if err != nil {
		return nil, err
	}
	if created {
		if err := l.clearState(); err != nil {
			return nil, err
		}
	}
	s := &stack{layout: l, ports: numbers, secrets: keys, durable: true}
	// The variable may stem from this very stack's env file.
	if given := os.Getenv("SLUICE_DATABASE_URL"); given != s.postgresConfig().URL() {
		s.databaseURL = given
	}
	if err := requirePrograms(s.databaseURL == ""); err != nil {
		return nil, err
	}
	if err := requireFree(ctx, s, crashed); err != nil {
		return nil, err
	}
	closeLog, err := s.openLog(console.stderr, slog.LevelInfo)
	if err != nil {
		return nil, err
	}
	s.lifecycle.onStop("the lock of the data folder", func(context.Context) error { return release() })
	s.lifecycle.onStop("the log", closeLog)
	if l.separate() {
		s.logger.Warn("other accounts may not enter the data folder: PostgreSQL, clamd and nginx keep their data elsewhere",
			"closed", l.closed, "elsewhere", l.state)
	}
	return &product{stack: s, program: program, workDir: workDir}, nil
}

func (c *runCommand) program() (string, error) {
	path := c.Sluice
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = filepath.Join(filepath.Dir(self), "sluice")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the sluice program is missing (make build makes it; --sluice names another): %w", err)
	}
	return path, nil
}

func requireFree(ctx context.Context, s *stack, crashed bool) error {
	var unused []int
	if s.databaseURL != "" {
		unused = append(unused, s.ports.postgres())
	}
	if _, installed := prometheus.Find(); !installed {
		unused = append(unused, s.ports.prometheus())
	}
	var patience time.Duration
	if crashed {
		patience = leftoverPatience
	}
	return s.ports.requireFree(ctx, patience, unused...)
}
