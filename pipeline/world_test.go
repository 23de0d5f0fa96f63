package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// maxReceives is the redrive policy of the queues: a message that is received more often is dead-lettered.
const maxReceives = 2 * maxAttempts

var errKilled = errors.New("killed")

// file is one upload in the world, and what the world knows of it.
type file struct {
	id      uuid.UUID
	key     string
	fate    fate
	arrived bool
	aborted bool
	erased  bool // what had its outcome was deleted
	lost    bool // something of it was lost that only a sweep brings back
	tardy   bool // it arrived after its upload's end

	passed    []string // the stages that let it pass, in the order of the first time
	published bool
	told      []sagas.State // what notify was given

	left map[string]bool // by stage: what it has made, or in the case of intake has found, is in a bucket
}

// letter is a message that waits on a queue.
type letter struct {
	topic    string
	payload  string
	file     *file // nil: a forgery about nothing
	receives int
}

// world is the reference model's side: clients, S3, the queues and the stages, around the real runner, sweeper and
// store. It runs on one goroutine; what is concurrent in reality is nested here.
type world struct {
	ctx     context.Context
	store   *sagas.Store
	runner  *pipeline.Runner
	sweeper *pipeline.Sweeper
	steps   pipeline.Steps
	stages  map[string]pipeline.Stage // by topic

	files   []*file
	waiting []*letter
	sent    []letter // everything that ever was
	wrong   []string // what must never happen, and did

	over     bool     // everything has come to its end
	lossless bool     // the queues lose nothing: then no sweep is needed, and there is none
	current  []*frame // what is going on, innermost last
}

// frame is a happening that is going on.
type frame struct {
	happening
	attempt int // of the delivery
	kill    context.CancelCauseFunc
}

