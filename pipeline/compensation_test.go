package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/sagas"
)

// undoable is a stage that can take back its step.
type undoable struct {
	*stage
	undo   func(ctx context.Context, u sagas.Upload) error
	undone []sagas.State // of the uploads whose step was taken back
}

func (s *undoable) Undo(ctx context.Context, u sagas.Upload) error {
	s.undone = append(s.undone, u.State)
	if s.undo != nil {
		return s.undo(ctx, u)
	}
	return nil
}

func TestSettleCleansUpFromTheEnd(t *testing.T) {
	b := newBundle(t)
	var order []string
	step := func(name string, to sagas.State) *undoable {
		return &undoable{stage: leading(name, to), undo: func(context.Context, sagas.Upload) error {
			order = append(order, "undo "+name)
			return nil
		}}
	}
	settle := pipeline.Settling{Steps: pipeline.Steps{step(pipeline.Intake, sagas.Uploaded), leading(pipeline.Scan, sagas.Clean),
		step(pipeline.Thumbnail, sagas.Processed), step(pipeline.Publish, sagas.Ready)}}
	u := b.begin(t, sagas.Failed)
	for sent := int64(1); sent <= 2; sent++ { // there is no trace of it in the record: it may be repeated until the outcome is told
		order = nil
		if err := b.runner.Handle(settle)(delivery(t, 1, job(u))); err != nil {
			t.Fatal(err)
		}
		if want := []string{"undo publish", "undo thumbnail", "undo intake"}; !slices.Equal(order, want) {
			t.Errorf("the order was %q, want %q", order, want)
		}
		b.expect(t, u, sagas.Failed, map[string]int64{pipeline.Notify: sent})
	}
	if after := b.load(t, u); after.Version != u.Version || after.NotifiedAt != nil {
		t.Errorf("settle wrote %+v", after)
	}
	b.move(t, u, sagas.Failed) // delivered
	order = nil
	if err := b.runner.Handle(settle)(delivery(t, 2, job(u))); err != nil || order != nil {
		t.Errorf("after the delivery: %q, %v", order, err)
	}
	b.expect(t, u, sagas.Failed, map[string]int64{pipeline.Notify: 2})
}

// What could not be cleaned up is not told of, however often it fails, and does not keep the rest from being cleaned up.
func TestNobodyIsToldBeforeItIsCleanedUp(t *testing.T) {
	for _, state := range sagas.TerminalStates() {
		t.Run(string(state), func(t *testing.T) { testNotToldBeforeItIsCleanedUp(t, state) })
	}
}

func testNotToldBeforeItIsCleanedUp(t *testing.T, state sagas.State) {
	t.Helper()
	b := newBundle(t)
	u := b.begin(t, state)
	why := errors.New("503 SlowDown")
	stuck := &undoable{stage: leading(pipeline.Publish, sagas.Ready), undo: func(context.Context, sagas.Upload) error { return why }}
	fine := &undoable{stage: leading(pipeline.Intake, sagas.Uploaded)}
	settle := b.runner.Handle(pipeline.Settling{Steps: pipeline.Steps{fine, stuck}})
	for attempt := 1; attempt <= maxAttempts+1; attempt++ {
		if err := settle(delivery(t, attempt, job(u))); !errors.Is(err, why) {
			t.Fatalf("attempt %d: got %v", attempt, err)
		}
	}
	b.expect(t, u, state, nil)
	if len(fine.undone) != maxAttempts+1 {
		t.Errorf("the other stage was undone %d times", len(fine.undone))
	}
	stuck.undo = nil
	if err := settle(delivery(t, maxAttempts+2, job(u))); err != nil {
		t.Error(err)
	}
	b.expect(t, u, state, map[string]int64{pipeline.Notify: 1})
}

func TestNoOutcomeIsTakenForToldBecauseItCouldNotBe(t *testing.T) {
	for _, state := range sagas.TerminalStates() {
		t.Run(string(state), func(t *testing.T) {
			b := newBundle(t)
			u := b.begin(t, state)
			why := errors.New("404")
			for _, attempt := range []int{1, maxAttempts, 5 * maxAttempts} {
				if err := b.runner.Handle(failing(pipeline.Notify, why))(delivery(t, attempt, settled(u))); !errors.Is(err, why) {
					t.Errorf("attempt %d: got %v", attempt, err)
				}
			}
			if after := b.load(t, u); after.NotifiedAt != nil || after.State != state || after.Reason != u.Reason {
				t.Errorf("it became %+v", after)
			}
		})
	}
}

// A job for notify says which outcome was settled. One for another outcome, or for none, has to be settled first.
func TestOnlyWhatWasSettledIsTold(t *testing.T) {
	b := newBundle(t)
	ready := b.begin(t, sagas.Ready)
	early := settled(ready)
	u := b.move(t, ready, sagas.Deleted)
	tell := leading(pipeline.Notify, sagas.Deleted)
	for sent, payload := range []string{early, job(u)} {
		if err := b.runner.Handle(tell)(delivery(t, 1, payload)); err != nil || tell.runs != 0 {
			t.Fatalf("%s: told %d times, %v", payload, tell.runs, err)
		}
		b.expect(t, u, sagas.Deleted, map[string]int64{pipeline.Settle: int64(sent) + 1})
	}
	for range 2 {
		if err := b.runner.Handle(tell)(delivery(t, 1, settled(u))); err != nil || tell.runs != 1 {
			t.Fatalf("told %d times, %v", tell.runs, err)
		}
	}
	b.expect(t, u, sagas.Deleted, map[string]int64{pipeline.Settle: 2})
}

