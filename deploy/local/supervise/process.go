package supervise

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is one run of a program. reason is valid once ended is closed.
type process struct {
	pid    int
	ended  chan struct{}
	reason error
}

var (
	errEnded  = errors.New("ended by itself with status 0")
	errForced = errors.New("did not end in time and was killed")
)

// startProcess starts the program in a process group of its own. The process group is killed when its leader ends.
func startProcess(spec Spec, output *output) (*process, error) {
	p := &process{ended: make(chan struct{})}
	started := make(chan error, 1)
	// The kernel sends OrphanSignal when the *thread* that started the program ends, so this goroutine keeps its
	// thread until the program has ended.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.run(spec, output, started)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Path, err)
	}
	return p, nil
}

func (p *process) run(spec Spec, output *output, started chan<- error) {
	defer close(p.ended)
	write, err := output.pipe()
	if err != nil {
		started <- err
		return
	}
	command := exec.Command(spec.Path, spec.Args...) //nolint:gosec,noctx // A supervisor runs programs by path and ends them politely.
	command.Dir = spec.Dir
	if spec.Env != nil {
		command.Env = spec.Env()
	}
	command.Stdout, command.Stderr = write, write
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  spec.OrphanSignal,
		Credential: spec.Credential,
	}
	err = command.Start()
	closeErr := write.Close()
	if err != nil {
		started <- err
		return
	}
	p.pid = command.Process.Pid
	started <- nil

	p.reason = errors.Join(command.Wait(), closeErr)
	if p.reason == nil {
		p.reason = errEnded
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
}

// end asks the process to end, kills its group after grace or when ctx is done, and returns when it has ended.
func (p *process) end(ctx context.Context, signal syscall.Signal, grace time.Duration) error {
	_ = syscall.Kill(p.pid, signal)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.ended
	return errForced
}

// Run runs a program once, to its end, and returns an error with the last lines it wrote when its status is not 0.
// Ready and the restart are not used. When ctx ends the program is stopped as a service would be.
func (s *Supervisor) Run(ctx context.Context, spec Spec) error {
	spec = spec.withDefaults()
	output, err := openOutput(s.Logs, spec, s.Logger.With("service", spec.Name))
	if err != nil {
		return err
	}
	defer output.close()
	process, err := startProcess(spec, output)
	if err != nil {
		return err
	}
	select {
	case <-process.ended:
	case <-ctx.Done():
		_ = process.end(context.WithoutCancel(ctx), spec.StopSignal, spec.Grace)
		return fmt.Errorf("%s: %w", spec.Name, context.Cause(ctx))
	}
	if !errors.Is(process.reason, errEnded) {
		return fmt.Errorf("%s: %w%s", spec.Name, process.reason, output.tail())
	}
	return nil
}
