package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/deploy/local/clamd"
	"github.com/sluice-media/sluice/deploy/local/localtest"
)

func TestForegroundCommandEndsAsInAShell(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   error
	}{
		"success": {"exit 0", nil},
		"failure": {"exit 7", statusError(7)},
		"signal":  {"kill -9 $$", statusError(128 + 9)},
	} {
		t.Run(name, func(t *testing.T) {
			err := runForeground([]string{"sh", "-c", test.script}, t.TempDir(), os.Environ(), console{t.Output(), t.Output()})
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
		})
	}
	t.Run("not found", func(t *testing.T) {
		err := runForeground([]string{"no-such-command"}, t.TempDir(), os.Environ(), console{t.Output(), t.Output()})
		if !errors.Is(err, exec.ErrNotFound) {
			t.Fatalf("error %v, want not found", err)
		}
	})
}

func TestExecKeepsArgumentsFolderAndStatusAndLeavesNothing(t *testing.T) {
	temporary := t.TempDir()
	p := start(t, []string{"TMPDIR=" + temporary}, "exec", "--", "sh", "-c", `pwd; printf '<%s>' "$@"; exit 7`, "--", "a b", "--flag", "")
	if status := p.status(t); status != 7 {
		t.Fatalf("status %d, want 7", status)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.stdout.String(), here+"\n<a b><--flag><>"; got != want {
		t.Fatalf("stdout %q, want %q", got, want)
	}
	wantEmpty(t, temporary)
	if left := processesOf(temporary); len(left) != 0 {
		t.Fatalf("still running: %q", left)
	}
}

func TestExecStopsOnSIGTERM(t *testing.T) {
	p := start(t, nil, "exec", "--", "sh", "-c", `trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done`)
	localtest.Eventually(t, "the command", func() bool { return strings.Contains(p.stdout.String(), "up") })
	p.signal(t, syscall.SIGTERM)
	if status := p.status(t); status != 5 || !strings.Contains(p.stdout.String(), "bye") {
		t.Fatalf("status %d, stdout %q", status, p.stdout)
	}
}

func TestExecWithoutCommand(t *testing.T) {
	p := start(t, nil, "exec", "--")
	if status := p.status(t); status == 0 || !strings.Contains(p.stderr.String(), "needs a command") {
		t.Fatalf("status %d, stderr %s", status, p.stderr)
	}
}

// insideExec marks the run of TestEverythingIsThere by exec.
const insideExec = "SLUICE_LOCAL_TEST_INSIDE_EXEC"

// TestExecProvidesEverything runs TestEverythingIsThere as `make test` runs the tests of Sluice.
func TestExecProvidesEverything(t *testing.T) {
	// A variable of another server must not divert tests that write.
	env := []string{insideExec + "=1", "SLUICE_DATABASE_URL=postgres://nobody@127.0.0.1:1/production"}
	p := start(t, env, "exec", "--", "env", "-u", asProgram, os.Args[0], "-test.run=^TestEverythingIsThere$", "-test.v")
	if status := p.status(t); status != 0 || !strings.Contains(p.stdout.String(), "--- PASS: TestEverythingIsThere") {
		t.Fatalf("status %d, stdout %s", status, p.stdout)
	}
}

func TestEverythingIsThere(t *testing.T) {
	if os.Getenv(insideExec) == "" {
		return // TestExecProvidesEverything runs it where it means something.
	}
	ctx := t.Context()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		t.Fatal(err)
	}
	objects := awss3.NewFromConfig(cfg, func(o *awss3.Options) {
		o.BaseEndpoint = aws.String(os.Getenv("SLUICE_S3_ENDPOINT"))
		o.UsePathStyle = true
	})
	for _, bucket := range []string{os.Getenv("SLUICE_S3_INCOMING_BUCKET"), os.Getenv("SLUICE_S3_MEDIA_BUCKET")} {
		if _, err := objects.HeadBucket(ctx, &awss3.HeadBucketInput{Bucket: &bucket}); err != nil {
			t.Error(err)
		}
	}

	queues := awssqs.NewFromConfig(cfg, func(o *awssqs.Options) { o.BaseEndpoint = aws.String(os.Getenv("SLUICE_SQS_ENDPOINT")) })
	for _, stage := range []string{"s3-events", "verify", "scan", "thumbnail", "publish", "settle", "notify"} {
		for _, suffix := range []string{"", "-dlq"} {
			name := os.Getenv("SLUICE_SQS_PREFIX") + stage + suffix
			if _, err := queues.GetQueueUrl(ctx, &awssqs.GetQueueUrlInput{QueueName: &name}); err != nil {
				t.Error(err)
			}
		}
	}
	t.Run("an upload becomes an event", func(t *testing.T) {
		_, err := objects.PutObject(ctx, &awss3.PutObjectInput{
			Bucket: aws.String(os.Getenv("SLUICE_S3_INCOMING_BUCKET")), Key: aws.String("uploads/event.jpg"), Body: strings.NewReader("x"),
		})
		if err != nil {
			t.Fatal(err)
		}
		url, err := queues.GetQueueUrl(ctx, &awssqs.GetQueueUrlInput{QueueName: aws.String(os.Getenv("SLUICE_SQS_PREFIX") + "s3-events")})
		if err != nil {
			t.Fatal(err)
		}
		received, err := queues.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: url.QueueUrl, WaitTimeSeconds: 5})
		if err != nil || len(received.Messages) != 1 || !strings.Contains(*received.Messages[0].Body, "uploads/event.jpg") {
			t.Fatalf("received %+v, %v", received, err)
		}
	})

	database, err := pgx.Connect(ctx, os.Getenv("SLUICE_DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := database.Exec(ctx, "CREATE SCHEMA of_a_test"); err != nil {
		t.Error(err)
	}
	if err := database.Close(ctx); err != nil {
		t.Error(err)
	}

	if err := clamd.Ping(ctx, strings.TrimPrefix(os.Getenv("SLUICE_CLAMD_ADDRESS"), "tcp://")); err != nil {
		t.Error(err)
	}

	t.Run("the edge serves what is published", func(t *testing.T) {
		_, err := objects.PutObject(ctx, &awss3.PutObjectInput{
			Bucket: aws.String(os.Getenv("SLUICE_S3_MEDIA_BUCKET")), Key: aws.String("uploads/photo.jpg"), Body: strings.NewReader("photo"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := get(t, os.Getenv("SLUICE_MEDIA_URL")+"/uploads/photo.jpg"); got != "photo" {
			t.Fatalf("the edge has %q", got)
		}
	})

	t.Run("the store refuses who does not sign", func(t *testing.T) {
		response, err := http.Get(fmt.Sprintf("%s/%s/uploads/photo.jpg", os.Getenv("SLUICE_S3_ENDPOINT"), os.Getenv("SLUICE_S3_MEDIA_BUCKET")))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusForbidden {
			t.Fatalf("status %s", response.Status)
		}
	})
}

func TestExecKeepsItsFolderOnRequest(t *testing.T) {
	temporary := localtest.Folder(t)
	p := start(t, []string{"TMPDIR=" + temporary}, "exec", "--keep", "--", "true")
	if status := p.status(t); status != 0 {
		t.Fatalf("status %d", status)
	}
	logs, err := filepath.Glob(filepath.Join(temporary, "sluice-exec-*", "log", "*.log"))
	if err != nil || len(logs) == 0 || !strings.Contains(p.stderr.String(), filepath.Dir(filepath.Dir(logs[0]))) {
		t.Fatalf("logs %v, %v; stderr %s", logs, err, p.stderr)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 0 {
		t.Fatalf("%s still has %v", dir, entries)
	}
}
