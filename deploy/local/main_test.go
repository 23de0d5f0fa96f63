package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-media/sluice/deploy/local/localtest"
)

// asProgram makes this test binary be sluice-local, or for the names of Sluice's own processes a stand-in for sluice.
const asProgram = "SLUICE_LOCAL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "migrate":
		os.Exit(standInMigrate())
	case "api":
		os.Exit(standInServe(os.Getenv("SLUICE_LISTEN")))
	case "worker":
		os.Exit(standInServe(os.Getenv("SLUICE_METRICS_LISTEN")))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func standInMigrate() int {
	if os.Getenv("SLUICE_DATABASE_URL") == "" {
		fmt.Fprintln(os.Stderr, "no database to migrate")
		return 1
	}
	return 0
}

func standInServe(listen string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: listen, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/environment" {
			_, _ = fmt.Fprint(w, strings.Join(os.Environ(), "\n"))
		}
	})}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// program is sluice-local, running.
type program struct {
	*exec.Cmd
	stdout, stderr *lockedBuffer
	ended          chan struct{}
}

// start starts sluice-local with extra variables (NAME=value) in its environment.
func start(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(os.Args[0], args...), stdout: &lockedBuffer{}, stderr: &lockedBuffer{}, ended: make(chan struct{})}
	p.Env = append(os.Environ(), append(env, asProgram+"=1")...)
	p.Stdout, p.Stderr = p.stdout, p.stderr
	p.WaitDelay = 10 * time.Second
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait()
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("stdout of %v:\n%s\nstderr:\n%s", args, p.stdout, p.stderr)
		}
	})
	return p
}

func (p *program) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// status waits for the end and returns the exit status.
func (p *program) status(t *testing.T) int {
	t.Helper()
	localtest.Eventually(t, "the end of sluice-local", func() bool { return !p.running() })
	return p.ProcessState.ExitCode()
}

func (p *program) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// dataFolder is a new data folder, yet to be made, that other accounts may reach.
func dataFolder(t *testing.T) string {
	t.Helper()
	return filepath.Join(localtest.Folder(t), ".sluice")
}

// processesOf lists the command lines of live processes that have dir in their arguments or work in it.
func processesOf(dir string) []string {
	var found []string
	commandLines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commandLines {
		content, _ := os.ReadFile(path)
		working, _ := os.Readlink(filepath.Join(filepath.Dir(path), "cwd"))
		if bytes.Contains(content, []byte(dir)) || strings.HasPrefix(working, dir) {
			found = append(found, strings.ReplaceAll(string(content), "\x00", " "))
		}
	}
	return found
}

func mustPorts(t *testing.T) ports {
	t.Helper()
	p, err := freePorts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
