package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline/failpoint"
	"github.com/sluice-media/sluice/pipeline/s3event"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// Config is how the runner treats failures.
type Config struct {
	MaxAttempts int `help:"Tries of a stage before the upload is given up as failed. Keep it five or more below the queues' maxReceiveCount." default:"12"`
}

// unanswered is how many receives beyond MaxAttempts may have ended without an answer of the stage's: its worker died, or
// gave the message back. When there are more, it is taken for the file that kills workers.
const unanswered = 4

// MaxReceives is how often a message is received before its upload is given up without another try.
func (c Config) MaxReceives() int { return c.MaxAttempts + unanswered }

// Validate reports every mistake at once.
func (c Config) Validate() error {
	if c.MaxAttempts < 1 {
		return fmt.Errorf("max-attempts: %d is less than 1", c.MaxAttempts)
	}
	return nil
}

// Runner moves uploads along the line.
type Runner struct {
	config    Config
	store     *sagas.Store
	publisher message.Publisher
	metrics   *Metrics
	log       *slog.Logger
}

// NewRunner returns a runner that commits to store and passes on through publisher.
func NewRunner(c Config, store *sagas.Store, publisher message.Publisher, metrics *Metrics, log *slog.Logger) *Runner {
	return &Runner{config: c, store: store, publisher: publisher, metrics: metrics, log: log}
}

// job is the message between stages. It names the upload: what is to be done is in the record. What is not there is that
// an outcome was settled, which is what notify has to know.
type job struct {
	UploadID uuid.UUID   `json:"upload_id"`
	Settled  sagas.State `json:"settled,omitempty"` // for notify: the outcome behind which everything was cleaned up
}

func decodeJob(payload []byte) (j job, err error) {
	if err := json.Unmarshal(payload, &j); err != nil {
		return job{}, fmt.Errorf("decoding a job: %w", err)
	}
	if j.UploadID == uuid.Nil {
		return job{}, fmt.Errorf("decoding a job: %.80q names no upload", payload)
	}
	return j, nil
}

// Handle returns the consumer of a stage's queue. An error sends the message back to be tried later.
func (r *Runner) Handle(stage Stage) message.NoPublishHandlerFunc {
	take := r.takeJob
	if stage.Name() == Intake {
		take = r.takeEvents
	}
	return func(msg *message.Message) error {
		if err := take(stage, msg); err != nil {
			return err
		}
		return failpoint.Hit(stage.Name(), "ack.before")
	}
}

func (r *Runner) takeJob(stage Stage, msg *message.Message) error {
	j, err := decodeJob(msg.Payload)
	if err != nil {
		return r.failed(stage, msg, err)
	}
	u, err := r.store.Load(msg.Context(), j.UploadID)
	if errors.Is(err, sagas.ErrNotFound) {
		r.log.Warn("ignored a job for an unknown upload", "stage", stage.Name(), "upload_id", j.UploadID)
		return nil
	}
	if err != nil {
		return r.failed(stage, msg, err)
	}
	r.metrics.taken(stage.Name(), sqs.SentAt(msg))
	if stage.Name() == Notify && takes(Notify, u) && j.Settled != u.State { // deleted since, say
		return r.passOn(msg.Context(), stage, Settle, u)
	}
	_, err = r.Process(msg.Context(), stage, u, sqs.ReceiveCount(msg))
	return err
}

