package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/pipeline/sqs/sqstest"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

const maxAttempts = 3

// bundle is a runner on a real database and real queues.
type bundle struct {
	store     *sagas.Store
	sqs       *sqstest.Server
	publisher *sqs.Publisher
	runner    *pipeline.Runner
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	var topics []string
	for _, stage := range pipeline.Stages() {
		topics = append(topics, pipeline.Topic(stage))
	}
	b := &bundle{store: sagatest.Store(t), sqs: sqstest.New(t, topics...)}
	b.publisher = sqs.NewPublisher(b.sqs.Queues, sqs.NewMetrics(nil))
	t.Cleanup(func() {
		if err := b.publisher.Close(); err != nil {
			t.Error(err)
		}
	})
	b.runner = b.runnerOver(b.publisher)
	return b
}

func (b *bundle) runnerOver(p message.Publisher) *pipeline.Runner {
	return pipeline.NewRunner(pipeline.Config{MaxAttempts: maxAttempts}, b.store, p,
		pipeline.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
}

// begin makes an upload and moves it along the line to state, or to the first from where it can get there.
func (b *bundle) begin(t *testing.T, state sagas.State) sagas.Upload {
	t.Helper()
	u := b.beginFor(t, time.Hour)
	for _, next := range []sagas.State{sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready} {
		if u.State == state {
			return u
		}
		if u.State.CanBecome(state) {
			break
		}
		u = b.move(t, u, next)
	}
	if u.State != state {
		u = b.move(t, u, state)
	}
	return u
}

// beginFor makes an upload that expires after lifetime.
func (b *bundle) beginFor(t *testing.T, lifetime time.Duration) sagas.Upload {
	t.Helper()
	id := uuid.New()
	u, err := b.store.Begin(t.Context(), sagas.Beginning{
		ID: id, Owner: sagas.Owner{Tenant: "acme", Subject: "user-42"}, Method: sagas.MethodPut, Filename: "a.jpg",
		Bucket: "incoming", Key: "uploads/" + id.String(), Declared: sagas.Content{Type: "image/jpeg"}, Lifetime: lifetime,
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (b *bundle) move(t *testing.T, u sagas.Upload, to sagas.State) sagas.Upload {
	t.Helper()
	moved, err := b.store.Advance(t.Context(), sagas.Change{ID: u.ID, Stage: "test", From: u.State, To: to, StartedAt: u.ReadAt})
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

func (b *bundle) load(t *testing.T, u sagas.Upload) sagas.Upload {
	t.Helper()
	u, err := b.store.Load(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// sent counts the messages that wait for a stage.
func (b *bundle) sent(stage string) int64 {
	visible, _ := b.sqs.Depth(pipeline.Topic(stage))
	return visible
}

func (b *bundle) expect(t *testing.T, u sagas.Upload, state sagas.State, sent map[string]int64) {
	t.Helper()
	if got := b.load(t, u); got.State != state {
		t.Errorf("the upload is %s, want %s", got.State, state)
	}
	for _, stage := range pipeline.Stages() {
		if got := b.sent(stage); got != sent[stage] {
			t.Errorf("%d messages for %s, want %d", got, stage, sent[stage])
		}
	}
}

// stage is a stage whose work is a function.
type stage struct {
	name string
	work func(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error)
	runs int
}

func (s *stage) Name() string { return s.name }

func (s *stage) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	s.runs++
	return s.work(ctx, u)
}

// leading returns a stage that always has the same outcome.
func leading(name string, to sagas.State) *stage {
	return &stage{name: name, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) {
		return pipeline.Advance(to, sagas.Facts{}), nil
	}}
}

func failing(name string, err error) *stage {
	return &stage{name: name, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) {
		return pipeline.Outcome{}, err
	}}
}

// delivery is a message as the subscriber hands it out.
func delivery(t *testing.T, attempt int, payload string) *message.Message {
	t.Helper()
	msg := message.NewMessage(uuid.NewString(), []byte(payload))
	msg.Metadata.Set(sqs.MetadataReceiveCount, strconv.Itoa(attempt))
	msg.SetContext(t.Context())
	return msg
}

func job(u sagas.Upload) string { return fmt.Sprintf(`{"upload_id":%q}`, u.ID) }

// settled is the job that notify gets.
func settled(u sagas.Upload) string {
	return fmt.Sprintf(`{"upload_id":%q,"settled":%q}`, u.ID, u.State)
}

func event(bucket, key string) string {
	return fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put",
		"s3":{"bucket":{"name":%q},"object":{"key":%q,"size":1,"eTag":"d41d8cd98f00b204e9800998ecf8427e","sequencer":"0055AED6DCD90281E5"}}}]}`, bucket, key)
}

func TestAStageCommitsThenPassesOn(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Uploaded)
	verify := leading(pipeline.Verify, sagas.Verified)
	if err := b.runner.Handle(verify)(delivery(t, 1, job(u))); err != nil {
		t.Fatal(err)
	}
	b.expect(t, u, sagas.Verified, map[string]int64{pipeline.Scan: 1})
}

func TestARedeliveryPassesOnAgainWithoutTheWork(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Verified)
	verify := leading(pipeline.Verify, sagas.Verified)
	if err := b.runner.Handle(verify)(delivery(t, 2, job(u))); err != nil {
		t.Fatal(err)
	}
	if verify.runs != 0 {
		t.Errorf("the stage ran again")
	}
	b.expect(t, u, sagas.Verified, map[string]int64{pipeline.Scan: 1})
}

func TestALateRedeliveryChangesNothing(t *testing.T) {
	for _, state := range []sagas.State{sagas.Initiated, sagas.Clean, sagas.Processed} {
		t.Run(string(state), func(t *testing.T) {
			b := newBundle(t)
			u := b.begin(t, state)
			verify := leading(pipeline.Verify, sagas.Verified)
			if err := b.runner.Handle(verify)(delivery(t, 2, job(u))); err != nil {
				t.Fatal(err)
			}
			if verify.runs != 0 {
				t.Errorf("the stage ran")
			}
			b.expect(t, u, state, nil)
		})
	}
}

func TestWhatCouldNotBePassedOnIsPassedOnByTheRedelivery(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Verified)
	scan := leading(pipeline.Scan, sagas.Clean)
	dead := sqs.NewPublisher(b.sqs.Queues, sqs.NewMetrics(nil))
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.runnerOver(dead).Handle(scan)(delivery(t, 1, job(u))); !errors.Is(err, sqs.ErrClosed) {
		t.Fatalf("got %v, want ErrClosed so that the message comes back", err)
	}
	b.expect(t, u, sagas.Clean, nil)
	if err := b.runner.Handle(scan)(delivery(t, 2, job(u))); err != nil {
		t.Fatal(err)
	}
	b.expect(t, u, sagas.Clean, map[string]int64{pipeline.Thumbnail: 1})
}

func TestAnOutcomeOffTheLineGoesToSettle(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Verified)
	scan := &stage{name: pipeline.Scan, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) {
		return pipeline.Infected("Eicar"), nil
	}}
	if err := b.runner.Handle(scan)(delivery(t, 1, job(u))); err != nil {
		t.Fatal(err)
	}
	b.expect(t, u, sagas.Infected, map[string]int64{pipeline.Settle: 1})
	if got := b.load(t, u).Reason; got.Code != sagas.Malware || got.Detail != "Eicar" {
		t.Errorf("reason is %+v", got)
	}
}

func TestNotifyEndsTheLine(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Ready)
	notify := leading(pipeline.Notify, sagas.Ready)
	for range 2 {
		if err := b.runner.Handle(notify)(delivery(t, 1, settled(u))); err != nil {
			t.Fatal(err)
		}
	}
	if notify.runs != 1 || b.load(t, u).NotifiedAt == nil {
		t.Errorf("delivered %d times, at %v; want once", notify.runs, b.load(t, u).NotifiedAt)
	}
	b.expect(t, u, sagas.Ready, nil)
}

func TestAFailedTryCommitsNothingAndComesBack(t *testing.T) {
	cause := errors.New("the scanner hiccuped")
	for name, s := range map[string]*stage{
		"error": failing(pipeline.Scan, cause),
		"panic": {name: pipeline.Scan, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) { panic(cause) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t)
			u := b.begin(t, sagas.Verified)
			if err := b.runner.Handle(s)(delivery(t, maxAttempts-1, job(u))); err == nil {
				t.Fatal("no error: the message would be gone")
			}
			b.expect(t, u, sagas.Verified, nil)
		})
	}
}

func TestTheLastTryGivesUp(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Verified)
	if err := b.runner.Handle(failing(pipeline.Scan, errors.New("no")))(delivery(t, maxAttempts, job(u))); err != nil {
		t.Fatal(err)
	}
	b.expect(t, u, sagas.Failed, map[string]int64{pipeline.Settle: 1})
	if got := b.load(t, u).Reason.Code; got != sagas.AttemptsExhausted {
		t.Errorf("reason is %s", got)
	}
}

func TestAFileThatKillsWorkersIsGivenUp(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Clean)
	last := pipeline.Config{MaxAttempts: maxAttempts}.MaxReceives()
	deadly := leading(pipeline.Thumbnail, sagas.Processed)
	if err := b.runner.Handle(deadly)(delivery(t, last+1, job(u))); err != nil || deadly.runs != 0 {
		t.Errorf("it was tried %d times, %v", deadly.runs, err)
	}
	b.expect(t, u, sagas.Failed, map[string]int64{pipeline.Settle: 1})

	drained := b.begin(t, sagas.Clean) // it was often received, but here is its answer
	if err := b.runner.Handle(deadly)(delivery(t, last, job(drained))); err != nil || deadly.runs != 1 {
		t.Errorf("it was tried %d times, %v", deadly.runs, err)
	}
	b.expect(t, drained, sagas.Processed, map[string]int64{pipeline.Settle: 1, pipeline.Publish: 1})
}

func TestAnObjectHasToBeMissedMoreThanOnce(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Uploaded)
	gone := &stage{name: pipeline.Verify, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) {
		return pipeline.Fail(sagas.ObjectGone, "the uploaded object is gone"), nil
	}}
	for attempt := 1; attempt < 3; attempt++ {
		if err := b.runner.Handle(gone)(delivery(t, attempt, job(u))); err == nil {
			t.Errorf("attempt %d was the last", attempt)
		}
		b.expect(t, u, sagas.Uploaded, nil)
	}
	if err := b.runner.Handle(gone)(delivery(t, 3, job(u))); err != nil {
		t.Fatal(err)
	}
	b.expect(t, u, sagas.Failed, map[string]int64{pipeline.Settle: 1})
	if got := b.load(t, u).Reason.Code; got != sagas.ObjectGone {
		t.Errorf("it failed for %s", got)
	}
}

func TestALostLeaseCommitsNothing(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Verified)
	ctx, lose := context.WithCancelCause(t.Context())
	scan := &stage{name: pipeline.Scan, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) {
		lose(sqs.ErrLeaseLost)
		return pipeline.Advance(sagas.Clean, sagas.Facts{}), nil
	}}
	msg := delivery(t, 1, job(u))
	msg.SetContext(ctx)
	if err := b.runner.Handle(scan)(msg); !errors.Is(err, sqs.ErrLeaseLost) {
		t.Errorf("got %v, want ErrLeaseLost", err)
	}
	b.expect(t, u, sagas.Verified, nil)
}

func TestWhoeverIsFirstWins(t *testing.T) {
	for name, tc := range map[string]struct {
		attempt int
		sent    map[string]int64
	}{
		"a duplicate":  {1, nil}, // whoever was first has a message of its own
		"a redelivery": {2, map[string]int64{pipeline.Settle: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t)
			u := b.begin(t, sagas.Verified)
			scan := &stage{name: pipeline.Scan, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) {
				b.move(t, u, sagas.Aborted)
				return pipeline.Advance(sagas.Clean, sagas.Facts{}), nil
			}}
			if err := b.runner.Handle(scan)(delivery(t, tc.attempt, job(u))); err != nil {
				t.Fatal(err)
			}
			b.expect(t, u, sagas.Aborted, tc.sent)
		})
	}
}

func TestADuplicateDoesNotMultiply(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Verified)
	verify := leading(pipeline.Verify, sagas.Verified)
	if err := b.runner.Handle(verify)(delivery(t, 1, job(u))); err != nil {
		t.Fatal(err)
	}
	b.expect(t, u, sagas.Verified, nil)
}

func TestAJobThatNamesNoUpload(t *testing.T) {
	b := newBundle(t)
	verify := leading(pipeline.Verify, sagas.Verified)
	if err := b.runner.Handle(verify)(delivery(t, 1, job(sagas.Upload{ID: uuid.New()}))); err != nil {
		t.Errorf("an unknown upload came back: %v", err)
	}
	for _, payload := range []string{"", "{", "{}", `{"upload_id":null}`, `{"upload_id":7}`, `{"upload_id":"x"}`} {
		if err := b.runner.Handle(verify)(delivery(t, 1, payload)); err == nil {
			t.Errorf("%q was lost", payload)
		}
	}
}

func TestAnEventIsAHint(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Initiated)
	intake := leading(pipeline.Intake, sagas.Uploaded)
	take := b.runner.Handle(intake)
	for name, body := range map[string]string{
		"forged key":   event("incoming", "uploads/"+uuid.NewString()),
		"other bucket": event("media", u.Key),
		"test event":   `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"incoming"}`,
	} {
		if err := take(delivery(t, 1, body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := take(delivery(t, 1, "not an event")); err == nil {
		t.Error("a malformed event was lost")
	}
	early := b.runner.Handle(failing(pipeline.Intake, storage.ErrNotFound))
	if err := early(delivery(t, 1, event("incoming", u.Key))); err != nil {
		t.Errorf("an event for nothing came back: %v", err)
	}
	if intake.runs != 0 {
		t.Errorf("the stage ran %d times", intake.runs)
	}
	b.expect(t, u, sagas.Initiated, nil)

	if err := take(delivery(t, 1, event("incoming", u.Key))); err != nil {
		t.Fatal(err)
	}
	if err := take(delivery(t, 1, event("incoming", u.Key))); err != nil {
		t.Fatal(err)
	}
	if intake.runs != 1 {
		t.Errorf("the stage ran %d times, want once", intake.runs)
	}
	b.expect(t, u, sagas.Uploaded, map[string]int64{pipeline.Verify: 2})
}
