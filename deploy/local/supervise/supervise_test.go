package supervise_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-media/sluice/deploy/local/localtest"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

type testBundle struct {
	supervisor *supervise.Supervisor
	dir        string
	shown      *lockedBuffer
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	shown := &lockedBuffer{}
	dir := t.TempDir()
	return &testBundle{
		supervisor: &supervise.Supervisor{Logs: dir, Logger: slog.New(slog.NewTextHandler(shown, nil))},
		dir:        dir,
		shown:      shown,
	}
}

func (b *testBundle) shell(name, script string) supervise.Spec {
	return supervise.Spec{Name: name, Path: "/bin/sh", Args: []string{"-c", script}, Dir: b.dir}
}

// fileExists is ready once the program has created the file.
func (b *testBundle) fileExists(name string) func(context.Context) error {
	return func(context.Context) error {
		_, err := os.Stat(filepath.Join(b.dir, name))
		return err
	}
}

func (b *testBundle) log(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStartWaitsUntilReady(t *testing.T) {
	b := setup(t)
	spec := b.shell("web", "sleep 0.2; touch up; exec sleep 60")
	spec.Ready = b.fileExists("up")
	service, err := b.supervisor.Start(deadline(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.fileExists("up")(t.Context()); err != nil {
		t.Fatal("Start returned before the service was ready")
	}
	if err := service.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestKilledServiceIsRestarted(t *testing.T) {
	b := setup(t)
	spec := b.shell("web", "echo started; exec sleep 60")
	service, err := b.supervisor.Start(deadline(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	started := func() int { return strings.Count(b.log(t, "web"), "started") }
	localtest.Eventually(t, "the first words", func() bool { return started() == 1 })
	if err := syscall.Kill(service.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "the first words of a second process", func() bool { return started() == 2 })
	if err := service.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.shown.String(), "restarting") {
		t.Fatalf("the death was not logged: %s", b.shown)
	}
}

func TestLeftoversOfAKilledServiceAreKilled(t *testing.T) {
	b := setup(t)
	service, err := b.supervisor.Start(deadline(t), b.shell("web", "sleep 300 & echo $! >child; wait"))
	if err != nil {
		t.Fatal(err)
	}
	child := 0
	localtest.Eventually(t, "the child's pid", func() bool {
		data, _ := os.ReadFile(filepath.Join(b.dir, "child"))
		child, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return child != 0
	})
	if err := syscall.Kill(service.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "the child's end", func() bool { return !alive(child) })
	if err := service.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestServiceThatNeverStartsIsAnErrorWithItsLastWords(t *testing.T) {
	b := setup(t)
	spec := b.shell("broken", "echo the disk is full >&2; exit 3")
	spec.Ready = func(context.Context) error { return errors.New("no answer") }
	_, err := b.supervisor.Start(deadline(t), spec)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the disk is full") {
		t.Fatalf("error = %v, want the status and the last lines", err)
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	b := setup(t)
	_, err := b.supervisor.Start(deadline(t), supervise.Spec{Name: "none", Path: "/no/such/program"})
	if !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("error = %v, want not exist", err)
	}
}

func TestStopUsesTheStopSignal(t *testing.T) {
	b := setup(t)
	spec := b.shell("web", `trap 'echo bye; exit 0' INT; touch up; while :; do sleep 0.05; done`)
	spec.StopSignal = syscall.SIGINT
	spec.Ready = b.fileExists("up")
	service, err := b.supervisor.Start(deadline(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.log(t, "web"), "bye") {
		t.Fatal("the service was not asked to end by its stop signal")
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	b := setup(t)
	spec := b.shell("stubborn", `trap '' TERM; touch up; while :; do sleep 0.05; done`)
	spec.Ready = b.fileExists("up")
	spec.Grace = 100 * time.Millisecond
	service, err := b.supervisor.Start(deadline(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	pid := service.PID()
	if err := service.Stop(t.Context()); err == nil {
		t.Fatal("force was needed, yet Stop returned no error")
	}
	if alive(pid) {
		t.Fatal("the process is still alive")
	}
}

func TestRestartSeesTheNewEnvironment(t *testing.T) {
	b := setup(t)
	var mu sync.Mutex
	value := "old"
	spec := b.shell("web", `echo "value is $VALUE"; exec sleep 60`)
	spec.Env = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return []string{"PATH=" + os.Getenv("PATH"), "VALUE=" + value}
	}
	service, err := b.supervisor.Start(deadline(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "the first value", func() bool { return strings.Contains(b.log(t, "web"), "value is old") })
	mu.Lock()
	value = "new"
	mu.Unlock()
	if err := service.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "the second value", func() bool { return strings.Contains(b.log(t, "web"), "value is new") })
	if err := service.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestImportantLinesAreShown(t *testing.T) {
	b := setup(t)
	spec := b.shell("web", "echo all is well; echo FATAL: it is not")
	spec.Important = func(line string) bool { return strings.HasPrefix(line, "FATAL") }
	if err := b.supervisor.Run(deadline(t), spec); err != nil {
		t.Fatal(err)
	}
	if shown := b.shown.String(); !strings.Contains(shown, "it is not") || strings.Contains(shown, "all is well") {
		t.Fatalf("shown = %s", shown)
	}
	if log := b.log(t, "web"); !strings.Contains(log, "all is well") || !strings.Contains(log, "it is not") {
		t.Fatalf("log file = %s", log)
	}
}

func TestRun(t *testing.T) {
	b := setup(t)
	if err := b.supervisor.Run(deadline(t), b.shell("once", "exit 0")); err != nil {
		t.Fatal(err)
	}
	err := b.supervisor.Run(deadline(t), b.shell("once", "echo out of cheese; exit 4"))
	if err == nil || !strings.Contains(err.Error(), "exit status 4") || !strings.Contains(err.Error(), "out of cheese") {
		t.Fatalf("error = %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.supervisor.Run(ctx, b.shell("once", "exec sleep 60")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error = %v, want deadline exceeded", err)
	}
}

const supervisorRole = "SUPERVISE_TEST_ROLE"

// TestNothingSurvivesTheSupervisor kills a supervisor (this test, started again) as harshly as can be.
func TestNothingSurvivesTheSupervisor(t *testing.T) {
	if dir := os.Getenv(supervisorRole); dir != "" {
		b := &testBundle{dir: dir, shown: &lockedBuffer{}}
		b.supervisor = &supervise.Supervisor{Logs: dir, Logger: slog.New(slog.NewTextHandler(b.shown, nil))}
		if _, err := b.supervisor.Start(t.Context(), b.shell("web", "echo $$ >pid.new; mv pid.new pid; exec sleep 300")); err != nil {
			t.Fatal(err)
		}
		select {}
	}

	dir := t.TempDir()
	self := exec.Command(os.Args[0], "-test.run=^TestNothingSurvivesTheSupervisor$")
	self.Env = append(os.Environ(), supervisorRole+"="+dir)
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	localtest.Eventually(t, "the service's pid", func() bool {
		data, _ := os.ReadFile(filepath.Join(dir, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return pid != 0
	})
	if err := self.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = self.Wait()
	localtest.Eventually(t, "the service's end", func() bool { return !alive(pid) })
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// alive tells whether the process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(after, []byte("Z"))
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

func TestThePauseHasABound(t *testing.T) {
	const deaths = 6
	b := setup(t)
	b.supervisor.LongestPause = time.Millisecond
	service, err := b.supervisor.Start(t.Context(), b.shell("mortal", "exec sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Stop(t.Context()) }()
	began := time.Now()
	for range deaths {
		before := service.PID()
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		localtest.Eventually(t, "the next life", func() bool { return service.PID() != before && service.Check(t.Context()) == nil })
	}
	if took := time.Since(began); took > deaths*time.Second {
		t.Errorf("%d deaths took %s", deaths, took)
	}
}
