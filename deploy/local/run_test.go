package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/deploy/local/localtest"
)

// runBundle is one `sluice-local run` after the other on the same data and ports.
type runBundle struct {
	data  string
	ports ports
}

func setupRun(t *testing.T) *runBundle {
	t.Helper()
	return &runBundle{data: dataFolder(t), ports: mustPorts(t)}
}

func (b *runBundle) launch(t *testing.T, env ...string) *program {
	t.Helper()
	return start(t, env, "run", "--data", b.data, "--port-base", strconv.Itoa(b.ports.base), "--sluice", os.Args[0])
}

func (b *runBundle) start(t *testing.T, env ...string) *program {
	t.Helper()
	p := b.launch(t, env...)
	localtest.Eventually(t, "the banner", func() bool {
		if !p.running() {
			t.Fatalf("sluice-local ended: %s", p.stderr)
		}
		return strings.Contains(p.stdout.String(), "A first upload")
	})
	return p
}

func (b *runBundle) stop(t *testing.T, p *program, s syscall.Signal) {
	t.Helper()
	p.signal(t, s)
	if status := p.status(t); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	b.wantNothingLeft(t)
}

func (b *runBundle) wantNothingLeft(t *testing.T) {
	t.Helper()
	localtest.Eventually(t, "the end of all processes", func() bool { return len(processesOf(b.data)) == 0 })
	if err := b.ports.requireFree(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
}

// variables reads the env file as a shell does.
func (b *runBundle) variables(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(b.data, "env"))
	if err != nil {
		t.Fatal(err)
	}
	return sourced(t, string(content))
}

func TestRunKeepsDataOverRestarts(t *testing.T) {
	b := setupRun(t)
	first := b.start(t)
	before := b.variables(t)
	exec := func(sql string) {
		connection, err := pgx.Connect(t.Context(), before["SLUICE_DATABASE_URL"])
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close(t.Context()) }()
		if _, err := connection.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE yesterday ()")
	b.stop(t, first, syscall.SIGINT)

	// The operator's shell may still have the variables of yesterday's run.
	second := b.start(t, "SLUICE_DATABASE_URL="+before["SLUICE_DATABASE_URL"])
	after := b.variables(t)
	for name, value := range before {
		if name != "SLUICE_TOKEN" && after[name] != value {
			t.Errorf("%s was %q and is %q", name, value, after[name])
		}
	}
	exec("DROP TABLE yesterday")
	b.stop(t, second, syscall.SIGTERM)
}

func TestRunAfterItWasKilled(t *testing.T) {
	b := setupRun(t)
	first := b.start(t)
	first.signal(t, syscall.SIGKILL)
	first.status(t)
	// At once, while what the kernel was told to end may still be ending.
	second := b.start(t)
	b.stop(t, second, syscall.SIGTERM)

	third := b.start(t)
	third.signal(t, syscall.SIGKILL)
	third.status(t)
	b.wantNothingLeft(t)
}

func TestRunRestartsWhatDies(t *testing.T) {
	b := setupRun(t)
	p := b.start(t)
	for name, port := range map[string]int{
		"api": b.ports.api(), "worker": b.ports.metrics(), "edge": b.ports.edge(),
		"postgres": b.ports.postgres(), "clamd": b.ports.clamd(),
	} {
		t.Run(name, func(t *testing.T) {
			killed := listener(t, port)
			if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			localtest.Eventually(t, name+" on its port again", func() bool {
				now := listener(t, port)
				return now != 0 && now != killed
			})
			if !strings.Contains(p.stderr.String(), "service="+name) {
				t.Errorf("the death of %s was not logged", name)
			}
		})
	}
	b.stop(t, p, syscall.SIGTERM)
}

