package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

type execCommand struct {
	Keep    bool     `help:"Keep the temporary data folder, logs included, and say where it is."`
	Command []string `arg:"" passthrough:"" help:"The command and its arguments, after --."`
}

// Run always uses a PostgreSQL of its own: a command that changes data, as tests do, never gets the operator's.
func (c *execCommand) Run(ctx context.Context, console console) (err error) {
	command := c.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		return errors.New("exec needs a command after --, such as go test")
	}
	if err := requirePrograms(true); err != nil {
		return err
	}
	workDir, err := os.Getwd()
	if err != nil {
		return err
	}
	s, err := temporaryStack(ctx, console)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.lifecycle.stop(context.WithoutCancel(ctx)))
		if c.Keep {
			_, printErr := fmt.Fprintf(console.stderr, "sluice-local: data and logs are in %s\n", strings.Join(s.layout.folders(), " and "))
			err = errors.Join(err, printErr)
			return
		}
		err = errors.Join(err, s.layout.remove())
	}()

	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.start(starting); err != nil {
		return err
	}
	if err := s.waitForClamd(starting, startLimit); err != nil {
		return err
	}
	env, err := s.environment(time.Now())
	if err != nil {
		return err
	}
	return runForeground(command, workDir, env.over(os.Environ()), console)
}

func temporaryStack(ctx context.Context, console console) (*stack, error) {
	free, err := freePorts(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sluice-exec-")
	if err != nil {
		return nil, err
	}
	l, err := openLayout(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &stack{layout: l, ports: free, secrets: generateSecrets()}
	closeLog, err := s.openLog(console.stderr, slog.LevelError)
	if err != nil {
		return nil, errors.Join(err, l.remove())
	}
	s.lifecycle.onStop("the log", closeLog)
	return s, nil
}

// runForeground runs the command in this process's own process group, so that it may use the terminal and gets Ctrl-C
// from it; other signals are passed on. The error is its statusError when that is not 0.
func runForeground(command []string, dir string, env []string, console console) error {
	child := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // The operator's command, which ends when it wants to.
	child.Dir, child.Env = dir, env
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, console.stdout, console.stderr
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	// The kernel sends Pdeathsig when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := child.Start(); err != nil {
		return fmt.Errorf("start %s: %w", command[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case received := <-signals:
			if received != os.Interrupt {
				_ = child.Process.Signal(received)
			}
		case err := <-ended:
			return statusOf(err)
		}
	}
}

// statusOf turns the end of a command into what a shell would make of it.
func statusOf(err error) error {
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return err
	}
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return statusError(128 + int(status.Signal()))
	}
	return statusError(ended.ExitCode())
}
