package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/deploy/local/localtest"
	"github.com/sluice-media/sluice/deploy/local/postgres"
	"github.com/sluice-media/sluice/deploy/local/privilege"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

type testBundle struct {
	supervisor *supervise.Supervisor
	config     postgres.Config
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	return &testBundle{
		supervisor: &supervise.Supervisor{Logs: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))},
		config:     postgres.Config{Dir: localtest.Folder(t), Port: localtest.Port(t), Password: "s3cret 'quoted' @:/?"},
	}
}

func (b *testBundle) start(t *testing.T) *supervise.Service {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	service, err := postgres.Start(ctx, b.supervisor, b.config)
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func (b *testBundle) stop(t *testing.T, service *supervise.Service) {
	t.Helper()
	if err := service.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func (b *testBundle) query(ctx context.Context, sql string) (result string, err error) {
	connection, err := pgx.Connect(ctx, b.config.URL())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, connection.Close(ctx)) }()
	rows, err := connection.Query(ctx, sql)
	if err != nil {
		return "", err
	}
	results, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(results, ","), err
}

func (b *testBundle) mustQuery(t *testing.T, sql string) string {
	t.Helper()
	result, err := b.query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return result
}

func TestClusterSurvivesEveryEnd(t *testing.T) {
	b := setup(t)
	service := b.start(t)
	b.mustQuery(t, "CREATE TABLE kept (word text)")
	b.mustQuery(t, "INSERT INTO kept VALUES ('first')")
	if got := b.mustQuery(t, "SELECT current_user || '@' || current_database()"); got != "sluice@sluice" {
		t.Fatalf("connected as %s", got)
	}

	t.Run("kill -9 of the server", func(t *testing.T) {
		connection, err := pgx.Connect(t.Context(), b.config.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close(t.Context()) }()
		killed := service.PID()
		if _, err := connection.Exec(t.Context(), "INSERT INTO kept VALUES ('committed a moment ago')"); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		localtest.Eventually(t, "the restarted server", func() bool {
			_, err := b.query(t.Context(), "SELECT 'up'")
			return err == nil && service.PID() != killed
		})
		if got := b.mustQuery(t, "SELECT word FROM kept ORDER BY word"); got != "committed a moment ago,first" {
			t.Fatalf("kept %s", got)
		}
	})

	t.Run("stop and start", func(t *testing.T) {
		b.mustQuery(t, "INSERT INTO kept VALUES ('second')")
		b.stop(t, service)
		service = b.start(t)
		if got := b.mustQuery(t, "SELECT word FROM kept ORDER BY word"); got != "committed a moment ago,first,second" {
			t.Fatalf("kept %s", got)
		}
	})

	t.Run("stale pid file naming a stranger of the same account", func(t *testing.T) {
		b.stop(t, service)
		stranger := startStranger(t)
		stale := fmt.Sprintf("%d\n%s\n1\n%d\n", stranger, filepath.Join(b.config.Dir, "data"), b.config.Port)
		if err := os.WriteFile(filepath.Join(b.config.Dir, "data", "postmaster.pid"), []byte(stale), 0o600); err != nil {
			t.Fatal(err)
		}
		service = b.start(t)
		if err := syscall.Kill(stranger, 0); err != nil {
			t.Fatalf("the stranger was harmed: %v", err)
		}
	})
	b.stop(t, service)
}

func TestWrongPasswordIsRefused(t *testing.T) {
	b := setup(t)
	service := b.start(t)
	defer b.stop(t, service)
	b.config.Password = "wrong"
	if _, err := b.query(t.Context(), "SELECT 'in'"); err == nil || !strings.Contains(err.Error(), "authentication") {
		t.Fatalf("error = %v, want a failed authentication", err)
	}
}

func TestInterruptedCreationIsRepeated(t *testing.T) {
	b := setup(t)
	if err := os.MkdirAll(filepath.Join(b.config.Dir, "unfinished", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.stop(t, b.start(t))
}

func TestBusyPortSaysSo(t *testing.T) {
	b := setup(t)
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.config.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := postgres.Start(ctx, b.supervisor, b.config); err == nil || !strings.Contains(err.Error(), "Address already in use") {
		t.Fatalf("error = %v, want the server's own words", err)
	}
}

// startStranger starts an innocent process under the server's account and returns its id.
func startStranger(t *testing.T) int {
	t.Helper()
	account, err := privilege.Drop("postgres")
	if err != nil {
		t.Fatal(err)
	}
	stranger := exec.Command("/bin/sleep", "300")
	stranger.Dir = "/"
	stranger.SysProcAttr = &syscall.SysProcAttr{Credential: account.Credential()}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	})
	return stranger.Process.Pid
}