func TestRunTellsSluiceAllItNeeds(t *testing.T) {
	b := setupRun(t)
	p := b.start(t, "SLUICE_WEBHOOK_URL=http://127.0.0.1:9/hook?a=b&c=d", "AWS_PROFILE=production", "AWS_SESSION_TOKEN=other")
	file := b.variables(t)
	for _, listen := range []int{b.ports.api(), b.ports.metrics()} {
		got := get(t, "http://"+address(listen)+"/environment")
		for name, value := range file {
			if !strings.Contains(got+"\n", name+"="+value+"\n") {
				t.Errorf("port %d: the process was not given %s=%s", listen, name, value)
			}
		}
		for _, foreign := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN"} {
			if strings.Contains(got, foreign) {
				t.Errorf("port %d: the process was given %s", listen, foreign)
			}
		}
	}
	for _, name := range []string{
		"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SLUICE_S3_ENDPOINT", "SLUICE_S3_PUBLIC_ENDPOINT", "SLUICE_S3_PROVIDER",
		"SLUICE_S3_INCOMING_BUCKET", "SLUICE_S3_MEDIA_BUCKET", "SLUICE_SQS_ENDPOINT", "SLUICE_SQS_PREFIX",
		"SLUICE_DATABASE_URL", "SLUICE_CLAMD_ADDRESS", "SLUICE_CLAMD_TEST_SIGNATURES", "SLUICE_SCAN_MAX_SIZE",
		"SLUICE_MEDIA_URL", "SLUICE_LISTEN", "SLUICE_METRICS_LISTEN", "SLUICE_JWT_SECRET", "SLUICE_URL", "SLUICE_TOKEN",
		"SLUICE_ALLOWED_ORIGINS", "SLUICE_WEBHOOK_URL",
	} {
		if file[name] == "" {
			t.Errorf("the env file lacks %s", name)
		}
	}
	info, err := os.Stat(filepath.Join(b.data, "env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("env file: mode %v, %v", info.Mode(), err)
	}

	claims := jwt.MapClaims{}
	_, err = jwt.ParseWithClaims(file["SLUICE_TOKEN"], claims, func(*jwt.Token) (any, error) {
		return []byte(file["SLUICE_JWT_SECRET"]), nil
	}, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	if err != nil || claims["sub"] != "dev" || claims["tenant"] != "dev" {
		t.Errorf("token: %v, %v", claims, err)
	}
	if !strings.Contains(p.stdout.String(), file["SLUICE_URL"]+"/#token="+file["SLUICE_TOKEN"]) {
		t.Error("the banner lacks the page's address with the token")
	}
	b.stop(t, p, syscall.SIGTERM)
}

func TestRunRefusesBusyPortsBeforeAnythingStarts(t *testing.T) {
	b := setupRun(t)
	for _, port := range []int{b.ports.sqs(), b.ports.clamd()} {
		occupied, err := net.Listen("tcp", address(port))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = occupied.Close() }()
	}
	p := b.launch(t)
	if status := p.status(t); status == 0 {
		t.Fatal("it started on busy ports")
	}
	for _, want := range []string{
		fmt.Sprintf("port %d, meant for SQS, is busy", b.ports.sqs()),
		fmt.Sprintf("port %d, meant for clamd, is busy", b.ports.clamd()),
		"SLUICE_LOCAL_PORT_BASE",
	} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("stderr lacks %q: %s", want, p.stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(b.data, "postgres")); !os.IsNotExist(err) {
		t.Errorf("PostgreSQL was touched: %v", err)
	}
}

func TestRunRefusesASecondOnTheSameData(t *testing.T) {
	b := setupRun(t)
	first := b.start(t)
	other := &runBundle{data: b.data, ports: mustPorts(t)}
	second := other.launch(t)
	if status := second.status(t); status == 0 || !strings.Contains(second.stderr.String(), "already runs") {
		t.Errorf("status %d, stderr %s", status, second.stderr)
	}
	b.stop(t, first, syscall.SIGTERM)
}

func TestRunStopsWhatStartedWhenSomethingDoesNot(t *testing.T) {
	b := setupRun(t)
	p := start(t, nil, "run", "--data", b.data, "--port-base", strconv.Itoa(b.ports.base), "--sluice", "/bin/false")
	if status := p.status(t); status == 0 || !strings.Contains(p.stderr.String(), "migrate") {
		t.Errorf("status %d, stderr %s", status, p.stderr)
	}
	b.wantNothingLeft(t)
}

func TestRunWithoutTheProgram(t *testing.T) {
	p := start(t, nil, "run", "--data", dataFolder(t), "--sluice", "/no/such/sluice")
	if status := p.status(t); status == 0 || !strings.Contains(p.stderr.String(), "make build") {
		t.Errorf("status %d, stderr %s", status, p.stderr)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// listener is the id of the process (the first of several) that listens on the loopback port, or 0.
func listener(t *testing.T, port int) int {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	// sl local_address rem_address st(0A: listening) … uid timeout inode
	line := regexp.MustCompile(fmt.Sprintf(`0100007F:%04X \S+ 0A (?:\S+\s+){5}(\d+)`, port)).FindSubmatch(table)
	if line == nil {
		return 0
	}
	sockets, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	for _, socket := range sockets {
		if target, err := os.Readlink(socket); err == nil && target == "socket:["+string(line[1])+"]" {
			pid, err := strconv.Atoi(strings.Split(socket, "/")[2])
			if err == nil && (first == 0 || pid < first) {
				first = pid
			}
		}
	}
	return first
}
