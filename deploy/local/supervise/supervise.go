// Package supervise keeps the programs of the local stack running: it starts each in a process group of its own, waits
// until the program answers, restarts it with a growing pause whenever it dies, and stops it politely, then by force.
//
// No program outlives the supervisor: the kernel signals every one of them when the supervisor dies, even by SIGKILL
// (PR_SET_PDEATHSIG), and what a killed program leaves behind in its process group is killed before it is restarted.
package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

// Spec describes a service.
type Spec struct {
	// Name labels the service in logs and names its log file.
	Name string
	// Path and Args are the program, by absolute path, and its arguments.
	Path string
	Args []string
	// Dir is the working folder; empty means the supervisor's own.
	Dir string
	// Env returns the whole environment. It is asked at each start, so a restart sees what has changed. Nil inherits.
	Env func() []string
	// Credential drops the program to another account; nil keeps the supervisor's.
	Credential *syscall.Credential
	// Ready returns nil once the service answers. It is asked repeatedly until it does, for two seconds each time. Nil
	// means ready at once.
	Ready func(ctx context.Context) error
	// StopSignal asks the program to end; zero means SIGTERM.
	StopSignal syscall.Signal
	// OrphanSignal is what the kernel sends when the supervisor dies; zero means SIGKILL.
	OrphanSignal syscall.Signal
	// Grace is how long a program may take to end after StopSignal before it is killed; zero means 10 s.
	Grace time.Duration
	// Important selects the log lines that are shown to the operator as well; nil means none.
	Important func(line string) bool
}

// Supervisor is what services have in common.
type Supervisor struct {
	// Logs is the folder that receives one log file for each service.
	Logs string
	// Logger receives starts, deaths and the important lines of services.
	Logger *slog.Logger
	// LongestPause bounds the pause before a program that keeps dying is started again; zero means 10 s.
	LongestPause time.Duration
}

const (
	defaultGrace    = 10 * time.Second
	firstPause      = 200 * time.Millisecond
	defaultPause    = 10 * time.Second
	steadyAfter     = 30 * time.Second
	readyPoll       = 25 * time.Millisecond
	longestCheck    = 2 * time.Second
	startUpAttempts = 3
)

// Service is a running service.
type Service struct {
	spec         Spec
	logger       *slog.Logger
	output       *output
	longestPause time.Duration

	stop     context.CancelFunc
	finished chan struct{}
	gaveUp   chan error

	mu      sync.Mutex
	current *process
	settled bool
}

// Start starts the service and returns when it is ready. It fails when the program dies three times before it was
// ever ready, with the last lines it wrote, and when ctx ends before. After that, ctx has no influence any more:
// the service runs until Stop.
func (s *Supervisor) Start(ctx context.Context, spec Spec) (*Service, error) {
	service, err := s.Launch(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := service.WaitReady(ctx); err != nil {
		return nil, errors.Join(err, service.Stop(context.WithoutCancel(ctx)))
	}
	return service, nil
}

// Launch starts the service without waiting until it is ready: see WaitReady.
func (s *Supervisor) Launch(ctx context.Context, spec Spec) (*Service, error) {
	spec = spec.withDefaults()
	logger := s.Logger.With("service", spec.Name)
	output, err := openOutput(s.Logs, spec, logger)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	service := &Service{
		spec:         spec,
		logger:       logger,
		output:       output,
		longestPause: cmp.Or(s.LongestPause, defaultPause),
		stop:         cancel,
		finished:     make(chan struct{}),
		gaveUp:       make(chan error, 1),
	}
	go service.keepRunning(running)
	return service, nil
}

func (s Spec) withDefaults() Spec {
	if s.StopSignal == 0 {
		s.StopSignal = syscall.SIGTERM
	}
	if s.OrphanSignal == 0 {
		s.OrphanSignal = syscall.SIGKILL
	}
	if s.Grace == 0 {
		s.Grace = defaultGrace
	}
	if s.Ready == nil {
		s.Ready = func(context.Context) error { return nil }
	}
	return s
}

// WaitReady returns nil when the service answers, and an error when it gave up starting or ctx ended before.
func (s *Service) WaitReady(ctx context.Context) error {
	began := time.Now()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		err := s.Check(ctx)
		if err == nil {
			s.settle()
			s.logger.Info("service ready", "waited", time.Since(began).Round(time.Millisecond))
			return nil
		}
		select {
		case err := <-s.gaveUp:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%w)", s.spec.Name, err, context.Cause(ctx))
		case <-poll.C:
		}
	}
}

var errNotRunning = errors.New("not running")

// Check returns nil when the service answers now. It takes two seconds at most.
func (s *Service) Check(ctx context.Context) error {
	if s.PID() == 0 {
		return errNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, longestCheck)
	defer cancel()
	return s.spec.Ready(ctx)
}

func (s *Service) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
}

// PID is the process id of the program now running, or 0 between two runs.
func (s *Service) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return 0
	}
	return s.current.pid
}

// Restart ends the program as Stop does and lets the supervisor start it again, with a fresh environment.
func (s *Service) Restart(ctx context.Context) error {
	if process := s.running(); process != nil {
		return process.end(ctx, s.spec.StopSignal, s.spec.Grace)
	}
	return nil
}

// Stop ends the program with its stop signal and, after its grace or when ctx ends, by force. It returns an error when
// force was needed. The service is not restarted any more.
func (s *Service) Stop(ctx context.Context) error {
	s.stop()
	var err error
	if process := s.running(); process != nil {
		err = process.end(ctx, s.spec.StopSignal, s.spec.Grace)
	}
	<-s.finished
	if err != nil {
		return fmt.Errorf("stop %s: %w", s.spec.Name, err)
	}
	return nil
}

func (s *Service) running() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *Service) keepRunning(ctx context.Context) {
	defer close(s.finished)
	defer s.output.close()
	pause := min(firstPause, s.longestPause)
	for attempt := 1; ctx.Err() == nil; attempt++ {
		started := time.Now()
		err := s.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if attempt >= startUpAttempts && !s.hasSettled() {
			s.gaveUp <- fmt.Errorf("%s does not start: %w%s", s.spec.Name, err, s.output.tail())
			return
		}
		if time.Since(started) > steadyAfter {
			pause = min(firstPause, s.longestPause)
		}
		s.logger.Warn("service ended, restarting", "reason", err, "pause", pause)
		if !sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, s.longestPause)
	}
}

func (s *Service) hasSettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled
}

func (s *Service) runOnce(ctx context.Context) error {
	process, err := startProcess(s.spec, s.output)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.current = process
	s.mu.Unlock()
	// Stop may have looked for a process just before there was one.
	if ctx.Err() != nil {
		_ = process.end(context.WithoutCancel(ctx), s.spec.StopSignal, s.spec.Grace)
	}
	<-process.ended
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
	return process.reason
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
