package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/handlers/intake"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// outbox is a publisher that counts.
type outbox struct {
	mu   sync.Mutex
	sent int
}

func (o *outbox) Publish(_ string, messages ...*message.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent += len(messages)
	return nil
}

func (*outbox) Close() error { return nil }

// work does what a worker does about the event of the next upload.
func (b *testBundle) work(ctx context.Context, out *outbox) error {
	store := sagas.NewStore(b.deps.Pool, "worker")
	runner := pipeline.NewRunner(pipeline.Config{MaxAttempts: 3}, store, out,
		pipeline.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	for ctx.Err() == nil {
		var id uuid.UUID
		err := b.deps.Pool.QueryRow(ctx, "SELECT id FROM uploads WHERE state = 'initiated'").Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		var u sagas.Upload
		if err == nil {
			u, err = store.Load(ctx, id)
		}
		if err == nil {
			_, err = runner.Process(ctx, intake.New(intake.Config{}, b.deps.Objects), u, 1)
		}
		if !errors.Is(err, storage.ErrNotFound) { // the event comes after the object
			return err
		}
	}
	return ctx.Err()
}

func TestAllIsWell(t *testing.T) {
	b := newTestBundle(t)
	b.publish(t)
	b.config.EventWait = 30 * time.Second
	out, worked := &outbox{}, make(chan error, 1)
	go func() { worked <- b.work(t.Context(), out) }()
	r := b.doctor().Examine(t.Context())

	wantFinding(t, r.Findings, "event", OK, "a worker took up")
	if err := <-worked; err != nil {
		t.Errorf("the worker fails: %v", err)
	}
	if r.Status != Warn { // of the signatures
		t.Errorf("status %s", r.Status)
	}
	for _, f := range r.Findings {
		if f.Status != OK && f.Check != "signatures" {
			t.Errorf("found %+v", f)
		}
	}
	if len(r.Findings) != 30 {
		t.Errorf("%d findings: %+v", len(r.Findings), r.Findings)
	}
	if out.sent != 0 {
		t.Errorf("%d messages were sent", out.sent)
	}
	b.wantNothingLeft(t)
}

// wantNothingLeft checks that the probe is gone.
func (b *testBundle) wantNothingLeft(t *testing.T) {
	t.Helper()
	var rows int
	if err := b.deps.Pool.QueryRow(t.Context(), "SELECT count(*) FROM uploads").Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d uploads are left, %v", rows, err)
	}
	out, err := b.admin.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &b.storage.IncomingBucket})
	if err != nil || len(out.Versions)+len(out.DeleteMarkers) != 0 {
		t.Errorf("%+v and %+v are left, %v", out.Versions, out.DeleteMarkers, err)
	}
}

func TestExamineEndsWithItsContext(t *testing.T) {
	b := newTestBundle(t)
	b.config.EventWait = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	began := time.Now()
	r := b.doctor().Examine(ctx)
	if took := time.Since(began); r.Status != Fail || took > 30*time.Second {
		t.Errorf("%s after %s", r.Status, took)
	}
	b.wantNothingLeft(t)
}

func TestWorse(t *testing.T) {
	for _, c := range [][3]Status{{OK, OK, OK}, {OK, Warn, Warn}, {Warn, OK, Warn}, {Warn, Fail, Fail}, {Fail, OK, Fail}} {
		if got := worse(c[0], c[1]); got != c[2] {
			t.Errorf("worse of %s and %s is %s", c[0], c[1], got)
		}
	}
}