// takeEvents treats each record as a hint: it is matched to an upload by bucket and key, and the stage asks S3
// what is there. Records that match nothing are ignored; a message that cannot be read at all ends in the
// dead-letter queue.
func (r *Runner) takeEvents(stage Stage, msg *message.Message) error {
	events, err := s3event.Decode(msg.Payload)
	errs := []error{err}
	if err != nil {
		errs[0] = r.failed(stage, msg, err)
	}
	for _, e := range events {
		u, err := r.store.LoadByObject(msg.Context(), e.Bucket, e.Key)
		if errors.Is(err, sagas.ErrNotFound) {
			r.log.Debug("ignored an event for an unknown object", "bucket", e.Bucket, "key", e.Key)
			continue
		}
		if err != nil {
			errs = append(errs, r.failed(stage, msg, err))
			continue
		}
		r.metrics.taken(stage.Name(), sqs.SentAt(msg))
		_, err = r.Process(msg.Context(), stage, u, sqs.ReceiveCount(msg))
		if errors.Is(err, storage.ErrNotFound) {
			r.log.Warn("ignored an event for an object that is not there", "upload_id", u.ID, "bucket", e.Bucket, "key", e.Key)
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *Runner) failed(stage Stage, msg *message.Message, err error) error {
	r.metrics.failed.WithLabelValues(stage.Name()).Inc()
	r.log.Error("could not take a message", "stage", stage.Name(), "message_id", msg.UUID, "attempt", sqs.ReceiveCount(msg), "error", err)
	return err
}

// Process lets the stage work on u if u is waiting for it, commits the outcome and passes the upload on. It
// returns the upload as it stands.
//
// When somebody else has done the work already, it depends on who is responsible for passing the upload on. A
// redelivery (attempt above 1) may be what is left of the one who committed and died: it passes on again if u still
// stands at the stage's result. A first delivery is a duplicate, whose original is still unacknowledged and comes
// back if it has to; were it passed on too, one duplicate would have every later stage work twice. Intake always
// passes on: an upload that the API or the sweeper moved has no message behind it but the event.
//
// A step that came too late, because the upload had got its outcome meanwhile, is taken back. So is one that an
// earlier delivery may have made before it died, and an object that came after the end.
func (r *Runner) Process(ctx context.Context, stage Stage, u sagas.Upload, attempt int) (sagas.Upload, error) {
	responsible := attempt > 1 || stage.Name() == Intake
	late := responsible
	if takes(stage.Name(), u) {
		moved, err := r.work(ctx, stage, u, attempt)
		switch {
		case err == nil:
			responsible, late = true, false
		case errors.Is(err, sagas.ErrMoved):
			late = true
			moved, err = r.store.Load(ctx, u.ID)
		}
		if err != nil {
			return u, err
		}
		u = moved
	} else {
		r.metrics.handled.WithLabelValues(stage.Name(), stale).Inc()
	}
	if late {
		if err := r.retract(ctx, stage, u); err != nil {
			return u, err
		}
	}
	if next := nextOf(stage.Name(), u); responsible && next != "" {
		return u, r.passOn(ctx, stage, next, u)
	}
	return u, nil
}

// passOn sends what the stage has done with to the next one.
func (r *Runner) passOn(ctx context.Context, stage Stage, next string, u sagas.Upload) error {
	if err := failpoint.Hit(stage.Name(), "send.before"); err != nil {
		return err
	}
	if err := r.Send(ctx, next, u); err != nil {
		return err
	}
	return failpoint.Hit(stage.Name(), "send.after")
}

// goneTries is how often an object has to be missed before it is taken for gone. Not every store writes a version without
// hiding the others for a moment, and whoever may upload may write another one.
const goneTries = 3

var errNoAnswer = errors.New("no try has ended, as when the file kills the process that works on it")

// work runs the stage and commits its outcome. Settle has none: that its upload was told of is what shows that it is done.
func (r *Runner) work(ctx context.Context, stage Stage, u sagas.Upload, attempt int) (sagas.Upload, error) {
	log := r.log.With("upload_id", u.ID, "stage", stage.Name(), "attempt", attempt)
	began := time.Now()
	var out Outcome
	err := errNoAnswer
	if attempt <= r.config.MaxReceives() || !canFail(u) {
		out, err = r.run(ctx, stage, u)
	}
	took := time.Since(began)
	if ctx.Err() != nil {
		lost := fmt.Errorf("stage %s lost its message: %w", stage.Name(), context.Cause(ctx))
		return u, errors.Join(lost, r.retractLost(ctx, stage, u))
	}
	if err == nil && out.Reason.Code == sagas.ObjectGone && attempt < min(goneTries, r.config.MaxAttempts) {
		err = fmt.Errorf("%s, or so it seems", out.Reason.Detail)
	}
	if stage.Name() == Intake && errors.Is(err, storage.ErrNotFound) {
		return u, err // it has not arrived: nothing failed
	}
	if err != nil {
		r.metrics.failed.WithLabelValues(stage.Name()).Inc()
		if attempt < r.config.MaxAttempts || !canFail(u) {
			log.Warn("stage failed, will be tried again", "error", err, "seconds", took.Seconds())
			return u, fmt.Errorf("stage %s, upload %s: %w", stage.Name(), u.ID, err)
		}
		log.Error("stage gave up", "error", err)
		out = Fail(sagas.AttemptsExhausted, "stage %s gave up after %d attempts", stage.Name(), attempt)
	}
	if stage.Name() == Settle {
		r.metrics.handled.WithLabelValues(Settle, string(u.State)).Inc()
		r.metrics.seconds.WithLabelValues(Settle).Observe(took.Seconds())
		log.Info("upload settled", "state", u.State, "seconds", took.Seconds())
		return u, nil
	}
	moved, err := r.commit(ctx, stage.Name(), u, attempt, out)
	switch {
	case errors.Is(err, sagas.ErrMoved):
		log.Info("another delivery was first")
	case err != nil:
		r.metrics.failed.WithLabelValues(stage.Name()).Inc()
		log.Warn("could not commit, will be tried again", "error", err)
	default:
		r.metrics.seconds.WithLabelValues(stage.Name()).Observe(took.Seconds())
		log.Info("upload advanced", "from", u.State, "to", moved.State, "reason", moved.Reason.Code, "seconds", took.Seconds())
	}
	return moved, err
}

// canFail reports whether giving up is a way out for u. What has its outcome is cleaned up and told of until that is done.
func canFail(u sagas.Upload) bool { return !u.State.Terminal() && u.State.CanBecome(sagas.Failed) }

// commit moves the upload and counts it.
func (r *Runner) commit(ctx context.Context, stage string, u sagas.Upload, attempt int, out Outcome) (sagas.Upload, error) {
	if err := failpoint.Hit(stage, "commit.before"); err != nil {
		return u, err
	}
	moved, err := r.store.Advance(ctx, sagas.Change{
		ID: u.ID, Stage: stage, From: u.State, To: out.State, Attempt: attempt, StartedAt: u.ReadAt,
		Facts: out.Facts, Reason: out.Reason,
	})
	if err := errors.Join(err, failpoint.Hit(stage, "commit.after")); err != nil {
		return u, err
	}
	r.metrics.committed(stage, u.State, moved)
	return moved, nil
}

// run turns a panic of the stage into an error: one bad file must not take the worker's other uploads with it.
func (r *Runner) run(ctx context.Context, stage Stage, u sagas.Upload) (out Outcome, err error) {
	inFlight := r.metrics.inFlight.WithLabelValues(stage.Name())
	inFlight.Inc()
	defer inFlight.Dec()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if err := failpoint.Hit(stage.Name(), "work.before"); err != nil {
		return Outcome{}, err
	}
	out, err = stage.Run(ctx, u)
	return out, errors.Join(err, failpoint.Hit(stage.Name(), "work.after"))
}

// Send puts a message for the stage on its queue. WaitsFor says which one has to have it.
func (r *Runner) Send(ctx context.Context, stage string, u sagas.Upload) error {
	j := job{UploadID: u.ID}
	if stage == Notify {
		j.Settled = u.State
	}
	payload, err := json.Marshal(j)
	if err != nil {
		return err
	}
	msg := message.NewMessage(fmt.Sprintf("%s-%d", u.ID, u.Version), payload)
	msg.SetContext(ctx)
	if err := r.publisher.Publish(Topic(stage), msg); err != nil {
		return fmt.Errorf("passing upload %s on to %s: %w", u.ID, stage, err)
	}
	return nil
}