// A worker may be so slow that the upload has its outcome when its step is made.
func TestALateStepIsTakenBack(t *testing.T) {
	for name, tc := range map[string]struct {
		attempt   int
		from      sagas.State // when the message comes
		meanwhile sagas.State // while the stage works
		undone    []sagas.State
	}{
		"aborted meanwhile":                    {1, sagas.Processed, sagas.Aborted, []sagas.State{sagas.Aborted}},
		"given up meanwhile":                   {2, sagas.Processed, sagas.Failed, []sagas.State{sagas.Failed}},
		"an earlier try died, then aborted":    {2, sagas.Aborted, "", []sagas.State{sagas.Aborted}},
		"a duplicate of what was aborted":      {1, sagas.Aborted, "", nil}, // nothing was done for it
		"an earlier try was not late":          {2, sagas.Clean, "", nil},
		"in time":                              {1, sagas.Processed, "", nil},
		"somebody else was first, but as good": {1, sagas.Processed, sagas.Ready, []sagas.State{sagas.Ready}}, // it is up to Undo
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t)
			u := b.begin(t, tc.from)
			publish := &undoable{stage: &stage{name: pipeline.Publish, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) {
				if tc.meanwhile != "" {
					b.move(t, u, tc.meanwhile)
				}
				return pipeline.Advance(sagas.Ready, sagas.Facts{}), nil
			}}}
			if err := b.runner.Handle(publish)(delivery(t, tc.attempt, job(u))); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(publish.undone, tc.undone) {
				t.Errorf("undone %q, want %q", publish.undone, tc.undone)
			}
		})
	}
}

// The message comes back until the late step is taken back.
func TestALateStepThatCouldNotBeTakenBack(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Processed)
	why := errors.New("503 SlowDown")
	publish := &undoable{undo: func(context.Context, sagas.Upload) error { return why }}
	publish.stage = &stage{name: pipeline.Publish, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) {
		b.move(t, u, sagas.Aborted)
		return pipeline.Advance(sagas.Ready, sagas.Facts{}), nil
	}}
	for attempt := range 2 {
		if err := b.runner.Handle(publish)(delivery(t, attempt+1, job(u))); !errors.Is(err, why) {
			t.Errorf("attempt %d: got %v", attempt+1, err)
		}
	}
	if publish.runs != 1 || len(publish.undone) != 2 {
		t.Errorf("ran %d times, was undone %d times", publish.runs, len(publish.undone))
	}
}

func TestAStepWhoseMessageIsLostIsTakenBack(t *testing.T) {
	for _, meanwhile := range []sagas.State{sagas.Processed, sagas.Aborted} {
		b := newBundle(t)
		u := b.begin(t, sagas.Processed)
		ctx, lose := context.WithCancelCause(t.Context())
		publish := &undoable{undo: func(ctx context.Context, _ sagas.Upload) error { return ctx.Err() }}
		publish.stage = &stage{name: pipeline.Publish, work: func(context.Context, sagas.Upload) (pipeline.Outcome, error) {
			if meanwhile != u.State {
				b.move(t, u, meanwhile)
			}
			lose(sqs.ErrLeaseLost)
			return pipeline.Outcome{}, ctx.Err()
		}}
		msg := delivery(t, 1, job(u))
		msg.SetContext(ctx)
		if err := b.runner.Handle(publish)(msg); !errors.Is(err, sqs.ErrLeaseLost) {
			t.Errorf("got %v, want ErrLeaseLost", err)
		}
		if undone := len(publish.undone) > 0; undone != meanwhile.Terminal() {
			t.Errorf("%s: undone: %t", meanwhile, undone)
		}
	}
}

// A presigned URL outlives its upload's end: what is sent to it then must not stay, nor bring the upload back.
func TestAnObjectThatComesAfterTheEndIsRemoved(t *testing.T) {
	for _, state := range []sagas.State{sagas.Aborted, sagas.Expired, sagas.Ready} {
		b := newBundle(t)
		u := b.begin(t, state)
		u = b.move(t, u, state) // delivered
		intake := &undoable{stage: leading(pipeline.Intake, sagas.Uploaded)}
		if err := b.runner.Handle(intake)(delivery(t, 1, event(u.Bucket, u.Key))); err != nil {
			t.Fatal(err)
		}
		if intake.runs != 0 || !slices.Equal(intake.undone, []sagas.State{state}) {
			t.Errorf("%s: ran %d times, undone %q", state, intake.runs, intake.undone)
		}
		b.expect(t, u, state, nil)
	}
}