func TestClock(t *testing.T) {
	at := func(seconds float64) time.Time { return time.Unix(1e9, 0).Add(time.Duration(seconds * 1e9)) }
	for name, c := range map[string]struct {
		shown, before, after float64
		precision            time.Duration
		off                  time.Duration
		status               Status
		says                 string
	}{
		"right":               {0, 0, 0.1, time.Second, 0, OK, "within"},
		"within the second":   {0, 0.9, 0.95, time.Second, 0, OK, "within"},
		"slow":                {0, 7, 7.1, time.Second, -6 * time.Second, Warn, "6s behind"},
		"fast":                {7, 0, 1, time.Second, 6 * time.Second, Warn, "6s ahead of"},
		"a little slow":       {0, 4, 4.1, time.Microsecond, -4*time.Second + time.Microsecond, OK, "within"},
		"far too slow":        {0, 301, 301.1, time.Second, -300 * time.Second, Fail, "5m0s behind"},
		"far too fast":        {901, 0, 1, time.Second, 900 * time.Second, Fail, "15m0s ahead of"},
		"during a slow query": {10, 0, 20, time.Microsecond, 0, OK, "within"},
	} {
		t.Run(name, func(t *testing.T) {
			off := skew(at(c.shown), c.precision, at(c.before), at(c.after))
			if off != c.off {
				t.Errorf("off by %s, want %s", off, c.off)
			}
			wantFinding(t, []Finding{checkClock("x", off)}, "clock of x", c.status, c.says)
		})
	}
}

func TestDatabase(t *testing.T) {
	b := newTestBundle(t)
	findings := b.doctor().examineDatabase(t.Context())
	wantFinding(t, findings, "migrations", OK, "all are applied")
	if _, err := b.deps.Pool.Exec(t.Context(), "DELETE FROM goose_db_version WHERE version_id > 0"); err != nil {
		t.Fatal(err)
	}
	findings = b.doctor().examineDatabase(t.Context())
	wantFinding(t, findings, "database", OK, "PostgreSQL")
	wantFinding(t, findings, "migrations", Fail, "sluice migrate")
	wantFinding(t, findings, "clock of PostgreSQL", OK, "within")

	b.deps.Pool = nowhere(t)
	findings = b.doctor().examineDatabase(t.Context())
	wantFinding(t, findings, "database", Fail, "SLUICE_DATABASE_URL")
	if len(findings) != 1 {
		t.Errorf("found %+v", findings)
	}
}

func TestQueues(t *testing.T) {
	b := newTestBundle(t)
	const check = "queue of scan"
	arn := func(topic string) string {
		a, err := b.doctor().attributes(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		return a.values["QueueArn"]
	}
	policy := func(target string, receives int) string {
		return fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, target, receives)
	}
	own := arn("scan-dlq")
	wantFinding(t, b.doctor().examineQueues(t.Context()), check, OK, "after 6 receives")
	for _, c := range []struct {
		name, topic, attribute, value, restored string
		status                                  Status
		says                                    string
	}{
		{"no redrive policy", "scan", "RedrivePolicy", "", policy(own, 6), Fail, "no redrive policy"},
		{"gives up too early", "scan", "RedrivePolicy", policy(own, 5), policy(own, 6), Fail, "not above the 5 receives"},
		{"another dead-letter queue", "scan", "RedrivePolicy", policy(arn("verify-dlq"), 6), policy(own, 6), Warn, "verify-dlq"},
		{"small messages", "scan", "MaximumMessageSize", "65535", "262144", Fail, "65535 bytes"},
		{"short retention", "scan-dlq", "MessageRetentionPeriod", "1209599", "1209600", Warn, "1209600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.set(t, c.topic, c.attribute, c.value)
			findings := b.doctor().examineQueues(t.Context())
			wantFinding(t, findings, check, c.status, c.says)
			wantFinding(t, findings, "queue of notify", OK, "")
			b.set(t, c.topic, c.attribute, c.restored)
		})
	}
	findings := b.doctor().examineQueues(t.Context())
	wantFinding(t, findings, check, OK, "")
	wantFinding(t, findings, "dead letters", OK, "none")
	b.queues.Send("scan-dlq", "x", "y")
	wantFinding(t, b.doctor().examineQueues(t.Context()), "dead letters", Warn, "2 of scan")

	b.deps.Queues = sqs.NewQueues(b.deps.SQS, "test-nobody-")
	findings = b.doctor().examineQueues(t.Context())
	wantFinding(t, findings, check, Fail, "SLUICE_SQS_PREFIX")
	wantFinding(t, findings, "dead letters", Warn, "not checked of 7 queues")
}
