// Package e2e tries the whole of Sluice as its users do: the real binaries, on the whole local stack, with real
// photographs, while processes die.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit  = 2 * time.Minute
	uploadLimit = 2 * time.Minute
	pollEvery   = 20 * time.Millisecond
)

// stack is the one that all tests of this package share.
var stack struct {
	process *exec.Cmd
	env     []string          // for the product's commands
	value   map[string]string // the same, by name
	bin     string            // folder
	log     *bytes.Buffer

	elsewhere string                 // an allowed origin, with the page of another application
	script    atomic.Pointer[string] // of that page
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := start(dir); err != nil {
		return fail(err)
	}
	code := m.Run()
	if code != 0 {
		fmt.Fprintln(os.Stderr, stack.log)
		fmt.Fprintln(os.Stderr, complaints(filepath.Join(dir, "log")))
	}
	if err := stop(); err != nil {
		return fail(err)
	}
	return code
}

// complaints are the last lines of each log in a folder that warn of something.
func complaints(dir string) string {
	const told = 50 // of each
	var all []string
	for _, name := range []string{"api.log", "worker.log"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
			return !strings.Contains(line, "level=WARN") && !strings.Contains(line, "level=ERROR")
		})
		all = append(all, name+":")
		all = append(all, lines[max(0, len(lines)-told):]...)
	}
	return strings.Join(all, "\n")
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	if stack.log != nil {
		fmt.Fprintln(os.Stderr, stack.log)
	}
	return 1
}

func start(dir string) error {
	bin, err := filepath.Abs("../../../bin")
	if err != nil {
		return err
	}
	for _, name := range []string{"sluice", "sluice-local"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return fmt.Errorf("%w: run these tests by `make test`", err)
		}
	}
	base, err := freePorts()
	if err != nil {
		return err
	}
	stack.bin, stack.log = bin, &bytes.Buffer{}
	server := httptest.NewServer(application(func() string { return *stack.script.Load() }))
	stack.elsewhere = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	stack.process = exec.Command(filepath.Join(bin, "sluice-local"), "run", "--data", dir)
	stack.process.Env = append(os.Environ(),
		"SLUICE_LOCAL_PORT_BASE="+strconv.Itoa(base),
		"SLUICE_ALLOWED_ORIGINS=http://localhost:"+strconv.Itoa(base)+","+stack.elsewhere, // the first is the same server, and another origin to browsers
		"SLUICE_MULTIPART_THRESHOLD="+strconv.Itoa(16<<20),                                // so that a file need not be huge to be sent in parts
		"SLUICE_SWEEP_EVERY=1s",
	)
	stack.process.Stdout, stack.process.Stderr = stack.log, stack.log
	stack.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := stack.process.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for _, port := range []int{base, base + 6} {
		if err := waitReady(ctx, fmt.Sprintf("http://127.0.0.1:%d/readyz", port)); err != nil {
			return errors.Join(err, stop())
		}
	}
	return readEnv(filepath.Join(dir, "env"))
}

func stop() error {
	if err := stack.process.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return stack.process.Wait()
}

func readEnv(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	stack.value = map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, quoted, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || strings.HasPrefix(name, "#") {
			continue
		}
		stack.value[name] = strings.Trim(quoted, "'")
		stack.env = append(stack.env, name+"="+stack.value[name])
	}
	return nil
}

func waitReady(ctx context.Context, url string) error {
	for {
		status, _, err := fetch(ctx, url)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %d, %w", url, status, errors.Join(err, ctx.Err()))
		case <-time.After(pollEvery):
		}
	}
}

func freePorts() (int, error) {
	for range 100 {
		base, free := 10000+rand.IntN(20000), true
		for port := base; port < base+8 && free; port++ {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if free = err == nil; free {
				free = l.Close() == nil
			}
		}
		if free {
			return base, nil
		}
	}
	return 0, errors.New("no eight consecutive free ports")
}

// fetch GETs url and returns the answer with its body read.
func fetch(ctx context.Context, url string) (status int, answer *answered, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, &answered{resp.Header, body}, errors.Join(err, resp.Body.Close())
}

type answered struct {
	header http.Header
	body   []byte
}

// upload is what the API and `sluice upload --json` say of an upload, as far as the tests look.
type upload struct {
	ID       string
	Filename string
	State    string
	URL      string
	Width    int
	Height   int
	SHA256   string
	Reason   *struct{ Code, Detail string }
	Variants []struct {
		Name, URL     string
		ContentType   string `json:"content_type"`
		Width, Height int
	}
	History []struct {
		Stage, From, To string
		StartedAt       time.Time `json:"started_at"`
		FinishedAt      time.Time `json:"finished_at"`
	}
}

// sluice runs a command of the product. Its exit code must be want.
func sluice(t *testing.T, want int, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), uploadLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(stack.bin, "sluice"), args...)
	cmd.Env = append(os.Environ(), stack.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("sluice %s …: exit code %d (%v), want %d\n%s%s", args[0], got, err, want, stdout, &stderr)
	}
	return stdout
}

// send uploads files by the command line and returns what became of each.
func send(t *testing.T, want int, args ...string) []upload {
	t.Helper()
	var all []upload
	decoder := json.NewDecoder(bytes.NewReader(sluice(t, want, append([]string{"upload", "--json"}, args...)...)))
	for decoder.More() {
		var u upload
		if err := decoder.Decode(&u); err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	return all
}

// file writes a file for a test and returns its path.
func file(t *testing.T, name string, body []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
