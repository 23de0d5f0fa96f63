package pipeline_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

// sweepsNeeded is how many sweeps settle everything, once nothing goes wrong any more.
const sweepsNeeded = 2

// chapters is how many slices of happenings a world goes through. Each is about five long.
const chapters = 24

// step is what a stage takes, and what comes of it if it lets the upload pass.
type step struct {
	stage    string
	from, to sagas.State
}

// line is the model's own table.
var line = []step{
	{pipeline.Intake, sagas.Initiated, sagas.Uploaded},
	{pipeline.Verify, sagas.Uploaded, sagas.Verified},
	{pipeline.Scan, sagas.Verified, sagas.Clean},
	{pipeline.Thumbnail, sagas.Clean, sagas.Processed},
	{pipeline.Publish, sagas.Processed, sagas.Ready},
}

// TestEveryUploadMeetsItsFate compares the real store, runner and sweeper with the model in this file, over
// messages that come shuffled, duplicated, late, forged or never, while everything is killed at every point
// between two effects. RAPID_CHECKS says how many worlds are tried.
func TestEveryUploadMeetsItsFate(t *testing.T) {
	config := sagatest.Config(t)
	config.URL = withoutFlush(t, config.URL)
	pool, err := sagas.Connect(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := sagas.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	store := sagas.NewStore(pool, "test")
	rapid.Check(t, func(rt *rapid.T) {
		fates := rapid.SliceOfN(fates, 1, 6).Draw(rt, "fates")
		var plan []happening
		for range chapters { // one slice would mostly be short
			plan = append(plan, rapid.SliceOfN(happenings(2), 0, 40).Draw(rt, "chapter")...)
		}
		if _, err := pool.Exec(t.Context(), "DELETE FROM uploads"); err != nil {
			rt.Fatal(err)
		}
		w, err := newWorld(t.Context(), store, fates)
		if err != nil {
			rt.Fatal(err)
		}
		w.lossless = rapid.Bool().Draw(rt, "lossless")
		w.happen(plan...)
		w.settle()
		w.regret()
		for _, f := range w.files {
			w.judge(f)
		}
		for _, wrong := range w.wrong {
			rt.Error(wrong)
		}
	})
}

// withoutFlush makes commits cheap: no server dies here.
func withoutFlush(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("synchronous_commit", "off")
	u.RawQuery = q.Encode()
	return u.String()
}

// settle lets nothing go wrong any more, and sees that it is enough: the queues alone finish everything of which
// they lost nothing, and a few sweeps the rest.
func (w *world) settle() {
	for i, f := range w.files {
		if f.fate.arrives() {
			w.happen(happening{kind: arrive, which: i, copies: 1, fault: none})
		}
	}
	w.drain()
	for _, f := range w.files {
		if u, err := w.store.Load(w.ctx, f.id); f.arrived && !f.lost {
			w.must(err == nil && u.NotifiedAt != nil, "%s: %s without a sweep, though nothing was lost (%v)", f.fate, u.State, err)
		}
	}
	w.lossless = false
	for range sweepsNeeded {
		w.happen(happening{kind: sweep, copies: 1, fault: none})
		w.drain()
	}
}

// regret has clients delete what has its outcome, and sees that nothing of it can be reached from that moment on, and that
// the queues alone finish it.
func (w *world) regret() {
	w.over = true
	for i, f := range w.files {
		if f.fate.rueful {
			w.happen(happening{kind: erase, which: i, copies: 1, fault: none})
		}
	}
	w.drain()
}

func (w *world) drain() {
	for range 5000 {
		if len(w.waiting) == 0 {
			return
		}
		w.happen(happening{kind: deliver, copies: 1, fault: none})
	}
	w.must(false, "the queues never run dry")
}

// judge compares what became of an upload with what should have.
func (w *world) judge(f *file) {
	u, err := w.store.Load(w.ctx, f.id)
	w.must(err == nil, "loading: %v", err)
	history, err := w.store.History(w.ctx, f.id)
	w.must(err == nil, "reading the history: %v", err)

	switch expired := u.State == sagas.Expired && f.fate.late; {
	case f.erased:
		w.must(u.State == sagas.Deleted, "%s: deleted, but %s", f.fate, u.State)
	case f.aborted:
		w.must(u.State == sagas.Aborted, "%s: aborted, but %s", f.fate, u.State)
	case !expired: // who is late may be lucky
		w.must(u.State == f.fate.state, "%s: became %s", f.fate, u.State)
		w.must(u.Reason.Code == f.fate.code, "%s: the reason is %q", f.fate, u.Reason.Code)
	}
	w.must(f.fate.stage == "" && f.fate.arrives() || !f.published, "%s: was published", f.fate)
	w.must(f.published || u.State != sagas.Ready, "%s: ready, but never published", f.fate)
	w.must(u.ETag == etagOf(f) || !slices.ContainsFunc(history, func(h sagas.Transition) bool { return h.To == sagas.Uploaded }),
		"%s: the pin is %q", f.fate, u.ETag)

	w.must(u.NotifiedAt != nil && len(f.told) > 0, "%s: nobody was told", f.fate)
	for _, told := range f.told { // of what was deleted, another outcome before that
		w.must(told == u.State || f.erased, "%s: told of %s, and is %s", f.fate, told, u.State)
	}
	for _, stage := range []string{pipeline.Intake, pipeline.Thumbnail, pipeline.Publish} {
		if stage == pipeline.Intake && f.tardy && f.lost {
			continue // its event was lost, and the sweeper's ages are too short here to wait for a straggler
		}
		w.must(f.left[stage] == stays(stage, u.State), "%s: is %s; what %s made is left: %t", f.fate, u.State, stage, f.left[stage])
	}
	w.judgeHistory(f, u, history)
}

func (w *world) judgeHistory(f *file, u sagas.Upload, history []sagas.Transition) {
	at := sagas.State("")
	for i, h := range history {
		w.must(h.Seq == int64(i+1) && h.From == at, "%s: transition %d is %+v", f.fate, i+1, h)
		w.must(legal(h), "%s: %s took it from %q to %s", f.fate, h.Stage, h.From, h.To)
		w.must(!at.Terminal() || h.To == at || h.To == sagas.Deleted, "%s: moved after its outcome: %+v", f.fate, h)
		at = h.To
	}
	w.must(at == u.State && u.Version == int64(len(history)), "%s: the history ends at %s, the upload is %s, version %d",
		f.fate, at, u.State, u.Version)
}

// legal reports whether the model allows this move to whoever made it.
func legal(h sagas.Transition) bool {
	switch {
	case h.From == "":
		return h.Stage == "api" && h.To == sagas.Initiated
	case h.Stage == pipeline.Notify:
		return h.From.Terminal() && h.From == h.To
	case h.Stage == "api":
		return !h.From.Terminal() && h.To == sagas.Aborted || h.From.Terminal() && h.To == sagas.Deleted
	case h.Stage == "sweeper":
		return h.From == sagas.Initiated && h.To == sagas.Expired
	}
	for _, step := range line {
		if step.stage == h.Stage {
			return h.From == step.from && (h.To == step.to || h.To.Terminal() && h.To != sagas.Ready && step.stage != pipeline.Intake)
		}
	}
	return false
}

func etagOf(f *file) string { return "etag-" + f.id.String() }

// modelStage does a stage's work as the fate of the file says.
type modelStage struct {
	w    *world
	name string
}

func (s modelStage) Name() string { return s.name }

func (s modelStage) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	w, now := s.w, s.w.now()
	inside := now.inside
	now.inside = nil
	w.happen(inside...)

	if now.attempt < maxAttempts && now.fault == stageFails {
		return pipeline.Outcome{}, errors.New("not now")
	}
	if now.attempt < maxAttempts && now.fault == stagePanics {
		panic("not now")
	}
	if now.fault == lostInWork {
		now.kill(errKilled)
		return pipeline.Outcome{}, ctx.Err()
	}
	f := w.fileOf(u.ID.String())
	switch s.name {
	case pipeline.Settle:
		return pipeline.Settling{Steps: w.steps}.Run(ctx, u)
	case pipeline.Notify:
		return s.tell(f, u)
	}
	return s.work(f, u)
}

