package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/sqs/sqstest"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

// operatorBundle is a Sluice of the test's own, without any worker.
type operatorBundle struct {
	queues *sqstest.Server
	pool   *pgxpool.Pool
	store  *sagas.Store
	bucket string
	media  string            // bucket
	env    map[string]string // names all of it
}

// newOperatorBundle has the environment name it.
func newOperatorBundle(t *testing.T) *operatorBundle {
	t.Helper()
	b := bundleApart(t)
	for name, value := range b.env {
		t.Setenv(name, value)
	}
	if code, _, stderr := sluice(t, "migrate"); code != 0 {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	return b
}

// bundleApart is for tests that run side by side. Its database is still empty.
func bundleApart(t *testing.T) *operatorBundle {
	t.Helper()
	var topics []string
	for _, stage := range pipeline.Stages() {
		topics = append(topics, pipeline.Topic(stage))
	}
	queues, objects, database := sqstest.New(t, topics...), storagetest.Config(t), sagatest.Config(t)
	pool, err := sagas.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &operatorBundle{
		queues: queues, pool: pool, store: sagas.NewStore(pool, "host/7"), bucket: objects.IncomingBucket, media: objects.MediaBucket,
		env: map[string]string{
			"SLUICE_SQS_PREFIX":         queues.Config.Prefix,
			"SLUICE_S3_INCOMING_BUCKET": objects.IncomingBucket,
			"SLUICE_S3_MEDIA_BUCKET":    objects.MediaBucket,
			"SLUICE_DATABASE_URL":       database.URL,
		},
	}
}

// begin makes an upload and moves it along to the last of states.
func (b *operatorBundle) begin(t *testing.T, states ...sagas.State) sagas.Upload {
	t.Helper()
	id := uuid.New()
	u, err := b.store.Begin(t.Context(), sagas.Beginning{
		ID: id, Owner: sagas.Owner{Tenant: "acme", Subject: "ann"}, Method: sagas.MethodPut, Filename: "a\x1b[31m.jpg",
		Bucket: b.bucket, Key: "uploads/" + id.String() + ".jpg", Declared: sagas.Content{Type: "image/jpeg", Size: 5}, Lifetime: 1e12,
	})
	for _, to := range states {
		if err == nil {
			u, err = b.store.Advance(t.Context(), sagas.Change{ID: id, Stage: "test", From: u.State, To: to, StartedAt: u.ReadAt,
				Facts: sagas.Facts{ETag: "e7a9", VersionID: "v1", Observed: sagas.Content{Type: "image/jpeg", Size: 5}}})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// depths are how many messages wait for a stage, and how many it could not handle.
func (b *operatorBundle) depths(t *testing.T, stage string) (queue, deadLetters int64) {
	t.Helper()
	queue, _ = b.queues.Depth(pipeline.Topic(stage))
	deadLetters, _ = b.queues.Depth(pipeline.DeadLetterTopic(stage))
	return queue, deadLetters
}

type listed struct {
	Queues []struct {
		Stage, Queue string
		Visible      int64
		Messages     []shownLetter
	}
}

type shownLetter struct {
	Message struct {
		MessageID string `json:"message_id"`
		Payload   any
	}
	Uploads []struct{ ID, State string }
	Problem string
}

func (b *operatorBundle) list(t *testing.T) map[string][]shownLetter {
	t.Helper()
	code, stdout, stderr := sluice(t, "dlq", "list", "--json")
	if code != 0 {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	var l listed
	if err := json.Unmarshal([]byte(stdout), &l); err != nil {
		t.Fatalf("%s: %v", stdout, err)
	}
	letters := map[string][]shownLetter{}
	for _, q := range l.Queues {
		letters[q.Stage] = q.Messages
		if q.Queue != b.queues.Config.Prefix+pipeline.DeadLetterTopic(q.Stage) {
			t.Errorf("queue %s of %s", q.Queue, q.Stage)
		}
	}
	if len(letters) != len(pipeline.Stages()) {
		t.Errorf("listed %v", letters)
	}
	return letters
}

func TestDeadLetters(t *testing.T) {
	b := newOperatorBundle(t)
	u := b.begin(t, sagas.Uploaded)
	b.queues.Send("verify-dlq", fmt.Sprintf(`{"id":"%s-2","payload":{"upload_id":%q}}`, u.ID, u.ID))
	b.queues.Send("s3-events-dlq", "garbage",
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"incoming"},"object":{"key":"%1B"}}}]}`)

	letters := b.list(t)
	if got := letters["verify"]; len(got) != 1 || len(got[0].Uploads) != 1 || got[0].Uploads[0].ID != u.ID.String() || got[0].Uploads[0].State != "uploaded" {
		t.Fatalf("verify: %+v", got)
	}
	if got := letters["intake"]; len(got) != 2 || !strings.Contains(got[0].Problem+got[1].Problem, "malformed") || !strings.Contains(got[0].Problem+got[1].Problem, "no such upload") {
		t.Fatalf("intake: %+v", got)
	}
	code, stdout, stderr := sluice(t, "dlq", "list")
	if code != 0 || !strings.Contains(stdout, "upload "+u.ID.String()+" uploaded") || strings.Contains(stdout, "\x1b") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}

	job := letters["verify"][0].Message.MessageID
	code, stdout, stderr = sluice(t, "dlq", "show", job)
	if code != 0 || !strings.Contains(stdout, `{"upload_id":"`+u.ID.String()+`"}`) || !strings.Contains(stdout, "uploaded") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	code, stdout, stderr = sluice(t, "dlq", "show", "--json", job)
	var shown shownLetter
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || code != 0 || shown.Message.MessageID != job || len(shown.Uploads) != 1 {
		t.Errorf("exit %d, %s, %s, %v", code, stdout, stderr, err)
	}
	if code, _, stderr := sluice(t, "dlq", "show", uuid.NewString()); code != exitFailed || !strings.Contains(stderr, "no such message") {
		t.Errorf("exit %d, %s", code, stderr)
	}

	if code, stdout, stderr := sluice(t, "dlq", "redrive", "verify", "--message", job); code != 0 || stdout != "verify: 1 sent back\n" {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	if queue, dead := b.depths(t, "verify"); queue != 1 || dead != 0 {
		t.Errorf("verify has %d messages and %d dead letters", queue, dead)
	}
	if code, stdout, stderr := sluice(t, "dlq", "redrive", "intake", "--json"); code != 0 || strings.TrimSpace(stdout) != `{"moved":2,"stage":"intake"}` {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	if queue, dead := b.depths(t, "intake"); queue != 2 || dead != 0 {
		t.Errorf("intake has %d messages and %d dead letters", queue, dead)
	}
}

func TestDiscardAsks(t *testing.T) {
	b := newOperatorBundle(t)
	b.queues.Send("scan-dlq", "one", "two")
	first := b.list(t)["scan"][0].Message.MessageID
	for name, c := range map[string]struct {
		answer string
		args   []string
		code   int
	}{
		"no":     {"n\n", nil, exitFailed},
		"nobody": {"", nil, exitFailed},
		"yes":    {"yes\n", nil, 0},
		"--yes":  {"", []string{"--yes"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b.queues.Send("scan-dlq", "again")
			letters := b.list(t)["scan"]
			id := letters[0].Message.MessageID
			if id == first {
				id = letters[1].Message.MessageID
			}
			answer(t, c.answer)
			code, _, stderr := sluice(t, append([]string{"dlq", "discard", "scan", "--message", id}, c.args...)...)
			if code != c.code || (len(c.args) == 0) != strings.Contains(stderr, "[y/N]") {
				t.Errorf("exit %d, %s", code, stderr)
			}
			want := len(letters)
			if c.code == 0 {
				want--
			}
			left := b.list(t)["scan"]
			if len(left) != want {
				t.Errorf("%d dead letters are left, want %d", len(left), want)
			}
			for _, l := range left {
				if c.code == 0 && l.Message.MessageID == id {
					t.Error("it is still there")
				}
			}
		})
	}
}

// answer is what the program reads from its standard input.
func answer(t *testing.T, text string) {
	t.Helper()
	f, err := os.Open(writeFile(t, t.TempDir(), "stdin", []byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	stdin := os.Stdin
	os.Stdin = f
	t.Cleanup(func() {
		os.Stdin = stdin
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestDeadLetterMistakes(t *testing.T) {
	for name, args := range map[string][]string{
		"redrive of no stage": {"redrive", "s3-events"},
		"too fast":            {"redrive", "scan", "--max-per-second", "501"},
		"discard of no stage": {"discard", "x", "--message", "y"},
		"discard of nothing":  {"discard", "scan"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, stderr := sluice(t, append([]string{"dlq"}, args...)...); code != exitUsage {
				t.Errorf("exit %d, %s", code, stderr)
			}
		})
	}
	t.Run("no queues", func(t *testing.T) {
		t.Setenv("SLUICE_SQS_PREFIX", "test-nobody-")
		if code, _, stderr := sluice(t, "dlq", "list"); code != exitFailed || !strings.Contains(stderr, "test-nobody-scan-dlq") {
			t.Errorf("exit %d, %s", code, stderr)
		}
	})
}