func newWorld(ctx context.Context, store *sagas.Store, fates []fate) (*world, error) {
	w := &world{ctx: ctx, store: store, stages: map[string]pipeline.Stage{}}
	w.runner = pipeline.NewRunner(pipeline.Config{MaxAttempts: maxAttempts}, store, w,
		pipeline.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	for _, name := range pipeline.Stages() {
		w.stages[pipeline.Topic(name)] = modelStage{w, name}
	}
	w.steps = pipeline.Steps{w.stages[pipeline.EventsTopic], w.stages[pipeline.Thumbnail], w.stages[pipeline.Publish]}
	w.sweeper = pipeline.NewSweeper(pipeline.SweepConfig{Every: time.Second, ArrivalAge: soon, StillnessAge: soon},
		w.runner, w.stages[pipeline.EventsTopic], w.steps, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	for _, fate := range fates {
		f := &file{id: uuid.New(), fate: fate, left: map[string]bool{}}
		f.key = "uploads/" + f.id.String()
		lifetime := time.Hour
		if fate.late {
			lifetime = -time.Second
		}
		if _, err := store.Begin(ctx, sagas.Beginning{
			ID: f.id, Owner: sagas.Owner{Tenant: "acme", Subject: "user-42"}, Method: sagas.MethodPut, Filename: "a.jpg",
			Bucket: "incoming", Key: f.key, Declared: sagas.Content{Type: "image/jpeg"}, Lifetime: lifetime,
		}); err != nil {
			return nil, err
		}
		w.files = append(w.files, f)
	}
	return w, nil
}

func (w *world) must(ok bool, format string, args ...any) {
	if !ok {
		w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
	}
}

// happen lets things happen one after the other.
func (w *world) happen(list ...happening) {
	for _, h := range list {
		w.current = append(w.current, &frame{happening: h, attempt: 1})
		switch h.kind {
		case deliver:
			if len(w.waiting) > 0 {
				w.deliver(w.waiting[h.which%len(w.waiting)])
			}
		case hurry:
			if last := len(w.waiting) - 1; last >= 0 {
				w.deliver(w.waiting[last])
			}
		case confirm:
			w.confirm(w.files[h.which%len(w.files)])
		case arrive:
			if f := w.files[h.which%len(w.files)]; f.fate.arrives() && !f.arrived {
				w.arrive(f)
			}
		case replay:
			if len(w.sent) > 0 {
				old := w.sent[h.which%len(w.sent)]
				w.waiting = append(w.waiting, &old)
			}
		case forge:
			w.forge(h.which)
		case abort, erase:
			if f := w.files[h.which%len(w.files)]; f.fate.moody || w.over {
				w.cancel(f)
			}
		case sweep:
			if !w.lossless {
				w.sweep()
			}
		}
		w.current = w.current[:len(w.current)-1]
	}
}

func (w *world) now() *frame { return w.current[len(w.current)-1] }

// arrive is the client's PUT and the event that S3 sends, or does not.
func (w *world) arrive(f *file) {
	u, err := w.store.Load(w.ctx, f.id)
	w.must(err == nil, "loading: %v", err)
	f.arrived, f.left[pipeline.Intake], f.tardy = true, true, u.State.Terminal()
	w.post(pipeline.EventsTopic, event("incoming", f.key), f)
}

// confirm is what the API does for a client that says its file is there.
func (w *world) confirm(f *file) {
	u, err := w.store.Load(w.ctx, f.id)
	w.must(err == nil, "loading: %v", err)
	ctx, kill := w.mortal(w.now())
	defer kill(nil)
	_, err = w.runner.Process(ctx, w.stages[pipeline.EventsTopic], u, 1)
	w.must(err == nil || w.now().fault != none || !f.arrived && errors.Is(err, storage.ErrNotFound), "confirming: %v", err)
}

// post puts a message on a queue, as often as is the case now.
func (w *world) post(topic, payload string, f *file) {
	copies := w.now().copies
	if w.lossless {
		copies = max(copies, 1)
	}
	if copies == 0 {
		f.lost = true
	}
	if len(w.waiting) > 40 {
		copies = min(copies, 1) // duplicates of duplicates would never end
	}
	l := letter{topic: topic, payload: payload, file: f}
	w.sent = append(w.sent, l)
	for range copies {
		one := l
		w.waiting = append(w.waiting, &one)
	}
}

// Publish is the runner's way to the queues.
func (w *world) Publish(topic string, messages ...*message.Message) error {
	now := w.now()
	commit, sent := now.commit, now.sent
	now.commit, now.sent = nil, nil
	w.happen(commit...)
	for _, msg := range messages {
		f := w.fileOf(string(msg.Payload))
		if f == nil {
			return fmt.Errorf("a message about nobody: %s", msg.Payload)
		}
		if now.fault == lostAfterCommit {
			f.lost = f.lost || now.kind == sweep // there is no message that would come back
			return errKilled
		}
		w.post(topic, string(msg.Payload), f)
	}
	w.happen(sent...)
	if now.fault == lostInPublish {
		return errKilled
	}
	return nil
}

// Close makes w a message.Publisher.
func (w *world) Close() error { return nil }

func (w *world) fileOf(payload string) *file {
	for _, f := range w.files {
		if strings.Contains(payload, f.id.String()) {
			return f
		}
	}
	return nil
}

// deliver hands out a message, and deletes it if it was handled and nobody was killed. A message that was handed
// out again meanwhile is not deleted: the receipt handle has to be the latest (DeleteMessage in the SQS API).
func (w *world) deliver(l *letter) {
	l.receives++
	if l.receives > maxReceives && (l.file == nil || !w.lossless) {
		w.remove(l)
		if l.file != nil {
			l.file.lost = true
		}
		return
	}
	now := w.now()
	now.attempt = l.receives
	ctx, kill := w.mortal(now)
	defer kill(nil)
	msg := message.NewMessage(uuid.NewString(), []byte(l.payload))
	msg.Metadata.Set(sqs.MetadataReceiveCount, strconv.Itoa(l.receives))
	msg.SetContext(ctx)
	if err := w.runner.Handle(w.stages[l.topic])(msg); err == nil && now.fault != lostBeforeAck && l.receives == now.attempt {
		w.remove(l)
	}
}

// mortal returns the context of what is going on now.
func (w *world) mortal(now *frame) (context.Context, context.CancelCauseFunc) {
	ctx, kill := context.WithCancelCause(w.ctx)
	now.kill = kill
	if now.fault == lostBefore {
		kill(errKilled)
	}
	return ctx, kill
}

func (w *world) remove(l *letter) {
	for i, other := range w.waiting {
		if other == l {
			w.waiting = append(w.waiting[:i:i], w.waiting[i+1:]...)
			return
		}
	}
}

// sweep is one sweep, which may be killed as well.
func (w *world) sweep() {
	now := w.now()
	ctx, kill := w.mortal(now)
	defer kill(nil)
	err := w.sweeper.Sweep(ctx)
	w.must(err == nil || now.fault != none, "a sweep failed: %v", err)
}

// cancel is what the API does for a client that wants no more, or what an operator does. It may be killed, and then the
// client tries again until it has an answer: that its message was lost, only a sweep brings back.
func (w *world) cancel(f *file) {
	now := w.now()
	u, err := w.store.Load(w.ctx, f.id)
	w.must(err == nil, "loading: %v", err)
	ctx, kill := w.mortal(now)
	defer kill(nil)
	wish := pipeline.Cancellation{By: "api", Published: modelStage{w, pipeline.Publish}}
	act := w.runner.Abort
	if now.kind == erase {
		act = w.runner.Cancel
	}
	ended, err := act(ctx, u, wish)
	if now.kind == abort && errors.Is(err, pipeline.ErrSettled) {
		return
	}
	w.must(err == nil || now.fault != none, "cancelling: %v", err)
	if err != nil {
		f.lost = true // nobody may come back with it
	}
	is, loadErr := w.store.Load(w.ctx, f.id)
	w.must(loadErr == nil, "loading: %v", loadErr)
	f.aborted, f.erased = f.aborted || is.State == sagas.Aborted, f.erased || is.State == sagas.Deleted
	if err == nil {
		w.must(ended.State == sagas.Aborted || ended.State == sagas.Deleted, "%s: cancelled, but %s", f.fate, ended.State)
		w.must(!f.left[pipeline.Publish], "%s: cancelled, but in media", f.fate)
	}
}

// forge sends what an attacker or a mistake could.
func (w *world) forge(which int) {
	f := w.files[which%len(w.files)]
	stages := pipeline.Stages()
	topic := pipeline.Topic(stages[which/6%len(stages)])
	forgeries := []letter{
		{topic: pipeline.EventsTopic, payload: event("incoming", f.key)}, // whether or not it has arrived
		{topic: pipeline.EventsTopic, payload: event("media", f.key)},
		{topic: pipeline.EventsTopic, payload: event("incoming", "uploads/"+uuid.NewString())},
		{topic: topic, payload: job(sagas.Upload{ID: f.id})}, // for a stage whose turn it is not, perhaps
		{topic: topic, payload: job(sagas.Upload{ID: uuid.New()})},
		{topic: topic, payload: "nonsense"},
	}
	l := forgeries[which%len(forgeries)]
	w.waiting = append(w.waiting, &l)
}