// tell sees that everything was cleaned up before.
func (s modelStage) tell(f *file, u sagas.Upload) (pipeline.Outcome, error) {
	s.w.must(u.State.Terminal(), "%s: told of %s", f.fate, u.State)
	for _, stage := range []string{pipeline.Intake, pipeline.Thumbnail, pipeline.Publish} {
		s.w.must(stage == pipeline.Intake && f.tardy || !f.left[stage] || stays(stage, u.State),
			"%s: told of %s before what %s made was cleaned up", f.fate, u.State, stage)
	}
	f.told = append(f.told, u.State)
	return pipeline.Advance(u.State, sagas.Facts{}), nil
}

func (s modelStage) work(f *file, u sagas.Upload) (pipeline.Outcome, error) {
	i := slices.IndexFunc(line, func(st step) bool { return st.stage == s.name })
	step := line[i]
	s.w.must(u.State == step.from, "%s: %s works on an upload that is %s", f.fate, s.name, u.State)
	s.w.must(len(f.passed) >= i, "%s: %s works before its turn, after %v", f.fate, s.name, f.passed)
	switch {
	case s.name == pipeline.Intake && !f.arrived:
		return pipeline.Outcome{}, storage.ErrNotFound
	case s.name == f.fate.stage && f.fate.exhausts():
		return pipeline.Outcome{}, errors.New("never")
	case s.name == f.fate.stage:
		return pipeline.Outcome{State: f.fate.state, Reason: sagas.Reason{Code: f.fate.code}}, nil
	}
	if !slices.Contains(f.passed, s.name) {
		f.passed = append(f.passed, s.name)
	}
	var facts sagas.Facts
	if s.name == pipeline.Intake {
		facts.ETag = etagOf(f)
	}
	f.published = f.published || s.name == pipeline.Publish
	f.left[s.name] = true
	return pipeline.Advance(step.to, facts), nil
}

// Undo removes what the stage has made.
func (s modelStage) Undo(_ context.Context, u sagas.Upload) error {
	s.w.must(u.State.Terminal(), "%s is undone for an upload that is %s", s.name, u.State)
	if !stays(s.name, u.State) {
		s.w.fileOf(u.ID.String()).left[s.name] = false
	}
	return nil
}

// stays reports whether what a stage made, or found, remains when an upload has its outcome.
func stays(stage string, outcome sagas.State) bool {
	switch stage {
	case pipeline.Intake:
		return slices.Contains([]sagas.State{sagas.Rejected, sagas.Infected, sagas.Unscannable, sagas.Failed}, outcome)
	case pipeline.Publish:
		return outcome == sagas.Ready
	}
	return false
}
