package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-media/sluice/deploy/local/prometheus"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

// product is Sluice's own processes on top of the stack, and Prometheus over them.
type product struct {
	*stack
	program string
	workDir string

	mu        sync.Mutex
	variables environment
	processes []*supervise.Service
	// monitored tells that Prometheus runs.
	monitored bool
}

// drain is how long a Sluice process may take to finish what it has begun.
const drain = 20 * time.Second

// devOrigins are where the usual development servers of web applications are.
const devOrigins = "http://localhost:3000,http://127.0.0.1:3000,http://localhost:5173,http://127.0.0.1:5173"

// startAll starts the stack, then Sluice's processes, then what watches them.
func (p *product) startAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := p.start(ctx); err != nil {
		return err
	}
	if err := p.waitForClamd(ctx, clamdPatience); errors.Is(err, errLoading) {
		p.logger.Warn("clamd is still loading signatures: uploads wait for their scan")
	} else if err != nil {
		return err
	}
	if err := p.writeEnvironment(); err != nil {
		return err
	}
	if err := p.supervisor.Run(ctx, p.process("migrate", nil)); err != nil {
		return err
	}
	for _, process := range []supervise.Spec{
		p.process("api", healthy("http://"+address(p.ports.api()))),
		p.process("worker", healthy("http://"+address(p.ports.metrics()))),
	} {
		service, err := p.supervisor.Launch(ctx, process)
		if err != nil {
			return err
		}
		p.lifecycle.onStop(process.Name, service.Stop)
		p.processes = append(p.processes, service)
	}
	for _, process := range p.processes {
		if err := process.WaitReady(ctx); err != nil {
			return err
		}
	}
	return p.monitor(ctx)
}

// process is `sluice NAME` with the variables of the moment at which it is started.
func (p *product) process(name string, ready func(context.Context) error) supervise.Spec {
	return supervise.Spec{
		Name:       name,
		Path:       p.program,
		Args:       []string{name},
		Dir:        p.workDir,
		Env:        p.environ,
		Ready:      ready,
		StopSignal: syscall.SIGTERM,
		Grace:      drain,
		Important:  important,
	}
}

func (p *product) environ() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.variables.over(os.Environ())
}

// writeEnvironment settles the variables of processes started from now on, and tells them to the operator's tools.
func (p *product) writeEnvironment() error {
	variables, err := p.environment(time.Now())
	if err != nil {
		return err
	}
	variables.inherit(os.Environ())
	if !variables.has("SLUICE_ALLOWED_ORIGINS") {
		variables.set("SLUICE_ALLOWED_ORIGINS", devOrigins)
	}
	p.mu.Lock()
	p.variables = variables
	p.mu.Unlock()
	return variables.write(p.layout.environment())
}

// announceSignatures restarts Sluice's processes with the news that clamd has official signatures.
func (p *product) announceSignatures(ctx context.Context) {
	if err := p.writeEnvironment(); err != nil {
		p.logger.Error("environment not written", "error", err)
		return
	}
	for _, process := range p.processes {
		if err := process.Restart(ctx); err != nil {
			p.logger.Warn("process not restarted in order", "error", err)
		}
	}
}

func (p *product) monitor(ctx context.Context) error {
	program, installed := prometheus.Find()
	if !installed {
		return nil
	}
	service, err := prometheus.Launch(ctx, p.supervisor, program, p.prometheusConfig())
	if err != nil {
		return err
	}
	p.lifecycle.onStop("Prometheus", service.Stop)
	p.monitored = true
	return nil
}

func (p *product) prometheusConfig() prometheus.Config {
	return prometheus.Config{
		Dir:  p.layout.service("prometheus"),
		Port: p.ports.prometheus(),
		Targets: map[string]string{
			"api":    address(p.ports.api()),
			"worker": address(p.ports.metrics()),
		},
	}
}

// healthy is ready when the process at base answers /healthz.
func healthy(base string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s/healthz answers %s", base, response.Status)
		}
		return nil
	}
}

// important selects slog's errors, in either of its formats, and the Go runtime's last words.
func important(line string) bool {
	return strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "level=ERROR") ||
		strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
}
